// Argument parsing of the small commands, on CLI11.
#include "apps/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>

#include "apps/failure.h"
#include "apps/options.h"

namespace ups::apps {

bool SmallArguments::flag(const std::string& name) const { return value(name) != nullptr; }

const char* SmallArguments::value(const std::string& name) const {
  for (const auto& [key, v] : options) {
    if (key == name) return v.c_str();
  }
  return nullptr;
}

bool parse_small(const SmallSyntax& syntax, const std::vector<std::string>& arguments, SmallArguments& out) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  bool help = false;
  std::map<std::string, bool> flags;
  std::map<std::string, std::string> values;
  app.add_flag("-h,--help", help);
  app.add_option("arguments", out.positional);
  for (const auto& f : syntax.flags) app.add_flag(f, flags[f]);
  for (const auto& v : syntax.values) app.add_option(v, values[v]);
  std::vector<std::string> reversed = normalise_long_options(arguments);
  std::reverse(reversed.begin(), reversed.end());
  const std::string usage = std::string(" (usage: ") + syntax.usage + ")";
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& e) {
    std::string what = e.what();
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw Failure(kUsage, std::string(syntax.command) + ": " + what + usage);
  }
  if (help) return printf("Usage: %s\n%s", syntax.usage, syntax.details), false;
  if (auto extras = app.remaining(); !extras.empty()) {
    std::vector<std::string> known = syntax.flags;
    known.insert(known.end(), syntax.values.begin(), syntax.values.end());
    throw Failure(kUsage, std::string(syntax.command) + ": " + unknown_option(extras.front(), known) + usage);
  }
  size_t n = out.positional.size();
  if (n < syntax.least || n > syntax.most) {
    fail(kUsage, syntax.command, ": got ", n, " arguments, expected ", syntax.least,
         syntax.most > syntax.least ? " or more" : "", usage);
  }
  for (const auto& [name, set] : flags)
    if (set) out.options.emplace_back(name, "");
  for (const auto& v : syntax.values)
    if (app.count(v)) out.options.emplace_back(v, values[v]);
  return true;
}

}  // namespace ups::apps
