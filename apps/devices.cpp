// `upscale --list-devices`: what -g can name.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/failure.h"

namespace ups::apps {

int devices_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small({"--list-devices", "", "what -g can name", {}, 0, 0}, arguments, a)) return kOk;
  const char* text = nullptr;
  check(ups_list_devices(&text));
  const auto list = nlohmann::json::parse(text);
  for (const auto& d : list.at("devices"))
    printf("%-4s %s\n", d.at("id").get<std::string>().c_str(), d.at("name").get<std::string>().c_str());
  const std::string note = list.value("note", "");
  if (!note.empty()) printf("no GPU: %s\n", note.c_str());
  return kOk;
}

}  // namespace ups::apps
