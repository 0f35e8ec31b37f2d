// The families this room defines, one per arch file; arch/registry.cpp puts them in detection order.
#pragma once

#include "runtime/model.h"

namespace ups {

extern const Family kRrdb;
extern const Family kDat;
extern const Family kEdsr;
extern const Family kRcan;
extern const Family kSpan;
extern const Family kSrvgg;
extern const Family kSwinir;
extern const Family kSwin2sr;
extern const Family kHat;

}  // namespace ups
