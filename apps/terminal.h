// What a terminal may get, and how wide it is.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace ups::apps {

// Of the terminal on this descriptor; 0 where there is none.
size_t terminal_columns(int fd);

// Control characters, with which a file's name could command the terminal or end the line, become question
// marks, and so do bytes that are not UTF-8.
std::string printable(const std::string& text);

// printf of one line without its end, made printable.
[[gnu::format(printf, 2, 3)]] void print_line(FILE* to, const char* format, ...);

// The first `most` characters of UTF-8 text, made printable, the last three of them dots where some are cut
// off.
std::string shortened(const std::string& text, size_t most);

}  // namespace ups::apps
