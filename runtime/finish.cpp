// Stages of rows, each pushing into the next.
#include "runtime/finish.h"

#include <algorithm>

#include "kernels/error.h"

namespace ups {
namespace {

constexpr int kRows = 64;  // at a time through the stages without a window

bool adjusts(const FinishOptions& o) { return o.brightness != 1 || o.contrast != 1 || o.saturation != 1; }

void adjust(float* p, int64_t pixels, int c, const FinishOptions& o) {
  const int colours = c <= 2 ? 1 : 3;
  for (; pixels > 0; pixels--, p += c) {
    for (int k = 0; k < colours; k++) p[k] = (p[k] * o.brightness - 0.5f) * o.contrast + 0.5f;
    if (colours == 1 || o.saturation == 1) continue;
    float luma;
    rgb_to_gray(p, &luma, 1);
    for (int k = 0; k < 3; k++) p[k] = luma + (p[k] - luma) * o.saturation;
  }
}

// The span of [0, size) that [at, at + length) covers.
struct Span {
  int begin, end;
  Span(int at, int length, int size)
      : begin(std::clamp(at, 0, size)), end(int(std::clamp<int64_t>(int64_t(at) + length, 0, size))) {}
  int size() const { return end - begin; }
};

}  // namespace

Finisher::Finisher(Extent in, int c, Depth depth, const FinishOptions& options, Pool& pool,
                   Output::RowCallback callback)
    : o_(options),
      pool_(pool),
      callback_(std::move(callback)),
      c_(c),
      depth_(depth),
      picture_(o_.picture.h ? o_.picture : in),
      canvas_(o_.canvas.h ? o_.canvas : picture_),
      resizer_(in, picture_, c, o_.filter),
      quantiser_(canvas_.w, c, depth, o_.dither) {
  check(c >= 1 && c <= 4, Code::usage, "finish: got ", c, " channels, expected 1 to 4");
  check(canvas_.h >= 1 && canvas_.w >= 1, Code::usage, "canvas: got ", canvas_.w, "x", canvas_.h,
        ", expected at least 1x1");
  const Span sx(o_.x, picture_.w, canvas_.w), sy(o_.y, picture_.h, canvas_.h);
  check(sx.size() > 0 && sy.size() > 0, Code::usage, "canvas: a picture of ", picture_.w, "x", picture_.h,
        " at ", o_.x, ",", o_.y, " lies outside ", canvas_.w, "x", canvas_.h);
  seen_ = {sy.size(), sx.size()};
  left_ = sx.begin, above_ = sy.begin;
  skip_x_ = std::max(0, -o_.x), skip_y_ = std::max(0, -o_.y);
  for (float f : {o_.brightness, o_.contrast, o_.saturation})
    check(f >= 0 && f <= 100, Code::usage, "adjust: got a factor of ", f, ", expected 0 to 100");
  if (o_.sharpen) sharpener_.emplace(seen_.h, seen_.w, c, *o_.sharpen);
  const size_t row = size_t(canvas_.w) * c;
  if (!(seen_ == canvas_)) padding_.resize(row * kRows);
  if (adjusts(o_)) adjusted_.resize(size_t(seen_.w) * c * kRows);
  if (seen_.w != picture_.w) cut_.resize(size_t(seen_.w) * c * kRows);
  packed_.resize(row * size_t(depth_bytes(depth)) * kRows);
}

int64_t Finisher::bytes() const {
  return int64_t(resizer_.bytes() + (sharpener_ ? sharpener_->bytes() : 0) + packed_.size() +
                 (cut_.size() + adjusted_.size() + padding_.size()) * sizeof(float));
}

void Finisher::push(const float* rows, int n) {
  resizer_.push(rows, n, pool_, [this](int y, int count, const float* out) { resampled(y, count, out); });
}

// Cuts out the part that is seen and sharpens it.
void Finisher::resampled(int y, int n, const float* rows) {
  const int begin = std::max(y, skip_y_), end = std::min(y + n, skip_y_ + seen_.h);
  const int64_t row = int64_t(picture_.w) * c_;
  for (int at = begin; at < end;) {
    const int count = std::min(end - at, kRows);
    const float* from = rows + (at - y) * row;
    if (!cut_.empty()) {
      const int64_t kept = int64_t(seen_.w) * c_;
      for (int i = 0; i < count; i++) {
        const float* first = from + i * row + int64_t(skip_x_) * c_;
        std::copy(first, first + kept, cut_.data() + i * kept);
      }
      from = cut_.data();
    }
    if (sharpener_)
      sharpener_->push(from, count, pool_, [this](int, int done, const float* sharp) { place(done, sharp); });
    else
      place(count, from);
    at += count;
  }
}

// Adjusts, pads, hands on.
void Finisher::place(int n, const float* rows) {
  const int64_t row = int64_t(seen_.w) * c_;
  if (placed_ == 0) pad(above_);
  for (int done = 0; done < n;) {
    const int count = std::min(n - done, kRows);
    const float* from = rows + done * row;
    if (!adjusted_.empty()) {
      std::copy(from, from + count * row, adjusted_.data());
      pool_.for_each(count, [&](int i, int) { adjust(adjusted_.data() + i * row, seen_.w, c_, o_); });
      from = adjusted_.data();
    }
    if (seen_.w != canvas_.w) {
      const int64_t whole = int64_t(canvas_.w) * c_;
      for (int i = 0; i < count; i++) {
        float* to = padding_.data() + i * whole;
        for (int64_t j = 0; j < whole; j++) to[j] = o_.background[j % c_];
        std::copy(from + i * row, from + (i + 1) * row, to + int64_t(left_) * c_);
      }
      from = padding_.data();
    }
    deliver(count, from);
    done += count;
  }
  placed_ += n;
  if (placed_ == seen_.h) pad(canvas_.h - above_ - seen_.h);
}

void Finisher::pad(int rows) {
  while (rows > 0) {
    const int n = std::min(rows, kRows);
    const size_t count = size_t(n) * canvas_.w * c_;
    for (size_t j = 0; j < count; j++) padding_[j] = o_.background[j % size_t(c_)];
    deliver(n, padding_.data());
    rows -= n;
  }
}

void Finisher::deliver(int n, const float* rows) {
  const int64_t row = int64_t(canvas_.w) * c_;
  for (int done = 0; done < n;) {
    const int count = std::min(n - done, kRows);
    quantiser_.put(rows + done * row, count, packed_.data(), pool_);
    callback_(delivered_, count, packed_.data());
    delivered_ += count, done += count;
  }
}

}  // namespace ups
