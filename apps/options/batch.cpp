// Folders of files: which are read, how results are called, what happens to those that exist.
#include "apps/options/registry.h"

namespace ups::apps {
namespace {

void set_shard(Options& o, const Value& v) {
  size_t slash = v.text.find('/');
  if (slash == v.text.npos) fail(kUsage, "--shard: got '", v.text, "', expected I/N such as 3/16");
  o.shard_count = int(v.with(v.text.substr(slash + 1)).integer(1, 1000000));
  o.shard = int(v.with(v.text.substr(0, slash)).integer(1, o.shard_count));
}

}  // namespace

void add_batch_options(OptionTable& table) {
  table.add(
      {.names = "-R,--recursive",
       .argument = "",
       .group = Group::batch,
       .level = Level::basic,
       .help = "folders with their sub-folders, mirrored in the output folder",
       .details =
           "Relative paths of a list or pattern are mirrored too. Links to folders, hidden names and the "
           "output folder itself are left out.",
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
             .details = "As with the ncnn tools, a run makes all its outputs unless told otherwise.",
             .set = {}});
  table.add({.names = "--resume",
             .argument = "FILE",
             .group = Group::batch,
             .level = Level::basic,
             .help = "note what is done in FILE and leave it out next time",
             .details =
                 "One JSON object a line. An input counts as done while its size and time, the options that "
                 "decide the result, and the output's size are as noted. Files that failed are tried again.",
             .set = [](Options& o, const Value& v) { o.resume = v.text; },
             .completes = Completes::file});
  table.add({.names = "--shard",
             .argument = "I/N",
             .group = Group::batch,
             .level = Level::advanced,
             .help = "only the Ith of N parts of the list, I from 1 to N, for arrays of jobs",
             .details =
                 "The parts are the same in every process as long as the inputs are: every Nth file of the "
                 "sorted list.",
             .set = set_shard});
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
