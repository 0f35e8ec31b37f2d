// From what was asked on the command line to a list of (input file, output file).
#pragma once

#include <string>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/options.h"

namespace ups::apps {

struct Job {
  std::string in, out;
  Format format;  // of out
};

// Lists the inputs, decides names and formats, creates output folders, refuses outputs that are inputs; with
// --shard, every Nth of them. What exists or is done already is still in the list. Throws Failure(kUsage) or
// Failure(kIo).
std::vector<Job> list_jobs(const Options& options);

}  // namespace ups::apps
