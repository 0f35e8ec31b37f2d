// What is printed.
#include "apps/options/registry.h"

namespace ups::apps {

void add_message_options(OptionTable& table) {
  table.add({.names = "--dry-run",
             .argument = "",
             .group = Group::messages,
             .level = Level::basic,
             .help = "print sizes, tiles, memory and a time estimate, compute nothing",
             .set = [](Options& o, const Value&) { o.dry_run = true; }});
  table.add({.names = "--report",
             .argument = "OUT.html",
             .group = Group::messages,
             .level = Level::basic,
             .help = "also write a page with source and result, a slider between them and zoom",
             .details =
                 "For several inputs OUT.html lists them, and OUT_pages/ beside it holds a page for each.\n"
                 "See also `upscale compare`.",
             .set = [](Options& o, const Value& v) { o.report = v.text; },
             .completes = Completes::file});
  table.add({.names = "--progress",
             .argument = "MODE",
             .group = Group::messages,
             .level = Level::basic,
             .help = "auto (a bar on a terminal), none, json (lines on stderr)",
             .set =
                 [](Options& o, const Value& v) {
                   o.progress = v.choice<ProgressMode>({{"auto", ProgressMode::automatic},
                                                        {"none", ProgressMode::none},
                                                        {"json", ProgressMode::json}});
                 },
             .choices = {"auto", "none", "json"}});
  table.add({.names = "-v,--verbose",
             .argument = "",
             .group = Group::messages,
             .level = Level::basic,
             .help = "say more",
             .set = [](Options& o, const Value&) { o.verbose = true; }});
  table.add({.names = "--quiet",
             .argument = "",
             .group = Group::messages,
             .level = Level::basic,
             .help = "errors only",
             .set = [](Options& o, const Value&) { o.quiet = true; }});
  table.add({.names = "-h,--help",
             .argument = "",
             .group = Group::messages,
             .level = Level::basic,
             .help = "the usual options",
             .set = {}});
  table.add({.names = "--help-all",
             .argument = "",
             .group = Group::messages,
             .level = Level::basic,
             .help = "all options with their details",
             .set = {}});
  table.add({.names = "-V,--version",
             .argument = "",
             .group = Group::messages,
             .level = Level::basic,
             .help = "version",
             .set = {}});
  table.check([](Options& o, const Given&) {
    if (o.verbose && o.quiet) fail(kUsage, "--verbose and --quiet contradict each other");
  });
}

}  // namespace ups::apps
