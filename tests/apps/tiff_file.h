// TIFF files made with libtiff alone.
#pragma once

#include <tiffio.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/apps/process.h"

namespace ups::testing {

struct TiffFile {
  int width, height, samples, bits;
  int photometric = PHOTOMETRIC_RGB, planar = PLANARCONFIG_CONTIG, compression = COMPRESSION_NONE;
  int alpha = -1;  // EXTRASAMPLE_...
  int tile = 0;
  int orientation = 1;
  const char* mode = "w";
};

// rows(y, plane) are in file sample order. Written by libtiff into a file.
inline std::string libtiff_bytes(const TiffFile& f, const std::vector<uint8_t>& rows) {
  TemporaryFolder folder;
  TIFF* t = TIFFOpen((folder / "x.tif").c_str(), f.mode);
  TIFFSetField(t, TIFFTAG_IMAGEWIDTH, f.width);
  TIFFSetField(t, TIFFTAG_IMAGELENGTH, f.height);
  TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, f.samples);
  TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, f.bits);
  TIFFSetField(t, TIFFTAG_PHOTOMETRIC, f.photometric);
  TIFFSetField(t, TIFFTAG_PLANARCONFIG, f.planar);
  TIFFSetField(t, TIFFTAG_COMPRESSION, f.compression);
  TIFFSetField(t, TIFFTAG_ORIENTATION, f.orientation);
  uint16_t kind = uint16_t(f.alpha);
  if (f.alpha >= 0) TIFFSetField(t, TIFFTAG_EXTRASAMPLES, 1, &kind);
  std::vector<uint16_t> map(768);
  if (f.photometric == PHOTOMETRIC_PALETTE) {
    for (int i = 0; i < 256; i++)
      map[i] = uint16_t(i * 257), map[256 + i] = uint16_t((255 - i) * 257), map[512 + i] = 0;
    TIFFSetField(t, TIFFTAG_COLORMAP, &map[0], &map[256], &map[512]);
  }
  int planes = f.planar == PLANARCONFIG_SEPARATE ? f.samples : 1, per = f.samples / planes;
  size_t px = size_t(per) * f.bits / 8, stride = px * f.width;
  if (f.tile) {
    TIFFSetField(t, TIFFTAG_TILEWIDTH, f.tile);
    TIFFSetField(t, TIFFTAG_TILELENGTH, f.tile);
    std::vector<uint8_t> block(px * f.tile * f.tile);
    for (int p = 0; p < planes; p++) {
      for (int y = 0; y < f.height; y += f.tile) {
        for (int x = 0; x < f.width; x += f.tile) {
          for (int k = 0; k < std::min(f.tile, f.height - y); k++) {
            memcpy(&block[k * f.tile * px], &rows[(size_t(p) * f.height + y + k) * stride + x * px],
                   std::min(f.tile, f.width - x) * px);
          }
          TIFFWriteTile(t, block.data(), x, y, 0, p);
        }
      }
    }
  } else {
    TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, 3);
    for (int p = 0; p < planes; p++) {
      for (int y = 0; y < f.height; y++) {
        auto line = std::vector<uint8_t>(&rows[(size_t(p) * f.height + y) * stride],
                                         &rows[(size_t(p) * f.height + y) * stride] + stride);
        TIFFWriteScanline(t, line.data(), y, p);
      }
    }
  }
  TIFFClose(t);
  return slurp(folder / "x.tif");
}

}  // namespace ups::testing
