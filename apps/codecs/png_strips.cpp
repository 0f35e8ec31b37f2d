// The filtered image is cut into strips, each compressed by libdeflate on its own; the strips are joined into
// one zlib stream (RFC 1950, 1951; PNG 1.2 chapter 6 for the filters).
//
// libdeflate always ends with a final block, so every strip but the last needs two changes: the final-block
// bit of its last block is cleared, and an empty stored block brings it to a byte boundary (what zlib calls
// a sync flush). Where those bits are is found by inflating the strip with zlib, block by block; that also
// proves the strip decodable. Both together are still faster than zlib's deflate, and denser.
#include "apps/codecs/png_strips.h"

#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "apps/failure.h"

namespace ups::apps {
namespace {

constexpr size_t kStripBytes = 768 << 10;  // the loss at a cut (window, Huffman codes) is below 0.1 %

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

// PNG stores 16-bit samples big-endian. in [bytes] native, out [bytes].
void to_big_endian(const uint8_t* in, size_t bytes, uint8_t* out) {
  for (size_t i = 0; i < bytes; i += 2) out[i] = in[i + 1], out[i + 1] = in[i];
}

class StripEncoder {
 public:
  StripEncoder(const Image& image, int level)
      : image_(image),
        level_(level),
        row_bytes_(image.row_bytes()),
        swap_(image.depth == UPS_U16 && std::endian::native == std::endian::little),
        filter_(filter_for(image.channels * Image::sample_bytes(image.depth))),
        compressor_(libdeflate_alloc_compressor(level), libdeflate_free_compressor),
        scratch_(row_bytes_ * 7) {
    if (!compressor_) throw std::bad_alloc();
  }

  // Calls taken() when the rows have been read.
  PngStrip encode(int y0, int y1, bool last, const std::function<void()>& taken) {
    image_.pending.wait(y1);
    raw_.resize((row_bytes_ + 1) * size_t(y1 - y0));
    for (int y = y0; y < y1; y++) filter(y, raw_.data() + (row_bytes_ + 1) * size_t(y - y0));
    taken();
    PngStrip strip;
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
      if (rc == Z_MEM_ERROR) throw std::bad_alloc();
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
  int level_;
  size_t row_bytes_;
  bool swap_;
  FilterRow filter_;
  std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor_;
  std::vector<uint8_t> scratch_, raw_, check_;
};

}  // namespace

int png_strip_rows(size_t row_bytes, int height) {
  return int(std::clamp<size_t>(kStripBytes / (row_bytes + 1), 1, size_t(height)));
}

PngStrips::PngStrips(const Image& image, int level, int threads)
    : image_(image), level_(level), rows_(png_strip_rows(image.row_bytes(), image.height)) {
  const int strips = (image.height + rows_ - 1) / rows_;
  if (threads <= 0) threads = int(std::max(1u, std::thread::hardware_concurrency()));
  threads = std::min(threads, strips);
  ahead_ = threads * 2 + 2;
  done_.resize(size_t(strips));
  read_.resize(size_t(strips));
  try {
    for (int i = 0; i < threads; i++) workers_.emplace_back([this] { work(); });
  } catch (...) {  // fewer threads do, too
    if (!workers_.empty()) return;
    throw;
  }
}

PngStrips::~PngStrips() { stop(); }

void PngStrips::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

PngStrip PngStrips::take(int i) {
  std::unique_ptr<PngStrip> strip;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return error_ || done_[i]; });
    if (error_) std::rethrow_exception(error_);
    strip = std::move(done_[i]);
    written_ = i + 1;
  }
  changed_.notify_all();
  return std::move(*strip);
}

void PngStrips::work() {
  try {
    encode_strips();
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    stop_ = true;
    changed_.notify_all();
  }
}

void PngStrips::encode_strips() {
  StripEncoder encoder(image_, level_);
  for (int i; (i = next()) >= 0;) {
    auto strip = std::make_unique<PngStrip>(encoder.encode(
        i * rows_, std::min(image_.height, (i + 1) * rows_), i == count() - 1, [&] { taken(i); }));
    std::lock_guard lock(mutex_);
    done_[i] = std::move(strip);
    changed_.notify_all();
  }
}

int PngStrips::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || next_ >= count() || next_ < written_ + ahead_; });
  return stop_ || next_ >= count() ? -1 : next_++;
}

// A strip's first row is filtered against the last one of the strip above, which must stay until then.
void PngStrips::taken(int strip) {
  std::lock_guard lock(mutex_);
  read_[strip] = true;
  while (all_read_ < count() && read_[all_read_]) all_read_++;
  image_.pending.release(std::min(image_.height, all_read_ * rows_) - 1);
}

}  // namespace ups::apps
