// One loop each, over samples of any depth.
#include "apps/codecs/pixel_format.h"

#include <algorithm>
#include <cmath>

#include "apps/failure.h"

namespace ups::apps {
namespace {

// The value that stands for 1.
template <class T>
constexpr float kFull = 1;
template <>
constexpr float kFull<uint8_t> = 255;
template <>
constexpr float kFull<uint16_t> = 65535;

template <class T>
T to_sample(float v) {  // 0..1
  if constexpr (std::is_same_v<T, float>) return v;
  return T(std::fmin(std::fmax(v, 0.f), 1.f) * kFull<T> + 0.5f);
}

template <class From, class To>
void convert(const Image& in, Image& out) {
  const From* s = reinterpret_cast<const From*>(in.pixels.get());
  To* d = reinterpret_cast<To*>(out.pixels.get());
  for (size_t i = 0, n = in.bytes() / sizeof(From); i < n; i++) {
    if constexpr (std::is_same_v<From, uint16_t> && std::is_same_v<To, uint8_t>)
      d[i] = uint8_t((uint32_t(s[i]) * 255 + 32767) / 65535);
    else if constexpr (std::is_same_v<From, uint8_t> && std::is_same_v<To, uint16_t>)
      d[i] = uint16_t(s[i] * 257);
    else
      d[i] = to_sample<To>(float(s[i]) / kFull<From>);
  }
}

template <class From>
void convert_from(const Image& in, Image& out) {
  if (out.depth == UPS_U8) convert<From, uint8_t>(in, out);
  if (out.depth == UPS_U16) convert<From, uint16_t>(in, out);
  if (out.depth == UPS_F32) convert<From, float>(in, out);
}

template <class T>
void flatten(const Image& in, Image& out, const Colour& background) {
  const T* s = reinterpret_cast<const T*>(in.pixels.get());
  T* d = reinterpret_cast<T*>(out.pixels.get());
  int c = out.channels;
  float grey = 0.299f * background.r + 0.587f * background.g + 0.114f * background.b;
  const float b[3] = {(c == 1 ? grey : background.r), background.g, background.b};
  for (size_t i = 0, n = size_t(in.width) * in.height; i < n; i++, s += c + 1, d += c) {
    float a = float(s[c]) / kFull<T>;
    for (int k = 0; k < c; k++) d[k] = to_sample<T>(float(s[k]) / kFull<T> * a + b[k] * (1 - a));
  }
}

template <class T>
void spread_gray(const Image& in, Image& out) {
  const T* s = reinterpret_cast<const T*>(in.pixels.get());
  T* d = reinterpret_cast<T*>(out.pixels.get());
  for (size_t i = 0, n = size_t(in.width) * in.height; i < n; i++, s += in.channels, d += out.channels) {
    d[0] = d[1] = d[2] = s[0];
    if (in.channels == 2) d[3] = s[1];
  }
}

}  // namespace

Image convert_depth(Image in, ups_depth depth) {
  if (in.depth == depth) return in;
  Image out = allocate_image(in.width, in.height, in.channels, depth);
  out.meta = std::move(in.meta);
  if (in.depth == UPS_U8) convert_from<uint8_t>(in, out);
  if (in.depth == UPS_U16) convert_from<uint16_t>(in, out);
  if (in.depth == UPS_F32) convert_from<float>(in, out);
  return out;
}

Image flatten(Image in, const Colour& background) {
  if (in.channels % 2) return in;
  Image out = allocate_image(in.width, in.height, in.channels - 1, in.depth);
  out.meta = std::move(in.meta);
  if (in.depth == UPS_U8) flatten<uint8_t>(in, out, background);
  if (in.depth == UPS_U16) flatten<uint16_t>(in, out, background);
  if (in.depth == UPS_F32) flatten<float>(in, out, background);
  return out;
}

Image colour_of_gray(const Image& in) {
  Image out = allocate_image(in.width, in.height, in.channels + 2, in.depth);
  if (in.depth == UPS_U8) spread_gray<uint8_t>(in, out);
  if (in.depth == UPS_U16) spread_gray<uint16_t>(in, out);
  if (in.depth == UPS_F32) spread_gray<float>(in, out);
  return out;
}

Image resized(const Image& in, int width, int height, ups_depth depth, ups_filter filter) {
  Image out = allocate_image(width, height, in.channels, depth);
  const ups_image from = in.view();
  ups_image to = out.view();
  check(ups_resize(&from, &to, filter));
  return out;
}

}  // namespace ups::apps
