// libzip, bounded.
#include "apps/store/wheel.h"

#include <zip.h>

#include <memory>
#include <vector>

#include "apps/failure.h"
#include "apps/output_file.h"

namespace ups::apps {

void extract_member(const std::string& archive, const std::string& member, const std::string& out,
                    int64_t max_bytes) {
  int code = 0;
  std::unique_ptr<zip_t, void (*)(zip_t*)> zip(zip_open(archive.c_str(), ZIP_RDONLY, &code), zip_discard);
  if (!zip) fail(kIo, archive, ": is not a readable zip archive (libzip error ", code, ")");
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat(zip.get(), member.c_str(), 0, &stat) != 0 || !(stat.valid & ZIP_STAT_SIZE)) {
    fail(kIo, archive, ": has no member ", member);
  }
  if (stat.size > uint64_t(max_bytes)) {
    fail(kIo, archive, ": member ", member, " has ", stat.size, " bytes, expected at most ", max_bytes);
  }
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> in(zip_fopen(zip.get(), member.c_str(), 0), zip_fclose);
  if (!in) fail(kIo, archive, ": member ", member, " cannot be read");
  OutputFile file(out);
  std::vector<char> buffer(1 << 20);
  for (uint64_t left = stat.size; left > 0;) {
    zip_int64_t n = zip_fread(in.get(), buffer.data(), std::min<uint64_t>(left, buffer.size()));
    if (n <= 0) fail(kIo, archive, ": member ", member, " is damaged");
    file.write(buffer.data(), size_t(n));
    left -= uint64_t(n);
  }
  file.commit();
}

}  // namespace ups::apps
