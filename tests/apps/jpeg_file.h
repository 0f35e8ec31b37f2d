// JPEG files made and read with libjpeg alone.
#pragma once

// clang-format off
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>  // needs the two above
// clang-format on

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace ups::testing {

struct JpegFile {
  int width = 16, height = 16, components = 3;
  J_COLOR_SPACE in = JCS_RGB, stored = JCS_YCbCr;
  bool progressive = false;
  std::vector<uint8_t> rows;
  std::vector<std::pair<int, std::string>> segments{};  // APPn number, payload
  std::string icc{};
  int dpi = 0;
  std::string comment{};
  int restart_rows = 0;
};

inline std::string libjpeg_bytes(const JpegFile& f) {
  jpeg_compress_struct j;
  jpeg_error_mgr errors;
  j.err = jpeg_std_error(&errors);
  jpeg_create_compress(&j);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&j, &out, &size);
  j.image_width = JDIMENSION(f.width), j.image_height = JDIMENSION(f.height);
  j.input_components = f.components, j.in_color_space = f.in;
  jpeg_set_defaults(&j);
  jpeg_set_colorspace(&j, f.stored);
  jpeg_set_quality(&j, 98, TRUE);
  if (f.progressive) jpeg_simple_progression(&j);
  if (f.dpi) j.density_unit = 1, j.X_density = j.Y_density = UINT16(f.dpi);
  j.restart_in_rows = f.restart_rows;
  jpeg_start_compress(&j, TRUE);
  for (const auto& [n, data] : f.segments) {
    jpeg_write_marker(&j, JPEG_APP0 + n, reinterpret_cast<const JOCTET*>(data.data()), unsigned(data.size()));
  }
  if (!f.comment.empty())
    jpeg_write_marker(&j, JPEG_COM, reinterpret_cast<const JOCTET*>(f.comment.data()),
                      unsigned(f.comment.size()));
  if (!f.icc.empty())
    jpeg_write_icc_profile(&j, reinterpret_cast<const JOCTET*>(f.icc.data()), unsigned(f.icc.size()));
  for (int y = 0; y < f.height; y++) {
    JSAMPROW row = const_cast<uint8_t*>(f.rows.data()) + size_t(y) * f.width * f.components;
    jpeg_write_scanlines(&j, &row, 1);
  }
  jpeg_finish_compress(&j);
  jpeg_destroy_compress(&j);
  std::string bytes(reinterpret_cast<char*>(out), size);
  free(out);
  return bytes;
}

// What libjpeg sees in a file: segments, profile, density, size.
struct JpegSeen {
  int width = 0, height = 0, components = 0, dpi = 0;
  std::vector<std::pair<int, std::string>> segments;
  std::string icc;
  std::vector<std::string> comments{};
  std::string segment(const std::string& head) const {
    for (const auto& [n, data] : segments) {
      if (data.rfind(head, 0) == 0) return data.substr(head.size());
    }
    return "";
  }
};

inline JpegSeen libjpeg_see(const std::string& bytes) {
  jpeg_decompress_struct j;
  jpeg_error_mgr errors;
  j.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&j);
  jpeg_mem_src(&j, reinterpret_cast<const unsigned char*>(bytes.data()), (unsigned long)bytes.size());
  for (int n = 0; n < 16; n++) jpeg_save_markers(&j, JPEG_APP0 + n, 0xffff);
  jpeg_save_markers(&j, JPEG_COM, 0xffff);
  jpeg_read_header(&j, TRUE);
  JpegSeen seen{int(j.image_width), int(j.image_height), j.num_components, 0, {}, {}, {}};
  if (j.density_unit == 1) seen.dpi = j.X_density;
  for (auto* m = j.marker_list; m; m = m->next) {
    const std::string data(reinterpret_cast<char*>(m->data), m->data_length);
    if (m->marker == JPEG_COM)
      seen.comments.push_back(data);
    else
      seen.segments.emplace_back(m->marker - JPEG_APP0, data);
  }
  JOCTET* icc = nullptr;
  unsigned n = 0;
  if (jpeg_read_icc_profile(&j, &icc, &n)) seen.icc.assign(reinterpret_cast<char*>(icc), n);
  free(icc);
  jpeg_destroy_decompress(&j);
  return seen;
}

}  // namespace ups::testing
