// How wide the terminal is that messages go to.
#pragma once

#include <cstddef>
#include <string>

namespace ups::apps {

// Of the terminal on this descriptor; 0 where there is none.
size_t terminal_columns(int fd);

// The first `most` characters of UTF-8 text, the last three of them dots where some are cut off. Control
// characters, with which a file's name could command the terminal, become question marks.
std::string shortened(const std::string& text, size_t most);

}  // namespace ups::apps
