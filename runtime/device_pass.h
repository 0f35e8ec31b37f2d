// DevicePass: a network pass whose picture stays on a device: cut into tiles, run, joined, resampled and
// quantised there. Backends without one work through runtime/upscaler.cpp, which does all but the network on
// the host.
#pragma once

#include <functional>

#include "kernels/resize.h"
#include "runtime/backend.h"
#include "runtime/channels.h"
#include "runtime/image.h"
#include "runtime/tiles.h"

namespace ups {

// The network over the picture on the device.
struct DeviceJob {
  Extent lr;                  // the picture's size
  const Plan* plan;           // of grid.tile(), unbound
  TileGrid grid;              // over lr
  int scale = 1;              // of the network
  ChannelMap channels;        // from the picture's channels to the network's
  bool opaque_alpha = false;  // the network's last channel is fed with 1

  Extent hr() const { return {lr.h * scale, lr.w * scale}; }
};

// What becomes of its result.
struct DeviceResult {
  Extent size;  // hr(), or what it is resampled to
  Filter filter = Filter::lanczos3;
  bool keep = false;         // it becomes the picture on the device (f32); else its rows are delivered
  Depth depth = Depth::f32;  // of delivered rows
};

// Finished rows [y, y + n), packed [n, w, c], in the depth that was asked for; valid during the call.
using PixelSink = std::function<void(int y, int n, const void* rows)>;

class DevicePass {
 public:
  virtual ~DevicePass() = default;
  // Makes `image` the picture on the device.
  virtual void upload(const Image& image) = 0;
  // Takes all memory that run() needs beside the picture. Error{Code::memory}: try smaller tiles.
  virtual void prepare(const DeviceJob& job, const DeviceResult& result) = 0;
  // A tile that comes out wrong (not finite, or all zero though its input is not) is computed again in a
  // safer precision and never seen by anyone. `progress` may throw to stop.
  virtual void run(const DeviceJob& job, const DeviceResult& result, const PixelSink& sink,
                   const Progress& progress) = 0;
  // The picture that run() kept, as packed f32 rows.
  virtual void download(const PixelSink& sink) = 0;
};

}  // namespace ups
