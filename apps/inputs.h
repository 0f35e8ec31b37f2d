// From the inputs named on the command line to a list of image files: folders, patterns and lists.
#pragma once

#include <string>
#include <vector>

#include "apps/options.h"

namespace ups::apps {

// One input: the file, and where below the output folder its result belongs.
struct Input {
  std::string path, folder;
};

struct Inputs {
  std::vector<Input> files;  // folders sorted by path, in the order of the command line
  bool several = false;      // a folder, a pattern or a list was named: results go into a folder
};

// A name that exists is what it is; else @FILE is a list of paths, one a line, and a name with * ? or [ a
// pattern. Listed files need not exist: they fail when their turn comes. Throws Failure.
Inputs list_inputs(const Options& options);

}  // namespace ups::apps
