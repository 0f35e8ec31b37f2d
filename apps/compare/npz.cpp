// Reads the header of .npy, version 1 to 3.
#include "apps/compare/npz.h"

#include <bit>

#include "apps/failure.h"
#include "apps/zip_member.h"

namespace ups::apps {

constexpr int64_t kMaxMemberBytes = 1 << 20;

std::vector<double> npz_array(std::string_view archive, const std::string& name, int64_t rows,
                              int64_t columns, const std::string& file) {
  const std::string member = name + ".npy", bytes = zip_member(archive, member, kMaxMemberBytes, file);
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
