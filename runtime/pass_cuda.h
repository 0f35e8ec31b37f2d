// A pass on a CUDA device (runtime/device_pass.h).
#pragma once

#include <vector>

#include "kernels/device/picture.h"
#include "runtime/device_pass.h"
#include "runtime/network_cuda.h"

namespace ups {

// Device memory that is reused as long as it is large enough.
class Room {
 public:
  void* reserve(cuda::Stream& stream, size_t bytes) {
    if (memory_.bytes() < bytes) {
      memory_ = {};
      memory_ = cuda::DeviceMemory(stream, bytes);
    }
    return memory_.data();
  }
  void* data() const { return memory_.data(); }
  size_t bytes() const { return memory_.bytes(); }

 private:
  cuda::DeviceMemory memory_;
};

// Two streams: `main` computes tiles; `io` joins, resamples, quantises and downloads finished rows while main
// goes on with the next row of tiles. With one tile its rows are read where the network wrote them; with more
// they meet in one of two bands.
class CudaPass final : public DevicePass {
 public:
  explicit CudaPass(CudaNetwork& network);
  void upload(const Image& image) override;
  void prepare(const DeviceJob& job, const DeviceResult& result) override;
  void run(const DeviceJob& job, const DeviceResult& result, const PixelSink& sink,
           const Progress& progress) override;
  void download(const PixelSink& sink) override;
  // Device memory that prepare() takes at most beside the arena.
  static size_t bytes_for(const DeviceJob& job, int out_c);

 private:
  struct Call;
  void take_memory(const DeviceJob& job, const DeviceResult& result);
  void enqueue_row(Call& call, int ty);
  void enqueue_tile(Call& call, CudaNetwork::Bound& bound, int ty, int tx, cuda::TileFlags* flags);
  void add_to_band(Call& call, const Tensor& y, int ty, int tx, const cuda::TileFlags* flags);
  void mend_row(Call& call, int ty);
  void finish_row(Call& call, int ty);
  void rows_done(Call& call, const Tensor& rows, int y);
  void tables(Call& call);
  template <class Produce>
  void deliver(Call& call, int y, int n, Produce&& produce);
  void flush(const PixelSink& sink);

  CudaNetwork& network_;
  cuda::Stream io_;
  cuda::Event row_done_[2], tile_done_[2], io_done_;
  Room picture_room_, next_room_, tables_room_, flags_room_, bands_room_, above_room_, middle_room_,
      out_room_;
  cuda::PinnedMemory flags_;
  cuda::DeviceImage picture_;
  // Rows on their way to the host, by block of the staging area.
  struct Rows {
    int y = 0, n = 0;
  } sent_[2];
  int next_block_ = 0;
};

}  // namespace ups
