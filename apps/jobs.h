// From what was asked on the command line to a list of (input file, output file).
#pragma once

#include <string>
#include <vector>

#include "apps/image_io.h"
#include "apps/options.h"

namespace ups::apps {

struct Job {
  std::string in, out;
  Format format;  // of out
};

// Lists folders (their sub-folders with --recursive, mirrored), decides names and formats, creates an output
// folder, refuses outputs that are inputs. Throws Failure(kUsage) or Failure(kIo).
std::vector<Job> list_jobs(const Options& options);

}  // namespace ups::apps
