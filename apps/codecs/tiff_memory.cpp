// The callbacks of TIFFClientOpen.
#include "apps/codecs/tiff_memory.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string_view>

namespace ups::apps {
namespace {

thread_local std::string message;

// Tags whose value the pixels do not depend on: libtiff calls a wrong one an error and goes on without it.
bool harmless(std::string_view text) {
  for (const char* tag : {"\"Orientation\" tag", "\"ResolutionUnit\" tag"}) {
    if (text.find(": Bad value ") != text.npos && text.find(tag) != text.npos) return true;
  }
  return false;
}

void keep_message(const char*, const char* format, va_list arguments) {
  char text[512];
  vsnprintf(text, sizeof text, format, arguments);
  if (harmless(text)) return;
  if (message.empty()) message = text;  // the first says most
  for (char& c : message) {
    if (uint8_t(c) < 32 || uint8_t(c) > 126) c = '?';  // names in a hostile file
  }
}

// Fields cut off by the end of the file are only a warning to libtiff.
void keep_warning(const char* module, const char* format, va_list arguments) {
  if (std::string_view(format).rfind("IO error", 0) == 0) keep_message(module, format, arguments);
}

TiffMemory* of(thandle_t h) { return static_cast<TiffMemory*>(h); }
size_t size_of(const TiffMemory* m) { return m->file ? m->size : m->in.size(); }

tmsize_t on_read(thandle_t h, void* to, tmsize_t n) {
  TiffMemory* m = of(h);
  if (n <= 0 || m->at >= size_of(m)) return 0;
  size_t got = std::min(size_t(n), size_of(m) - m->at);
  if (m->file) {
    try {
      got = m->file->read_at(m->at, to, got);
    } catch (...) {
      m->error = std::current_exception();
      return -1;
    }
  } else {
    memcpy(to, m->in.data() + m->at, got);
  }
  m->at += got;
  return tmsize_t(got);
}

tmsize_t on_write(thandle_t h, void* from, tmsize_t n) {
  TiffMemory* m = of(h);
  if (!m->file || n < 0) return -1;
  try {
    m->file->write_at(m->at, from, size_t(n));
  } catch (...) {
    m->error = std::current_exception();
    return -1;
  }
  m->at += size_t(n);
  m->size = std::max(m->size, m->at);
  return n;
}

toff_t on_seek(thandle_t h, toff_t offset, int whence) {
  TiffMemory* m = of(h);
  m->at = size_t(whence == SEEK_SET ? offset : whence == SEEK_CUR ? m->at + offset : size_of(m) + offset);
  return m->at;
}

}  // namespace

TiffHandle open_tiff(TiffMemory& memory, const char* mode) {
  static std::once_flag once;
  std::call_once(once, [] {
    TIFFSetErrorHandler(keep_message);
    TIFFSetWarningHandler(keep_warning);
  });
  message.clear();
  // "m": no memory mapping; reads go through on_read, which checks them.
  return TiffHandle(TIFFClientOpen(
      "", (std::string(mode) + "m").c_str(), &memory, on_read, on_write, on_seek, [](thandle_t) { return 0; },
      [](thandle_t h) { return toff_t(size_of(of(h))); }, nullptr, nullptr));
}

const std::string& tiff_message() { return message; }

}  // namespace ups::apps
