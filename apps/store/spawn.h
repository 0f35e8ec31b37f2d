// Runs another program without a shell.
#pragma once

#include <string>
#include <vector>

namespace ups::apps {

// arguments[0] is looked up in PATH. Output and errors go to the file log_path. Returns the exit
// status, 127 when the program does not exist, 128 + n when signal n ended it.
int spawn(const std::vector<std::string>& arguments, const std::string& log_path);

}  // namespace ups::apps
