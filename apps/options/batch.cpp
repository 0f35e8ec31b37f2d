// Folders of files: which are read, how results are called, what happens to those that exist.
#include "apps/options/registry.h"

namespace ups::apps {

void add_batch_options(OptionTable& table) {
  table.add({.names = "-R,--recursive",
             .argument = "",
             .group = Group::batch,
             .level = Level::basic,
             .help = "folders with their sub-folders, mirrored in the output folder",
             .set = [](Options& o, const Value&) { o.recursive = true; }});
  table.add({.names = "--skip-existing",
             .argument = "",
             .group = Group::batch,
             .level = Level::basic,
             .help = "leave outputs that exist alone",
             .set = [](Options& o, const Value&) { o.skip_existing = true; }});
  table.add({.names = "--overwrite",
             .argument = "",
             .group = Group::batch,
             .level = Level::advanced,
             .help = "replace outputs that exist (the default)",
             .set = {}});
  table.add({.names = "--suffix",
             .argument = "S",
             .group = Group::batch,
             .level = Level::basic,
             .help = "added to the names in an output folder",
             .set = [](Options& o, const Value& v) {
               o.suffix = v.text;
               if (v.text.find('/') != v.text.npos)
                 fail(kUsage, "--suffix: got '", v.text, "', expected no /");
             }});
  table.add({.names = "--name",
             .argument = "PATTERN",
             .group = Group::batch,
             .level = Level::advanced,
             .help = "names in an output folder from {stem}, {ext}, {model}, {scale} and {index}",
             .details = "For example \"{stem}_{model}_{scale}x\".",
             .set = [](Options& o, const Value& v) { o.name = v.text; }});
  table.check([](Options&, const Given& given) {
    if (given("--overwrite") && given("--skip-existing"))
      fail(kUsage, "--overwrite and --skip-existing contradict each other");
  });
}

}  // namespace ups::apps
