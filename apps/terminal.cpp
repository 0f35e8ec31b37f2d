// Terminals, by ioctl.
#include "apps/terminal.h"

#include <sys/ioctl.h>

#include <cstdint>

namespace ups::apps {

size_t terminal_columns(int fd) {
  winsize window{};
  return ioctl(fd, TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
}

std::string shortened(const std::string& text, size_t most) {
  std::string out;
  size_t characters = 0, keep = 0;  // keep: bytes before the dots
  for (const char c : text) {
    const bool continues = (uint8_t(c) & 0xc0) == 0x80;  // of a UTF-8 sequence
    if (!continues && ++characters > most) return most > 3 ? out.substr(0, keep) + "..." : out;
    if (!continues && characters + 3 == most + 1) keep = out.size();
    out += uint8_t(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out;
}

}  // namespace ups::apps
