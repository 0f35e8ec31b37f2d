// What is said about the options and commands, made from their tables.
#pragma once

#include <string>

#include "apps/commands.h"

namespace ups::apps {

std::string help_text(bool all);                    // --help and --help-all
std::string usage_text(const SmallSyntax& syntax);  // what COMMAND --help prints
std::string usage_line(const SmallSyntax& syntax);  // its first line
std::string manual_page();                          // troff, as `man` reads it
std::string bash_completions();                     // a script for bash-completion
std::string zsh_completions();                      // an autoloaded function, _upscale
std::string help_about(const std::string& topic);   // an option or a command; "" if there is none

}  // namespace ups::apps
