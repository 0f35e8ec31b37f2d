// The few EXIF fields an upscaler must know or change (EXIF 2.32; the block is a TIFF structure that begins
// with "II" or "MM"). Everything else in the block is carried unread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ups::apps {

int exif_orientation(std::string_view exif);  // 1..8; 1 when absent or damaged
// Dots per inch from XResolution, YResolution and ResolutionUnit; false when absent.
bool exif_resolution(std::string_view exif, double& x, double& y);
// A text field of the first directory, "" when absent.
std::string exif_text(std::string_view exif, uint16_t tag);

// In place: orientation 1 and, where such fields exist, the new size and (if dpi_x > 0) resolution.
void exif_update(std::string& exif, int width, int height, double dpi_x, double dpi_y);
// Adds a text field to the first directory; one that is there stays unless `replace`. An empty block becomes
// a new one; a damaged one is left alone.
void exif_add_text(std::string& exif, uint16_t tag, const std::string& text, bool replace = false);
// Dots per inch, unless the block says some.
void exif_add_resolution(std::string& exif, double x, double y);
// UserComment, where programs that make pictures put their parameters if a format has no texts; UTF-8. One
// that is there stays.
void exif_add_comment(std::string& exif, const std::string& text);

inline constexpr uint16_t kExifSoftware = 0x0131, kExifProcessing = 0x000b;

}  // namespace ups::apps
