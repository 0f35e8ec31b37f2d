// Gray or RGB of 8 bits -> JPEG through libjpeg-turbo, with its metadata.

// clang-format off
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>  // needs the two above
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <exception>

#include "apps/codecs/image_io.h"
#include "apps/codecs/png_chunks.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr size_t kMaxSegment = 65533;

struct Writer {
  jpeg_compress_struct j{};
  jpeg_error_mgr errors{};
  jpeg_destination_mgr destination{};
  jmp_buf escape;
  char error[JMSG_LENGTH_MAX] = "";
  OutputFile* file = nullptr;
  std::exception_ptr thrown;  // must not fly through C code
  uint8_t buffer[1 << 16];
  ~Writer() { jpeg_destroy_compress(&j); }
};

void on_error(j_common_ptr c) {
  Writer* w = static_cast<Writer*>(c->client_data);
  c->err->format_message(c, w->error);
  longjmp(w->escape, 1);
}

bool flush(Writer* w, size_t n) {
  try {
    w->file->write(w->buffer, n);
    return true;
  } catch (...) {
    w->thrown = std::current_exception();
    return false;
  }
}

void reset(j_compress_ptr j) {
  Writer* w = static_cast<Writer*>(j->client_data);
  w->destination.next_output_byte = w->buffer;
  w->destination.free_in_buffer = sizeof w->buffer;
}
boolean on_full(j_compress_ptr j) {
  Writer* w = static_cast<Writer*>(j->client_data);
  if (!flush(w, sizeof w->buffer)) longjmp(w->escape, 1);
  reset(j);
  return TRUE;
}
void on_end(j_compress_ptr j) {
  Writer* w = static_cast<Writer*>(j->client_data);
  if (!flush(w, sizeof w->buffer - w->destination.free_in_buffer)) longjmp(w->escape, 1);
}

void put_segment(Writer& w, int marker, const char* head, size_t head_bytes, const std::string& body) {
  if (body.empty() || head_bytes + body.size() > kMaxSegment) return;
  jpeg_write_m_header(&w.j, JPEG_APP0 + marker, unsigned(head_bytes + body.size()));
  for (size_t i = 0; i < head_bytes; i++) jpeg_write_m_byte(&w.j, uint8_t(head[i]));
  for (char c : body) jpeg_write_m_byte(&w.j, uint8_t(c));
}

// A comment that is longer than a segment goes into several.
void put_comment(Writer& w, const std::string& text) {
  for (size_t at = 0; at < text.size(); at += kMaxSegment) {
    const size_t n = std::min(kMaxSegment, text.size() - at);
    jpeg_write_marker(&w.j, JPEG_COM, reinterpret_cast<const JOCTET*>(text.data()) + at, unsigned(n));
  }
}

// Under setjmp: objects with destructors live in the caller, never here.
bool write(Writer& w, const Image& image, const std::vector<std::string>& comments, int quality) {
  w.j.err = jpeg_std_error(&w.errors);
  w.errors.error_exit = on_error;
  w.errors.emit_message = [](j_common_ptr, int) {};
  w.j.client_data = &w;
  if (setjmp(w.escape)) return false;
  jpeg_create_compress(&w.j);
  w.destination.init_destination = reset;
  w.destination.empty_output_buffer = on_full;
  w.destination.term_destination = on_end;
  w.j.dest = &w.destination;
  w.j.image_width = JDIMENSION(image.width);
  w.j.image_height = JDIMENSION(image.height);
  w.j.input_components = image.channels;
  w.j.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&w.j);
  jpeg_set_quality(&w.j, quality, TRUE);
  w.j.optimize_coding = TRUE;
  if (quality > 90) w.j.comp_info[0].h_samp_factor = w.j.comp_info[0].v_samp_factor = 1;  // 4:4:4
  const Metadata& m = image.meta;
  if (m.dpi_x > 0) {
    w.j.density_unit = 1;
    w.j.X_density = UINT16(std::clamp(std::lround(m.dpi_x), 1l, 65535l));
    w.j.Y_density = UINT16(std::clamp(std::lround(m.dpi_y), 1l, 65535l));
  }
  jpeg_start_compress(&w.j, TRUE);
  put_segment(w, 1, "Exif\0\0", 6, m.exif);
  put_segment(w, 1, "http://ns.adobe.com/xap/1.0/\0", 29, m.xmp);
  put_segment(w, 13, "", 0, m.iptc);
  if (!m.icc.empty() && m.icc.size() <= 255 * size_t(65519)) {
    jpeg_write_icc_profile(&w.j, reinterpret_cast<const JOCTET*>(m.icc.data()), unsigned(m.icc.size()));
  }
  for (const std::string& text : comments) put_comment(w, text);
  while (w.j.next_scanline < w.j.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.row(int(w.j.next_scanline)));
    jpeg_write_scanlines(&w.j, &row, 1);
  }
  jpeg_finish_compress(&w.j);
  return true;
}

}  // namespace

void encode_jpeg(OutputFile& file, const Image& image, int quality) {
  auto w = std::make_unique<Writer>();
  w->file = &file;
  if (write(*w, image, texts_of(image.meta, "Comment"), quality)) return;
  if (w->thrown) std::rethrow_exception(w->thrown);
  fail(kIo, file.path(), ": JPEG encoding failed (", w->error, ")");
}

}  // namespace ups::apps
