// `upscale models`: the table of known models and their state.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/store/store.h"
#include "apps/terminal.h"

namespace ups::apps {

const SmallSyntax& models_syntax() {
  static const SmallSyntax syntax = {
      "models",
      "",
      "known models and whether they are here",
      {{"--json", "", "for programs"}, {"--license", "", "the models' licences"}},
      0,
      0};
  return syntax;
}

int models_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(models_syntax(), arguments, a)) return kOk;
  if (a.flag("--license")) {  // the binary may carry a model, so it carries the licence too
    for (const StoreLicense* l : {&kRealEsrganLicense, &kSpanLicense, &kDatLicense})
      printf("%s%s\n\n%s", l == &kRealEsrganLicense ? "" : "\n", l->origin.c_str(), l->text.c_str());
    return kOk;
  }
  const auto folder = find_store();
  nlohmann::json rows = nlohmann::json::array();
  for (const Alias& alias : aliases()) {
    const StoreModel& m = model_of(alias);
    bool embedded = alias.alias == "fast" && embedded_model().size;
    bool ready = is_fetched(m.file);
    const std::string brought =
        alias.scale > 0 ? ", brought to " + std::to_string(int(alias.scale)) + "x" : "";
    rows.push_back({{"alias", alias.alias},
                    {"name", m.name},
                    {"state", embedded ? "embedded"
                              : ready  ? "ready"
                                       : "not fetched"},
                    {"path", embedded || !folder ? "" : store_path(m.file)},
                    {"license", m.license.id},
                    {"origin", m.license.origin},
                    {"what", m.what + brought}});
  }
  if (a.flag("--json")) {
    printf("%s\n", rows.dump(2).c_str());
    return kOk;
  }
  const char* format = "%-12s %-27s %-11s %-13s %s\n";
  printf(format, "alias", "name", "state", "licence", "for");
  for (const auto& r : rows) {
    auto s = [&](const char* key) { return r[key].get<std::string>(); };
    printf(format, s("alias").c_str(), s("name").c_str(), s("state").c_str(), s("license").c_str(),
           s("what").c_str());
  }
  printf("\nniqe, the numbers for %s: %s\n", niqe_data().what.c_str(),
         is_fetched(niqe_data()) ? "ready" : "not fetched");
  puts("");
  if (!folder)
    puts("Store: none, as neither UPSCALE_MODELS nor XDG_DATA_HOME nor HOME is set");
  else
    print_line(stdout, "Store: %s", folder->c_str());
  return kOk;
}

}  // namespace ups::apps
