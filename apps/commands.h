// The commands of the tool. Each takes the arguments after its name and returns an exit code, or throws
// Failure.
#pragma once

#include <string>
#include <vector>

namespace ups::apps {

int run_command(const std::vector<std::string>& arguments);      // the main use
int info_command(const std::vector<std::string>& arguments);     // FILE|ALIAS [--json]
int convert_command(const std::vector<std::string>& arguments);  // IN OUT [--name --license --origin]
int devices_command(const std::vector<std::string>& arguments);  // --list-devices
int models_command(const std::vector<std::string>& arguments);
int fetch_command(const std::vector<std::string>& arguments);  // ALIAS...|all

// What the small commands have in common: positionals, and long options that are flags or take a value.
struct SmallArguments {
  std::vector<std::string> positional;
  bool flag(const std::string& name) const;
  const char* value(const std::string& name) const;  // nullptr if absent
  std::vector<std::pair<std::string, std::string>> options;
};
// usage is printed for --help (then positional is empty and `help` is set). Throws Failure(kUsage).
struct SmallSyntax {
  const char* command;
  const char* usage;
  std::vector<std::string> flags, values;
  size_t least, most;        // number of positionals
  const char* details = "";  // printed by --help below the usage
};
// Returns false when --help was printed.
bool parse_small(const SmallSyntax& syntax, const std::vector<std::string>& arguments, SmallArguments& out);

}  // namespace ups::apps
