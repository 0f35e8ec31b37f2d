// Mixing, alpha and quantisation of the final rows.
#include "runtime/output.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ups {

namespace {
constexpr int kRowsPerPush = 16;

Extent padding(Extent in, Extent out, Filter filter, Wrap wrap) {
  return {wrap.y ? TapTable::reach(in.h, out.h, filter) : 0,
          wrap.x ? TapTable::reach(in.w, out.w, filter) : 0};
}
}  // namespace

SourceRows::SourceRows(const Image& lr, const ChannelMap& channels, Extent hr, Filter filter, Wrap wrap,
                       Pool& pool)
    : lr_(lr),
      channels_(channels),
      hr_(hr),
      pad_(padding(lr.extent(), hr, filter, wrap)),
      wrap_(wrap),
      pool_(pool),
      resizer_(lr.h, lr.w, hr.h, hr.w, channels.count, filter, pad_) {}

const float* SourceRows::rows(int y, int n) {
  const int64_t row = int64_t(hr_.w) * channels_.count;
  buffer_.erase(buffer_.begin(), buffer_.begin() + (y - first_) * row);
  first_ = y;
  while (ready_ < y + n) {
    const int count = std::min(kRowsPerPush, lr_.h + 2 * pad_.h - pushed_), w = lr_.w + 2 * pad_.w;
    in_.resize(size_t(count) * w * channels_.count);
    crop_tile(lr_, pushed_ - pad_.h, -pad_.w, channels_, dense_f32(in_.data(), count, w, channels_.count),
              pool_, wrap_);
    pushed_ += count;
    resizer_.push(in_.data(), count, pool_, [&](int, int rows, const float* data) {
      buffer_.insert(buffer_.end(), data, data + rows * row);
      ready_ += rows;
    });
  }
  return buffer_.data();
}

void renormalise(float* pixels, int64_t count, int c) {
  for (float* p = pixels; count > 0; count--, p += c) {
    const float x = 2 * p[0] - 1, y = 2 * p[1] - 1, z = 2 * p[2] - 1;
    const float length = std::sqrt(x * x + y * y + z * z);
    if (!(length > 1e-6f)) continue;
    p[0] = 0.5f + 0.5f * x / length, p[1] = 0.5f + 0.5f * y / length, p[2] = 0.5f + 0.5f * z / length;
  }
}

Output::Output(const Image& lr, const Image& hr, int rows_c, const OutputOptions& options, Pool& pool,
               RowCallback callback)
    : hr_(hr), rows_c_(rows_c), options_(options), pool_(pool), callback_(std::move(callback)) {
  const auto source = [&](const ChannelMap& map) {
    return std::make_unique<SourceRows>(lr, map, hr.extent(), options.filter, options.wrap, pool);
  };
  if (rows_c < hr.c && !options.alpha) alpha_ = source(only(lr.c - 1));
  if (options.source_share > 0) source_ = source(first_channels(std::min(rows_c, lr.c)));
}

void Output::put(int y, int n, const float* rows) {
  const int64_t packed_row = int64_t(hr_.w) * hr_.c * depth_bytes(hr_.depth);
  const int64_t stride = callback_ ? packed_row : hr_.stride_bytes;
  std::byte* to = nullptr;
  if (callback_) {
    packed_.resize(size_t(n * packed_row));
    to = packed_.data();
  } else {
    to = hr_.row(y);
  }
  const int64_t pixels = int64_t(n) * hr_.w;
  if (source_ || options_.kind == Kind::normal || options_.kind == Kind::mask) {
    mixed_.assign(rows, rows + pixels * rows_c_);
    if (source_) {
      const float* source = source_->rows(y, n);
      for (size_t i = 0; i < mixed_.size(); i++) mixed_[i] += options_.source_share * (source[i] - mixed_[i]);
    }
    if (options_.kind == Kind::normal) renormalise(mixed_.data(), pixels, rows_c_);
    if (options_.kind == Kind::mask)
      for (float& v : mixed_) v = v - options_.low < options_.high - v ? options_.low : options_.high;
    rows = mixed_.data();
  }
  store_rows(rows, n, hr_.w, rows_c_, std::min(rows_c_, hr_.c), to, hr_.c, 0, hr_.depth, stride, pool_);
  if (rows_c_ < hr_.c) {
    if (options_.alpha) mixed_.assign(size_t(pixels), *options_.alpha);
    store_rows(options_.alpha ? mixed_.data() : alpha_->rows(y, n), n, hr_.w, 1, 1, to, hr_.c, hr_.c - 1,
               hr_.depth, stride, pool_);
  }
  if (callback_) callback_(y, n, to);
}

bool Output::as_they_are() const {
  return rows_c_ == hr_.c && !alpha_ && !source_ && options_.kind != Kind::normal &&
         options_.kind != Kind::mask;
}

void Output::put_packed(int y, int n, const void* rows) {
  if (!as_they_are()) {
    constexpr int kRows = 32;  // what is put beside them is buffered
    const int64_t row = int64_t(hr_.w) * rows_c_;
    for (int i = 0; i < n; i += kRows)
      put(y + i, std::min(kRows, n - i), static_cast<const float*>(rows) + i * row);
    return;
  }
  if (callback_) return callback_(y, n, rows);
  const int64_t row = int64_t(hr_.w) * hr_.c * depth_bytes(hr_.depth);
  for (int i = 0; i < n; i++)
    std::memcpy(hr_.row(y + i), static_cast<const std::byte*>(rows) + i * row, size_t(row));
}

}  // namespace ups
