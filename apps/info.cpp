// `upscale info`: what a weight file is.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/model_facts.h"
#include "apps/store/store.h"
#include "apps/terminal.h"

namespace ups::apps {

const SmallSyntax& info_syntax() {
  static const SmallSyntax syntax = {
      "info", "FILE|ALIAS", "what a weight file is", {{"--json", "", "for programs"}}, 1, 1};
  return syntax;
}

int info_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(info_syntax(), arguments, a)) return kOk;
  Model model(a.positional[0], 0);
  auto info = nlohmann::ordered_json::parse(ups_model_info(model.get()));
  info["path"] = model.opened();
  info["default_scale"] = default_scale(model);     // an alias may have one of its own
  info.erase("device"), info.erase("device_note");  // of this process, not of the file
  if (a.flag("--json")) {
    printf("%s\n", info.dump(2).c_str());
    return kOk;
  }
  auto text = [](const nlohmann::ordered_json& v) {
    if (v.is_string()) return v.get<std::string>().empty() ? std::string("unknown") : v.get<std::string>();
    if (v.is_number_float() && v == std::floor(v.get<double>())) return std::to_string(v.get<int64_t>());
    if (!v.is_object()) return v.dump();
    std::string s;
    for (const auto& [key, value] : v.items()) s += (s.empty() ? "" : ", ") + key + " " + value.dump();
    return s;
  };
  size_t width = 0;
  for (const auto& [key, value] : info.items()) width = std::max(width, key.size());
  for (const auto& [key, value] : info.items()) {
    std::string label = key;
    for (char& c : label) {
      if (c == '_') c = ' ';
    }
    print_line(stdout, "%-*s  %s", int(width), label.c_str(), text(value).c_str());
  }
  return kOk;
}

}  // namespace ups::apps
