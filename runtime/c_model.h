// What an open model of the C API is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/cpu/pool.h"
#include "runtime/session.h"
#include "upscale.h"

struct ups_model {
  explicit ups_model(int threads) : pool(threads) {}
  ups::Pool pool;
  std::unique_ptr<ups::Session> session;
  // Of a model mixed from two files: another session with this share of the second.
  std::function<std::unique_ptr<ups::Session>(double share)> remixed;
  double mix = 0;  // the share of `session`
  std::string info_json, plan_json;
  double seconds_per_flop = 0;  // measured when a plan is first asked for
};
