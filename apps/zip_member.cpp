// libzip over memory.
#include "apps/zip_member.h"

#include <zip.h>

#include <memory>

#include "apps/failure.h"

namespace ups::apps {

std::string zip_member(std::string_view archive, const std::string& member, int64_t max_bytes,
                       const std::string& file) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(archive.data(), archive.size(), 0, &error);
  if (!source) fail(kIo, file, ": cannot be read as a zip archive");
  std::unique_ptr<zip_t, void (*)(zip_t*)> zip(zip_open_from_source(source, ZIP_RDONLY, &error), zip_discard);
  if (!zip) {
    zip_source_free(source);
    fail(kIo, file, ": is not a readable zip archive");
  }
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat(zip.get(), member.c_str(), 0, &stat) != 0 || !(stat.valid & ZIP_STAT_SIZE))
    fail(kIo, file, ": has no member ", member);
  if (stat.size > uint64_t(max_bytes))
    fail(kIo, file, ": ", member, " has ", stat.size, " bytes, expected at most ", max_bytes);
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> in(zip_fopen(zip.get(), member.c_str(), 0), zip_fclose);
  std::string bytes(size_t(stat.size), '\0');
  size_t got = 0;
  while (in && got < bytes.size()) {
    const zip_int64_t n = zip_fread(in.get(), bytes.data() + got, bytes.size() - got);
    if (n <= 0) break;
    got += size_t(n);
  }
  if (!in || got < bytes.size()) fail(kIo, file, ": ", member, " is damaged");
  return bytes;
}

}  // namespace ups::apps
