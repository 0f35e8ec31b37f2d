// Fuzzes what reads, changes and copies EXIF blocks; the block's byte order mark is put in front.
#include "apps/codecs/exif.h"

#include <string>

#include "apps/codecs/exif_directories.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ups::apps;
  if (size == 0) return 0;
  std::string block = data[0] & 1 ? std::string("II*\0", 4) : std::string("MM\0*", 4);
  block.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  double x = 0, y = 0;
  exif_resolution(block, x, y);
  for (uint16_t tag : {kExifSoftware, kExifProcessing, uint16_t(0x010f)}) exif_text(block, tag);
  exif_update(block, 640, 480, 300, 300);
  if (exif_orientation(block) < 1 || exif_orientation(block) > 8) __builtin_trap();
  exif_add_text(block, kExifSoftware, "a program");
  exif_add_text(block, kExifProcessing, "and a model", true);
  exif_add_resolution(block, 300, 300);
  exif_add_comment(block, block.substr(0, 20));
  exif_text(block, kExifSoftware);
  for (bool big : {false, true}) {  // of whole files, too
    block[2] = block[0] == 'I' ? (big ? '+' : '*') : '\0';
    block[3] = block[0] == 'I' ? '\0' : (big ? '+' : '*');
    const std::string copy = exif_block(exif_directories(block), data[0] & 2, big);
    if (copy.size() > 3 * block.size() + 200) __builtin_trap();
    if (!copy.empty() && exif_directories(copy).empty()) __builtin_trap();
  }
  return 0;
}
