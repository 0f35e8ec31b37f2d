// Cursor: the operands of pickle opcodes, read with bounds checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace ups::pickle {

class Cursor {
 public:
  // Both must outlive the cursor.
  Cursor(std::span<const std::byte> bytes, const std::string& who) : bytes_(bytes), who_(who) {}

  const std::string& who() const { return who_; }
  size_t position() const { return position_; }

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    check(ok, Code::model, who_, ": the pickle ", parts..., " (byte ", position_, ")");
  }

  // Bytes of the operand.
  std::span<const std::byte> take(uint64_t n) {
    require(n <= bytes_.size() - position_, "is truncated: ", n, " more bytes expected, ",
            bytes_.size() - position_, " left");
    const auto part = bytes_.subspan(position_, size_t(n));
    position_ += size_t(n);
    return part;
  }
  uint64_t take_uint(int n) {
    const auto part = take(uint64_t(n));
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; --i) value = value << 8 | uint64_t(part[size_t(i)]);
    return value;
  }
  std::string_view take_text(uint64_t n) {
    require(n <= kMaxStringBytes, "has a string of ", n, " bytes, more than ", kMaxStringBytes);
    const auto part = take(n);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  std::string_view take_line() {
    const size_t first = position_;
    while (take(1)[0] != std::byte{'\n'})
      require(position_ - first <= 1000, "has a global of over 1000 bytes");
    return {reinterpret_cast<const char*>(bytes_.data()) + first, position_ - 1 - first};
  }

 private:
  static constexpr size_t kMaxStringBytes = size_t(64) << 20;
  std::span<const std::byte> bytes_;
  const std::string& who_;
  size_t position_ = 0;
};

}  // namespace ups::pickle
