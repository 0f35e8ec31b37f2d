// JSON to arguments.
#include "apps/recipe.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "apps/failure.h"
#include "apps/options/option.h"
#include "apps/output_file.h"

namespace ups::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostBytes = 1 << 20;

// Options that decide what the pictures become; where they are and what is printed is the command line's.
bool in_recipes(const Option& o) {
  if (long_name(o) == "--format") return true;
  return o.group >= Group::model && o.group <= Group::format && o.level != Level::unlisted &&
         long_name(o) != "--recipe" && long_name(o) != "--save-steps";
}

std::string key_of(const Option& o) { return long_name(o).substr(2); }

const Option* find_option(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  for (const Option& o : option_table().options) {
    if (!in_recipes(o)) continue;
    for (const std::string& name : all_names(o))
      if (name == "--" + key) return &o;
  }
  return nullptr;
}

std::string all_keys() {
  std::vector<std::string> keys;
  for (const Option& o : option_table().options)
    if (in_recipes(o) && long_name(o).rfind("--", 0) == 0) keys.push_back(key_of(o));
  std::sort(keys.begin(), keys.end());
  std::string text;
  for (const std::string& k : keys) text += (text.empty() ? "" : ", ") + k;
  return text;
}

Json read_recipe(const std::string& path) {
  const std::string text = read_file(path, kMostBytes);
  // Depth is bounded, so that brackets without end cannot exhaust the stack.
  const auto shallow = [](int depth, Json::parse_event_t, Json&) {
    if (depth > 4) fail(kUsage, "--recipe: values are nested too deeply");
    return true;
  };
  Json json;
  try {
    json = Json::parse(text, shallow);
  } catch (const Json::exception& e) {
    const std::string what = e.what();  // "[json.exception.parse_error.101] parse error at line 2, ..."
    fail(kUsage, "--recipe: ", path, " is not JSON: ", what.substr(what.find("] ") + 2, 200));
  }
  if (!json.is_object())
    fail(kUsage, "--recipe: ", path, " holds no object, expected {\"option\": value, ...}");
  return json;
}

// One number or text as an option's value.
std::string scalar_text(const std::string& key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  fail(kUsage, "--recipe: ", key, " is ", value.dump().substr(0, 60), ", expected a text or a number");
}

// Lists become "a,b"; objects "name=a,name=b", as --sharpen and --post read them.
std::string value_text(const std::string& key, const Json& value) {
  if (!value.is_structured()) return scalar_text(key, value);
  if (value.empty()) fail(kUsage, "--recipe: ", key, " is empty, expected a value");
  std::string text;
  for (const auto& [name, v] : value.items()) {
    if (value.is_object() && v.is_boolean()) {
      if (v.get<bool>()) text += (text.empty() ? "" : ",") + name;
      continue;
    }
    text += (text.empty() ? "" : ",") + (value.is_object() ? name + "=" : "") + scalar_text(key, v);
  }
  return text;
}

// Options of which one replaces the others: where the command line has one, the recipe's do not count.
const std::vector<std::set<std::string>> kRivals = {
    {"--scale", "--size", "--width", "--height", "--long-side", "--short-side", "--megapixels", "-r"},
    {"--sharpen", "--unsharp"},
    {"--quality", "-c"},
    {"--mix", "--denoise"},
    {"--ease", "--adaptive"},
};
// From the command line, and what of the recipe has no meaning beside it. "--option=value": with that value.
const std::vector<std::pair<std::set<std::string>, std::set<std::string>>> kReplaced = {
    {{"--scale", "--width", "--height", "--long-side", "--short-side", "--megapixels", "-r"},
     {"--fit", "--gravity"}},
    {{"--size", "--width", "--height", "--long-side", "--short-side", "--megapixels", "-r"}, {"--faithful"}},
    {{"--mix"}, {"--denoise-change"}},
    {{"--fit=fill", "--fit=inside", "--fit=outside"}, {"--gravity"}},
    {{"--steps"}, {"--step-mode=native"}},
    {{"--step-mode=native"}, {"--steps"}},
    {{"--step-mode=native", "--step-mode=simple", "--step-mode=geometric"}, {"--ease", "--adaptive"}},
};

bool any_of(const std::set<std::string>& given, const std::set<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return given.count(n) > 0; });
}

// Whether the command line decides what an option of the recipe is about.
bool decided(const std::string& name, const Json& value, const std::set<std::string>& given) {
  const std::string with_value = name + "=" + (value.is_string() ? value.get<std::string>() : "");
  for (const auto& rivals : kRivals)
    if (rivals.count(name) && any_of(given, rivals)) return true;
  for (const auto& [by, replaced] : kReplaced)
    if ((replaced.count(name) || replaced.count(with_value)) && any_of(given, by)) return true;
  return given.count(name) > 0;
}

// The options given on the command line, by first long name, and the same with "=value".
std::set<std::string> given_options(const std::vector<std::string>& arguments) {
  std::set<std::string> given;
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; i++) {
    const std::string& a = arguments[i];
    const size_t end =
        a.rfind("--", 0) == 0 ? std::min(a.find('='), a.size()) : std::min<size_t>(2, a.size());
    for (const Option& o : option_table().options) {
      for (const std::string& n : all_names(o)) {
        if (n != a.substr(0, end)) continue;
        given.insert(long_name(o));
        if (end < a.size())
          given.insert(long_name(o) + "=" + a.substr(end + (a[end] == '=')));
        else if (i + 1 < arguments.size())
          given.insert(long_name(o) + "=" + arguments[i + 1]);
      }
    }
  }
  return given;
}

}  // namespace

std::vector<std::string> with_recipe(const std::vector<std::string>& arguments) {
  std::optional<std::string> path;
  std::vector<std::string> rest, out;
  for (size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == "--") {
      rest.insert(rest.end(), arguments.begin() + ptrdiff_t(i), arguments.end());
      break;
    }
    if (arguments[i].rfind("--recipe=", 0) == 0) {
      path = arguments[i].substr(9);
    } else if (arguments[i] == "--recipe") {
      if (i + 1 == arguments.size()) fail(kUsage, "--recipe: got nothing, expected a file");
      path = arguments[++i];
    } else {
      rest.push_back(arguments[i]);
    }
  }
  if (!path) return arguments;
  const std::set<std::string> given = given_options(rest);
  const Json recipe = read_recipe(*path);  // items() must not outlive it
  for (const auto& [key, value] : recipe.items()) {
    const Option* o = find_option(key);
    if (!o) fail(kUsage, "--recipe: '", key, "' is not an option of a picture, expected ", all_keys());
    if (decided(long_name(*o), value, given)) continue;
    if (o->argument.empty()) {
      if (!value.is_boolean())
        fail(kUsage, "--recipe: ", key, " is ", value.dump().substr(0, 60), ", expected true or false");
      if (value.get<bool>()) out.push_back(long_name(*o));
    } else if (value.is_boolean() && !o->bare.empty()) {  // an option that may stand alone
      if (value.get<bool>()) out.push_back(long_name(*o) + "=" + o->bare);
    } else {
      out.push_back(long_name(*o) + "=" + value_text(key, value));
    }
  }
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace ups::apps
