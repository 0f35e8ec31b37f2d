// Image -> PNG, compressed on all cores. The filtered image is cut into strips, each compressed by libdeflate
// on its own; the strips are joined into one zlib stream (RFC 1950, 1951; PNG 1.2 chapter 6 for the filters).
//
// libdeflate always ends with a final block, so every strip but the last needs two changes: the final-block
// bit of its last block is cleared, and an empty stored block brings it to a byte boundary (what zlib calls
// a sync flush). Where those bits are is found by inflating the strip with zlib, block by block; that also
// proves the strip decodable. Both together are still faster than zlib's deflate, and denser.
#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "apps/cancel.h"
#include "apps/failure.h"
#include "apps/image_io.h"
#include "apps/png_chunks.h"

namespace ups::apps {
namespace {

constexpr size_t kStripBytes = 768 << 10;  // the loss at a cut (window, Huffman codes) is below 0.1 %

void put_u32(uint8_t* p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = uint8_t(v >> (24 - 8 * i));
}

// --- Filters -------------------------------------------------------------------------------------------

// The Paeth predictor in 16-bit arithmetic without branches, which compilers vectorise.
inline uint8_t paeth(uint8_t left, uint8_t up, uint8_t up_left) {
  int16_t to_left = int16_t(up - up_left), to_up = int16_t(left - up_left),
          to_up_left = int16_t(to_left + to_up);
  int16_t dl = int16_t(to_left < 0 ? -to_left : to_left), du = int16_t(to_up < 0 ? -to_up : to_up);
  int16_t dul = int16_t(to_up_left < 0 ? -to_up_left : to_up_left);
  uint8_t other = du <= dul ? up : up_left;
  return dl <= du && dl <= dul ? left : other;
}

// One filter of one row: f(byte, left, above, above left) -> filtered. row, above, out [n].
template <int kPx, class F>
void filter_with(const uint8_t* row, const uint8_t* above, size_t n, uint8_t* __restrict out, F f) {
  for (size_t i = 0; i < kPx; i++) out[i] = f(row[i], 0, above[i], 0);
  for (size_t i = kPx; i < n; i++) out[i] = f(row[i], row[i - kPx], above[i], above[i - kPx]);
}

// All five filters of one row; out[filter] [n]. `above` is zeros for the first row.
template <int kPx>
void filter_row(const uint8_t* row, const uint8_t* above, size_t n, std::array<uint8_t*, 5> out) {
  using u8 = uint8_t;
  memcpy(out[0], row, n);
  filter_with<kPx>(row, above, n, out[1], [](u8 v, u8 left, u8, u8) { return u8(v - left); });
  filter_with<kPx>(row, above, n, out[2], [](u8 v, u8, u8 up, u8) { return u8(v - up); });
  filter_with<kPx>(row, above, n, out[3],
                   [](u8 v, u8 left, u8 up, u8) { return u8(v - ((left + up) >> 1)); });
  filter_with<kPx>(row, above, n, out[4], [](u8 v, u8 l, u8 u, u8 ul) { return u8(v - paeth(l, u, ul)); });
}

using FilterRow = void (*)(const uint8_t*, const uint8_t*, size_t, std::array<uint8_t*, 5>);
FilterRow filter_for(int px_bytes) {
  switch (px_bytes) {
    case 1:
      return filter_row<1>;
    case 2:
      return filter_row<2>;
    case 3:
      return filter_row<3>;
    case 4:
      return filter_row<4>;
    case 6:
      return filter_row<6>;
    default:
      return filter_row<8>;
  }
}

// The sum of |signed byte|, the usual guess at which filter compresses best (PNG specification, 9.6).
uint64_t cost(const uint8_t* p, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n;) {
    uint32_t part = 0;
    for (size_t end = std::min(n, i + 65536); i < end; i++) {
      uint8_t negated = uint8_t(-p[i]);
      part += p[i] < negated ? p[i] : negated;
    }
    sum += part;
  }
  return sum;
}

// --- Strips --------------------------------------------------------------------------------------------

struct Strip {
  std::vector<uint8_t> deflated;
  size_t raw_bytes = 0;
  uint32_t adler = 1;
};

// PNG stores 16-bit samples big-endian. in [bytes] native, out [bytes].
void to_big_endian(const uint8_t* in, size_t bytes, uint8_t* out) {
  for (size_t i = 0; i < bytes; i += 2) out[i] = in[i + 1], out[i + 1] = in[i];
}

class StripEncoder {
 public:
  // taken: told which rows have been read.
  StripEncoder(const Image& image, int level, std::function<void(int, int)> taken)
      : image_(image),
        taken_(std::move(taken)),
        level_(level),
        row_bytes_(image.row_bytes()),
        swap_(image.depth == UPS_U16 && std::endian::native == std::endian::little),
        filter_(filter_for(image.channels * Image::sample_bytes(image.depth))),
        compressor_(libdeflate_alloc_compressor(level), libdeflate_free_compressor),
        scratch_(row_bytes_ * 7) {
    if (!compressor_) throw std::bad_alloc();
  }

