// conv_shapes.h
#include "bench/gpu/conv_shapes.h"

#include <cctype>
#include <cstdlib>

#include "kernels/error.h"

namespace ups::bench {

std::string ConvShape::name() const {
  std::string text = std::to_string(cin) + "x" + std::to_string(cout);
  if (k != 3) text += "k" + std::to_string(k);
  if (up != 1) text += "up" + std::to_string(up);
  if (stride != 1) text += "stride" + std::to_string(stride);
  if (shuffle != 1) text += "s" + std::to_string(shuffle);
  if (shortcut) text += "plus" + std::to_string(shortcut);
  text += "@" + (w == h ? "" : std::to_string(w) + "x") + std::to_string(h);
  return text;
}

ConvShape parse_shape(const std::string& text) {
  const char* at = text.c_str();
  const auto bad = [&] {
    fail(Code::usage, "bench_gpu: --shape: got ", text,
         ", expected CINxCOUT[kK][upU][strideS][sR][plusC]@[Wx]H, e.g. 64x32@512");
  };
  const auto number = [&] {
    if (!std::isdigit(static_cast<unsigned char>(*at))) bad();
    char* end = nullptr;
    const long value = std::strtol(at, &end, 10);
    at = end;
    if (value < 1 || value > 65536) bad();
    return int(value);
  };
  const auto word = [&](const char* expected) {
    const std::string w = expected;
    if (std::string(at).compare(0, w.size(), w) != 0) return false;
    at += w.size();
    return true;
  };
  ConvShape s;
  s.cin = number();
  if (!word("x")) bad();
  s.cout = number();
  while (*at && *at != '@') {
    if (word("up"))
      s.up = number();
    else if (word("k"))
      s.k = number();
    else if (word("stride"))
      s.stride = number();
    else if (word("plus"))
      s.shortcut = number();
    else if (word("s"))
      s.shuffle = number();
    else
      bad();
  }
  if (word("@")) {
    s.h = s.w = number();
    if (word("x")) s.h = number();
  }
  if (*at || (s.k != 1 && s.k != 3 && s.k != 5) || s.cout % (s.shuffle * s.shuffle)) bad();
  if (s.stride > 1 && (s.k != 3 || s.up > 1 || s.h % s.stride || s.w % s.stride)) bad();
  return s;
}

std::vector<ConvShape> released_shapes() {
  std::vector<ConvShape> all;
  for (const char* text :
       {"64x32@512",          "96x32@512",     "128x32@512",    "160x32@512",         "192x64@512",
        "64x64@512",          "64x64up2@512",  "64x64up2@1024", "64x64@2048",         "3x64@512",
        "64x3@2048",          "64x48s4@512",   "180x180@512",   "180x60@512",         "60x180@512",
        "144x144@512",        "180x540k1@512", "512x512@256",   "128x128stride2@512", "256x256stride2@512",
        "256x256plus512@256", "256x256@256",   "512x256k1@256"})
    all.push_back(parse_shape(text));
  return all;
}

}  // namespace ups::bench
