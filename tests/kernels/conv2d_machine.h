// What tests of convolutions run on, and random choice.
#pragma once

#include <initializer_list>

#include "kernels/cpu/run.h"
#include "tests/testing.h"

namespace ups::testing {

struct Machine {
  explicit Machine(int threads) : pool(threads), context{pool, scratch} {}
  Pool pool;
  cpu::Scratch scratch;
  cpu::Context context;
};

template <class T>
T pick(testing::Random& random, std::initializer_list<T> from) {
  return from.begin()[random.integer(0, int(from.size()) - 1)];
}

}  // namespace ups::testing
