// Passes and whole loops on a backend that can keep the picture on its device.
#pragma once

#include "runtime/loop.h"

namespace ups {

// Whether the device does all that this pass asks for. If so, run_device_pass does what run_pass promises
// (runtime/upscaler.h).
bool has_device_pass(Session& session, const PassInput& input, const TileGrid& grid);
void run_device_pass(Session& session, const PassInput& input, const TileGrid& grid, int* next_row,
                     const RowSink& sink, const Progress& progress);

// The whole loop with the picture resident from the first step to the last, if nothing in it needs the host
// in between. Returns false, having done nothing, if something does or the device has too little memory for
// it.
bool run_device_loop(Session& session, const Image& lr, const LoopPlan& plan, const LoopOptions& options,
                     Output& output, const StepDone& step_done, const Progress& progress);

}  // namespace ups
