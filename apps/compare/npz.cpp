// libzip for the archive, the header of .npy (version 1 to 3) by hand.
#include "apps/compare/npz.h"

#include <zip.h>

#include <bit>
#include <cstring>
#include <memory>

#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr uint64_t kMaxMemberBytes = 1 << 20;

std::string member_of(std::string_view archive, const std::string& member, const std::string& file) {
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
  if (stat.size > kMaxMemberBytes)
    fail(kIo, file, ": ", member, " has ", stat.size, " bytes, expected at most ", kMaxMemberBytes);
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

}  // namespace

std::vector<double> npz_array(std::string_view archive, const std::string& name, int64_t rows,
                              int64_t columns, const std::string& file) {
  const std::string member = name + ".npy", bytes = member_of(archive, member, file);
  auto bad = [&](const char* what) { fail(kIo, file, ": ", member, " ", what); };
  // "\x93NUMPY", major, minor, length of the header in 2 bytes (version 1) or 4, the header, the numbers.
  if (bytes.size() < 12 || bytes.compare(0, 6, "\x93NUMPY") != 0) bad("is not an array of NumPy");
  const int length_bytes = bytes[6] == 1 ? 2 : 4;
  uint64_t length = 0;
  for (int i = length_bytes; i-- > 0;) length = length << 8 | uint8_t(bytes[size_t(8 + i)]);
  const uint64_t data = 8 + uint64_t(length_bytes) + length;
  if (data > bytes.size()) bad("has a damaged header");
  // NumPy writes this dictionary in one form only.
  const std::string header = bytes.substr(size_t(8 + length_bytes), size_t(length));
  auto says = [&](const std::string& text) { return header.find(text) != header.npos; };
  const std::string shape = "'shape': (" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
  if (!says("'descr': '<f8'")) bad("is not of type float64");
  if (!says(shape)) bad(("is not of " + shape.substr(9)).c_str());
  const size_t count = size_t(rows) * size_t(columns);
  if (bytes.size() - data != count * sizeof(double)) bad("has the wrong length");
  const bool columns_first = says("'fortran_order': True");
  std::vector<double> out(count);
  for (size_t i = 0; i < count; i++) {
    uint64_t bits = 0;
    for (size_t k = 8; k-- > 0;) bits = bits << 8 | uint8_t(bytes[size_t(data) + i * 8 + k]);
    const size_t to = columns_first ? i % size_t(rows) * size_t(columns) + i / size_t(rows) : i;
    out[to] = std::bit_cast<double>(bits);
  }
  return out;
}

}  // namespace ups::apps
