// What tests in the emulator share: running something under every schedule, and catching faults.
#pragma once

#include <functional>
#include <string>

#include "tests/simt/simt.h"
#include "tests/testing.h"

namespace ups::testing {

template <class F>
void for_each_schedule(F&& f) {
  for (simt::Schedule s : simt::kSchedules) {
    simt::set_schedule(s);
    INFO("schedule " << simt::schedule_name(s));
    f(s);
  }
  simt::set_schedule(simt::Schedule::fair);
}

// The sentence of the fault that `f` raises; empty if none.
inline std::string fault_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const simt::Fault& fault) {
    return fault.what();
  }
  return {};
}

}  // namespace ups::testing
