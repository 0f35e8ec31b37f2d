// The part of a TIFF structure that is about the picture and not its pixels: EXIF 2.32's directories, which
// may lie in an EXIF block or in a whole TIFF file, classic or BigTIFF, of either byte order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ups::apps {

struct ExifField {
  uint16_t tag = 0, type = 0;  // type: TIFF 6.0's, 1..12
  uint64_t count = 0;
  std::string_view value;  // as stored, in the structure's byte order
};

struct ExifDirectories {
  bool little = true, big = false;  // big: 64-bit offsets
  std::vector<ExifField> picture;   // the first directory, without what describes the storage of pixels
  std::vector<ExifField> exif, gps, interoperability;
  bool empty() const { return picture.empty() && exif.empty() && gps.empty() && interoperability.empty(); }
};

// Views into `tiff`. Entries that are damaged or whose values together exceed the structure are left out;
// sub-directories are followed only where the standard has them, so nothing can loop.
ExifDirectories exif_directories(std::string_view tiff);

// A block of their own in this byte order, with offsets of 64 bits if `big`; "" if there is nothing.
std::string exif_block(const ExifDirectories& directories, bool little, bool big);

// Where a directory of a block begins; 0: there is none.
enum class ExifDirectory : uint16_t { exif = 0x8769, gps = 0x8825, interoperability = 0xa005 };
uint64_t exif_directory_offset(std::string_view block, ExifDirectory which);

}  // namespace ups::apps
