// The families that can be recognised, in detection order: a rule may be loose where an earlier one is
// strict.
#include <array>

#include "arch/families.h"

namespace ups {

std::span<const Family* const> families() {
  static constexpr std::array kFamilies = {&kSrvgg, &kHat,  &kSwin2sr, &kSwinir, &kDat,
                                           &kSpan,  &kRrdb, &kRcan,    &kEdsr};
  return kFamilies;
}

}  // namespace ups