  Strip encode(int y0, int y1, bool last) {
    image_.pending.wait(y1);
    raw_.resize((row_bytes_ + 1) * size_t(y1 - y0));
    for (int y = y0; y < y1; y++) filter(y, raw_.data() + (row_bytes_ + 1) * size_t(y - y0));
    taken_(y0, y1);
    Strip strip;
    strip.raw_bytes = raw_.size();
    strip.adler = libdeflate_adler32(1, raw_.data(), raw_.size());
    auto& out = strip.deflated;
    out.resize(libdeflate_deflate_compress_bound(compressor_.get(), raw_.size()) + 8);
    size_t n =
        libdeflate_deflate_compress(compressor_.get(), raw_.data(), raw_.size(), out.data(), out.size());
    if (n == 0) fail(kMemory, "PNG: compression failed");
    out.resize(n);
    if (!last) make_continuable(out);
    return strip;
  }

 private:
  const uint8_t* native_row(int y, uint8_t* swapped) {
    if (!swap_) return image_.row(y);
    to_big_endian(image_.row(y), row_bytes_, swapped);
    return swapped;
  }

  void filter(int y, uint8_t* out) {
    uint8_t* s = scratch_.data();
    const uint8_t* row = native_row(y, s);
    if (level_ == 0) {  // stored: filters buy nothing
      out[0] = 0;
      memcpy(out + 1, row, row_bytes_);
      return;
    }
    const uint8_t* above = s + row_bytes_;
    if (y > 0) {
      above = native_row(y - 1, s + row_bytes_);
    } else {
      memset(s + row_bytes_, 0, row_bytes_);
    }
    std::array<uint8_t*, 5> candidates;
    for (int f = 0; f < 5; f++) candidates[f] = s + row_bytes_ * size_t(2 + f);
    filter_(row, above, row_bytes_, candidates);
    int best = 0;
    uint64_t least = ~uint64_t(0);
    for (int f : {4, 2, 1, 3, 0}) {
      uint64_t c = cost(candidates[f], row_bytes_);
      if (c < least) least = c, best = f;
    }
    out[0] = uint8_t(best);
    memcpy(out + 1, candidates[best], row_bytes_);
  }

  // Clears the final bit of the last block and appends an empty stored block up to a byte boundary.
  void make_continuable(std::vector<uint8_t>& deflated) {
    z_stream z{};
    if (inflateInit2(&z, -15) != Z_OK) throw std::bad_alloc();
    std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&z, inflateEnd);
    check_.resize(256 << 10);
    z.next_in = deflated.data();
    z.avail_in = uInt(deflated.size());
    size_t last_block_bit = 0, end_bit = 0;
    while (end_bit == 0) {
      z.next_out = check_.data();
      z.avail_out = uInt(check_.size());
      int rc = inflate(&z, Z_BLOCK);
      if (rc != Z_OK) fail(kIo, "PNG: a compressed strip does not decode (zlib error ", rc, ")");
      if (!(z.data_type & 128)) continue;  // not at a block boundary: the output buffer was full
      size_t bit = size_t(z.next_in - deflated.data()) * 8 - size_t(z.data_type & 63);
      (z.data_type & 64 ? end_bit : last_block_bit) = bit;
    }
    deflated[last_block_bit / 8] &= uint8_t(~(1u << (last_block_bit % 8)));
    deflated.resize((end_bit + 3 + 7) / 8, 0);  // 3 zero bits: not final, stored
    for (uint8_t b : {0x00, 0x00, 0xff, 0xff}) deflated.push_back(b);
  }

  const Image& image_;
  std::function<void(int, int)> taken_;
  int level_;
  size_t row_bytes_;
  bool swap_;
  FilterRow filter_;
  std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor_;
  std::vector<uint8_t> scratch_, raw_, check_;
};

// --- File ----------------------------------------------------------------------------------------------

void write_chunk(OutputFile& file, const char* type, const void* data, size_t bytes) {
  uint8_t head[8], tail[4];
  put_u32(head, uint32_t(bytes));
  memcpy(head + 4, type, 4);
  uint32_t crc = libdeflate_crc32(0, head + 4, 4);
  if (bytes) crc = libdeflate_crc32(crc, data, bytes);  // of a null pointer libdeflate returns 0
  put_u32(tail, crc);
  file.write(head, 8);
  if (bytes) file.write(data, bytes);
  file.write(tail, 4);
}

