// One command line option: what it is called, what it takes, what help says about it, what it sets. Parsing,
// --help, the man page and the shell completions are all made from a table of these.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "apps/options.h"
#include "apps/options/values.h"

namespace ups::apps {

// The order of --help.
enum class Group { files, model, size, steps, pixels, finish, format, batch, resources, messages };
// basic: in --help. advanced: in --help-all. unlisted: read for users of related tools, shown nowhere.
enum class Level { basic, advanced, unlisted };
// What a shell offers as its value, beside `choices`.
enum class Completes { nothing, file, folder, model };

struct Option {
  std::string names;     // "-s,--scale,--outscale": help shows the letter and the first long name
  std::string argument;  // "F"; empty: a flag
  Group group;
  Level level;
  std::string help;     // one line, no full stop
  std::string details;  // whole sentences for --help-all and the man page, or empty
  // Called once if the option was given, with its last value, in the order of the table. May be empty.
  std::function<void(Options&, const Value&)> set;
  std::vector<std::string> choices{};  // the values, where they are few: completed, not enforced
  std::string bare{};                  // its value when none of `choices` follows, if it may stand alone
  bool repeats = false;                // `set` is called for each of its values
  Completes completes = Completes::nothing;
};

// Which options were given, by first long name.
class Given {
 public:
  void add(const std::string& name) { names_.insert(name); }
  bool operator()(const std::string& name) const { return names_.count(name) > 0; }

 private:
  std::set<std::string> names_;
};

class OptionTable {
 public:
  void add(Option option) { options.push_back(std::move(option)); }
  // Called after all options are set, in order of registration: for what several of them decide together.
  void check(std::function<void(Options&, const Given&)> f) { checks.push_back(std::move(f)); }

  std::vector<Option> options;
  std::vector<std::function<void(Options&, const Given&)>> checks;
};

std::string long_name(const Option& option);               // "--scale"
std::vector<std::string> all_names(const Option& option);  // "-s", "--scale", "--outscale"
std::string shown_names(const Option& option);             // "-s, --scale F"; empty letter: "    --scale F"
const char* title_of(Group group);
const OptionTable& option_table();  // all options of `upscale IN OUT`

}  // namespace ups::apps
