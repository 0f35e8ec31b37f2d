// The commands of the tool. Each takes the arguments after its name and returns an exit code, or throws
// Failure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ups::apps {

int run_command(const std::vector<std::string>& arguments);      // the main use, batch.cpp
int devices_command(const std::vector<std::string>& arguments);  // --list-devices

// What the small commands have in common: positionals, and long options that are flags or take a value.
struct SmallOption {
  std::string name;      // "--json"
  std::string argument;  // "N"; empty: a flag
  std::string help;      // a few words, no full stop
  std::string also{};    // "-s,--outscale": other names, as the main use has them
};
struct SmallSyntax {
  const char* command;
  const char* arguments;  // "FILE|ALIAS"
  const char* summary;    // one line, no full stop
  std::vector<SmallOption> options;
  size_t least, most;        // number of positionals
  const char* details = "";  // whole sentences
};
struct SmallArguments {
  std::vector<std::string> positional;
  bool flag(const std::string& name) const;
  const char* value(const std::string& name) const;  // nullptr if absent
  std::vector<std::pair<std::string, std::string>> options;
};
// Returns false when --help was printed. Throws Failure(kUsage).
bool parse_small(const SmallSyntax& syntax, const std::vector<std::string>& arguments, SmallArguments& out);
// Throws Failure(kUsage) unless the command's output is named as a safetensors file.
void expect_safetensors_name(const SmallSyntax& syntax, const std::string& out);

struct Command {
  const SmallSyntax& (*syntax)();
  int (*run)(const std::vector<std::string>& arguments);
};
const std::vector<Command>& commands();  // all but the main use, in the order of --help

extern const char* const kExitCodes;  // one sentence

}  // namespace ups::apps