// Workers take strips in order; the calling thread writes them in order. A worker runs at most kAhead strips
// per thread ahead of the writer, so memory stays bounded.
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<Strip>> done;
  int next = 0, written = 0, ahead = 0;
  bool stop = false;
  std::exception_ptr error;
  std::vector<bool> read;  // strips whose rows are in their thread's memory
  int all_read = 0;        // the first that is not
};

}  // namespace

int png_strip_rows(size_t row_bytes, int height) {
  return int(std::clamp<size_t>(kStripBytes / (row_bytes + 1), 1, size_t(height)));
}

void encode_png(OutputFile& file, const Image& image, int level, int threads) {
  if (image.depth == UPS_F32) fail(kIo, "PNG: got f32 pixels, expected 8 or 16 bits");
  static const uint8_t kColourType[5] = {0, 0, 4, 2, 6};
  file.write("\x89PNG\r\n\x1a\n", 8);
  uint8_t header[13] = {};
  put_u32(header, uint32_t(image.width));
  put_u32(header + 4, uint32_t(image.height));
  header[8] = image.depth == UPS_U16 ? 16 : 8;
  header[9] = kColourType[image.channels];
  write_chunk(file, "IHDR", header, sizeof header);
  for (const auto& c : png_chunks_of(image.meta))
    write_chunk(file, c.type.c_str(), c.data.data(), c.data.size());

  size_t row_bytes = image.row_bytes() + 1;
  int rows = png_strip_rows(row_bytes - 1, image.height);
  int strips = (image.height + rows - 1) / rows;
  if (threads <= 0) threads = int(std::max(1u, std::thread::hardware_concurrency()));
  threads = std::min(threads, strips);

  Shared shared;
  shared.done.resize(strips);
  shared.ahead = threads * 2 + 2;
  shared.read.resize(strips);
  // A strip's first row is filtered against the last one of the strip above.
  auto taken = [&](int y0, int) {
    std::lock_guard lock(shared.mutex);
    shared.read[y0 / rows] = true;
    while (shared.all_read < strips && shared.read[shared.all_read]) shared.all_read++;
    image.pending.release(std::min(image.height, shared.all_read * rows) - 1);
  };
  auto work = [&] {
    try {
      StripEncoder encoder(image, level, taken);
      for (;;) {
        int i;
        {
          std::unique_lock lock(shared.mutex);
          shared.changed.wait(lock, [&] {
            return shared.stop || shared.next >= strips || shared.next < shared.written + shared.ahead;
          });
          if (shared.stop || shared.next >= strips) return;
          i = shared.next++;
        }
        auto strip = std::make_unique<Strip>(
            encoder.encode(i * rows, std::min(image.height, (i + 1) * rows), i == strips - 1));
        std::lock_guard lock(shared.mutex);
        shared.done[i] = std::move(strip);
        shared.changed.notify_all();
      }
    } catch (...) {
      std::lock_guard lock(shared.mutex);
      if (!shared.error) shared.error = std::current_exception();
      shared.stop = true;
      shared.changed.notify_all();
    }
  };

  std::vector<std::thread> workers;
  struct Join {
    Shared& s;
    std::vector<std::thread>& t;
    ~Join() {
      {
        std::lock_guard lock(s.mutex);
        s.stop = true;
      }
      s.changed.notify_all();
      for (auto& x : t) x.join();
    }
  } join{shared, workers};
  for (int i = 0; i < threads; i++) workers.emplace_back(work);

  uint32_t adler = 1;
  for (int i = 0; i < strips; i++) {
    std::unique_ptr<Strip> strip;
    {
      std::unique_lock lock(shared.mutex);
      shared.changed.wait(lock, [&] { return shared.error || shared.done[i]; });
      if (shared.error) std::rethrow_exception(shared.error);
      strip = std::move(shared.done[i]);
      shared.written = i + 1;
    }
    shared.changed.notify_all();
    throw_if_cancelled();
    adler = uint32_t(adler32_combine(adler, strip->adler, z_off_t(strip->raw_bytes)));
    auto& data = strip->deflated;
    if (i == 0) data.insert(data.begin(), {0x78, 0x9c});  // zlib header: deflate, 32 KiB window
    if (i == strips - 1) {
      data.resize(data.size() + 4);
      put_u32(data.data() + data.size() - 4, adler);
    }
    write_chunk(file, "IDAT", data.data(), data.size());
  }
  write_chunk(file, "IEND", nullptr, 0);
}

}  // namespace ups::apps
