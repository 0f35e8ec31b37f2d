// What an open model of the C API is.
#pragma once

#include <memory>
#include <string>

#include "kernels/cpu/pool.h"
#include "runtime/session.h"
#include "upscale.h"

struct ups_model {
  explicit ups_model(int threads) : pool(threads) {}
  ups::Pool pool;
  std::unique_ptr<ups::Session> session;
  std::string info_json, plan_json;
  double seconds_per_flop = 0;  // measured when a plan is first asked for
};
