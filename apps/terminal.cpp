// Terminals, by ioctl.
#include "apps/terminal.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>

namespace ups::apps {

size_t terminal_columns(int fd) {
  winsize window{};
  return ioctl(fd, TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
}

std::string printable(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const uint8_t lead = uint8_t(text[i]);
    const size_t n = lead < 0x80   ? 1
                     : lead < 0xc2 ? 0
                     : lead < 0xe0 ? 2
                     : lead < 0xf0 ? 3
                     : lead < 0xf5 ? 4
                                   : 0;
    bool whole = n > 0 && i + n <= text.size() &&
                 std::all_of(text.begin() + i + 1, text.begin() + i + n,
                             [](char c) { return (uint8_t(c) & 0xc0) == 0x80; });
    if (whole && n > 2) {  // overlong forms, surrogates, beyond U+10FFFF
      const uint8_t next = uint8_t(text[i + 1]);
      whole = !(lead == 0xe0 && next < 0xa0) && !(lead == 0xed && next >= 0xa0) &&
              !(lead == 0xf0 && next < 0x90) && !(lead == 0xf4 && next >= 0x90);
    }
    const bool control =
        lead < 0x20 || lead == 0x7f || (lead == 0xc2 && whole && uint8_t(text[i + 1]) < 0xa0);
    const size_t taken = whole ? n : 1;
    out += whole && !control ? text.substr(i, taken) : "?";
    i += taken;
  }
  return out;
}

void print_line(FILE* to, const char* format, ...) {
  va_list values, again;
  va_start(values, format);
  va_copy(again, values);
  std::string line(size_t(std::max(vsnprintf(nullptr, 0, format, values), 0)) + 1, '\0');
  vsnprintf(line.data(), line.size(), format, again);
  va_end(again);
  va_end(values);
  line.pop_back();
  line = printable(line) + "\n";
  fwrite(line.data(), 1, line.size(), to);
}

std::string shortened(const std::string& name, size_t most) {
  const std::string text = printable(name);
  std::string out;
  size_t characters = 0, keep = 0;  // keep: bytes before the dots
  for (const char c : text) {
    const bool continues = (uint8_t(c) & 0xc0) == 0x80;  // of a UTF-8 sequence
    if (!continues && ++characters > most) return most > 3 ? out.substr(0, keep) + "..." : out;
    if (!continues && characters + 3 == most + 1) keep = out.size();
    out += c;
  }
  return out;
}

}  // namespace ups::apps
