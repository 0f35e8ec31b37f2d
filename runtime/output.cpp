// Quantisation and alpha of the final rows.
#include "runtime/output.h"

#include <algorithm>

namespace ups {

namespace {
constexpr int kRowsPerPush = 16;
}

AlphaRows::AlphaRows(const Image& lr, Extent hr, Filter filter, Pool& pool)
    : lr_(lr), hr_(hr), pool_(pool), resizer_(lr.h, lr.w, hr.h, hr.w, 1, filter) {}

const float* AlphaRows::rows(int y, int n) {
  buffer_.erase(buffer_.begin(), buffer_.begin() + int64_t(y - first_) * hr_.w);
  first_ = y;
  while (ready_ < y + n) {
    const int count = std::min(kRowsPerPush, lr_.h - pushed_);
    in_.resize(size_t(count) * lr_.w);
    crop_tile(lr_.data, lr_.extent(), lr_.c, lr_.depth, lr_.stride_bytes, pushed_, 0, only(lr_.c - 1),
              dense_f32(in_.data(), count, lr_.w, 1), pool_);
    pushed_ += count;
    resizer_.push(in_.data(), count, pool_, [&](int, int rows, const float* data) {
      buffer_.insert(buffer_.end(), data, data + int64_t(rows) * hr_.w);
      ready_ += rows;
    });
  }
  return buffer_.data();
}

Output::Output(const Image& lr, const Image& hr, int rows_c, Filter filter, Pool& pool, RowCallback callback)
    : hr_(hr), rows_c_(rows_c), pool_(pool), callback_(std::move(callback)) {
  if (rows_c < hr.c) alpha_.emplace_back(lr, hr.extent(), filter, pool);
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
  store_rows(rows, n, hr_.w, rows_c_, std::min(rows_c_, hr_.c), to, hr_.c, 0, hr_.depth, stride, pool_);
  if (!alpha_.empty())
    store_rows(alpha_[0].rows(y, n), n, hr_.w, 1, 1, to, hr_.c, hr_.c - 1, hr_.depth, stride, pool_);
  if (callback_) callback_(y, n, to);
}

}  // namespace ups
