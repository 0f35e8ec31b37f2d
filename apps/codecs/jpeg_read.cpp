// JPEG -> gray or RGB of 8 bits through libjpeg-turbo, with its metadata. CMYK and YCCK become RGB. What
// libjpeg only warns about, but means missing pixels, is an error here.
// clang-format off
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>  // needs the two above
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "apps/codecs/image_io.h"
#include "apps/codecs/png_chunks.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr int kMaxScans = 300;  // a progressive file of many empty scans would keep us busy for hours

struct Reader {
  jpeg_decompress_struct j{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jmp_buf escape;
  char error[JMSG_LENGTH_MAX] = "";
  JOCTET* icc = nullptr;
  unsigned icc_bytes = 0;
  ~Reader() {
    jpeg_destroy_decompress(&j);
    free(icc);
  }
};

void on_error(j_common_ptr c) {
  Reader* r = static_cast<Reader*>(c->client_data);
  c->err->format_message(c, r->error);
  longjmp(r->escape, 1);
}

void on_message(j_common_ptr c, int level) {
  int code = c->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                    code == JWRN_MUST_RESYNC)) {
    on_error(c);
  }
}

void on_progress(j_common_ptr c) {
  if (reinterpret_cast<j_decompress_ptr>(c)->input_scan_number > kMaxScans) {
    snprintf(static_cast<Reader*>(c->client_data)->error, JMSG_LENGTH_MAX, "more than %d scans", kMaxScans);
    longjmp(static_cast<Reader*>(c->client_data)->escape, 1);
  }
}

// Steps of libjpeg, each under setjmp: objects with destructors live in the caller, never here.
bool read_header(Reader& r, std::string_view bytes) {
  r.j.err = jpeg_std_error(&r.errors);
  r.errors.error_exit = on_error;
  r.errors.emit_message = on_message;
  r.j.client_data = &r;
  if (setjmp(r.escape)) return false;
  jpeg_create_decompress(&r.j);
  r.progress.progress_monitor = on_progress;
  r.j.progress = &r.progress;
  jpeg_mem_src(&r.j, reinterpret_cast<const unsigned char*>(bytes.data()), (unsigned long)(bytes.size()));
  for (int marker : {JPEG_APP0 + 1, JPEG_APP0 + 2, JPEG_APP0 + 13, JPEG_COM})
    jpeg_save_markers(&r.j, marker, 0xffff);
  jpeg_read_header(&r.j, TRUE);
  if (!jpeg_read_icc_profile(&r.j, &r.icc, &r.icc_bytes)) r.icc_bytes = 0;
  r.j.out_color_space = r.j.num_components == 1   ? JCS_GRAYSCALE
                        : r.j.num_components == 4 ? JCS_CMYK
                                                  : JCS_RGB;
  return true;
}

bool start(Reader& r) {
  if (setjmp(r.escape)) return false;
  jpeg_start_decompress(&r.j);
  return true;
}

// output_height rows of `stride` bytes.
bool read_rows(Reader& r, uint8_t* first, size_t stride) {
  if (setjmp(r.escape)) return false;
  while (r.j.output_scanline < r.j.output_height) {
    JSAMPROW row = first + stride * r.j.output_scanline;
    jpeg_read_scanlines(&r.j, &row, 1);
  }
  jpeg_finish_decompress(&r.j);
  return true;
}

// Four bytes a pixel to three, in place: [pixels, 4] -> [pixels, 3]. Adobe stores ink inverted.
void cmyk_to_rgb(uint8_t* p, size_t pixels, bool inverted) {
  uint8_t flip = inverted ? 0 : 255;
  for (size_t i = 0; i < pixels; i++) {
    uint8_t k = p[4 * i + 3] ^ flip;
    uint8_t rgb[3];
    for (int c = 0; c < 3; c++) rgb[c] = uint8_t(((p[4 * i + c] ^ flip) * k + 127) / 255);
    memcpy(p + 3 * i, rgb, 3);
  }
}

Metadata metadata_of(const Reader& r) {
  Metadata m;
  m.icc.assign(reinterpret_cast<const char*>(r.icc), r.icc_bytes);
  const std::string exif("Exif\0\0", 6), xmp("http://ns.adobe.com/xap/1.0/\0", 29),
      iptc("Photoshop 3.0\0", 14);
  for (jpeg_saved_marker_ptr p = r.j.marker_list; p; p = p->next) {
    std::string_view data(reinterpret_cast<const char*>(p->data), p->data_length);
    if (p->marker == JPEG_APP0 + 1 && m.exif.empty() && data.substr(0, 6) == exif) m.exif = data.substr(6);
    if (p->marker == JPEG_APP0 + 1 && m.xmp.empty() && data.substr(0, 29) == xmp) m.xmp = data.substr(29);
    if (p->marker == JPEG_APP0 + 13 && m.iptc.empty() && data.substr(0, 14) == iptc) m.iptc = data;
    if (p->marker == JPEG_COM) {
      const std::string_view text = data.substr(0, data.find_last_not_of('\0') + 1);
      if (!text.empty() && text.find('\0') == text.npos)
        m.chunks.push_back(text_chunk("Comment", std::string(text)));
    }
  }
  if (r.j.saw_JFIF_marker && r.j.density_unit >= 1 && r.j.density_unit <= 2) {
    double factor = r.j.density_unit == 2 ? 2.54 : 1;
    m.dpi_x = factor * r.j.X_density, m.dpi_y = factor * r.j.Y_density;
    if (m.dpi_x <= 0 || m.dpi_y <= 0) m.dpi_x = m.dpi_y = 0;
  }
  return m;
}

}  // namespace

Image decode_jpeg(std::string_view bytes, const std::string& name) {
  Reader r;
  auto damaged = [&] { fail(kIo, name, ": is a damaged or truncated JPEG (", r.error, ")"); };
  if (!read_header(r, bytes)) damaged();
  // A block of 8x8 pixels costs at least one bit; 16 for the coarsest sampling of the finest component.
  check_plausible(r.j.image_width, r.j.image_height, bytes.size(), 64 * 8 * 16, name);
  Metadata meta = metadata_of(r);  // libjpeg forgets the markers at the end
  if (!start(r)) damaged();
  int stored = r.j.output_components;
  if (stored != 1 && stored != 3 && stored != 4) fail(kIo, name, ": is a JPEG of ", stored, " components");
  Image image = allocate_image(int(r.j.output_width), int(r.j.output_height), stored, UPS_U8);
  if (!read_rows(r, image.pixels.get(), image.row_bytes())) damaged();
  image.meta = std::move(meta);
  if (stored == 4) {
    cmyk_to_rgb(image.pixels.get(), size_t(image.width) * image.height, r.j.saw_Adobe_marker);
    image.channels = 3;
  }
  return image;
}

}  // namespace ups::apps
