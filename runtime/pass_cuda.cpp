// Tiles in, joined rows out, on the device.
#include "runtime/pass_cuda.h"

#include <algorithm>
#include <cstring>

#include "kernels/error.h"

namespace ups {

namespace {

using cuda::DeviceImage;
using cuda::PixelDepth;
using cuda::TileFlags;

Tensor part(Tensor t, int y, int x, int h, int w) {
  t.data = static_cast<char*>(t.data) + (y * t.row + x * t.px) * dtype_bytes(t.dtype);
  t.h = h, t.w = w;
  return t;
}

DeviceImage dense_image(void* data, Extent e, int c, Depth depth) {
  return {data, e.h, e.w, c, PixelDepth(depth), int64_t(e.w) * c * depth_bytes(depth)};
}

size_t float_bytes(int64_t rows, int64_t w, int c) { return size_t(rows * w * c) * sizeof(float); }

// The host's tables in one block of memory, to be uploaded.
class Table {
 public:
  template <class T>
  size_t add(const std::vector<T>& values) {
    const size_t at = bytes_.size();
    bytes_.resize(at + (values.size() * sizeof(T) + 15) / 16 * 16);
    std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return at;
  }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  std::vector<char> bytes_;
};

struct TapOffsets {
  size_t first, count, weights;
  int max_count;
};
TapOffsets add_taps(Table& table, const TapTable& taps) {
  std::vector<int> first, count;
  std::vector<float> weights(size_t(taps.out()) * taps.max_count());
  for (int i = 0; i < taps.out(); i++) {
    first.push_back(taps[i].first), count.push_back(taps[i].count);
    std::copy_n(taps[i].weights, taps[i].count, weights.data() + size_t(i) * taps.max_count());
  }
  return {table.add(first), table.add(count), table.add(weights), taps.max_count()};
}
cuda::DeviceTaps device_taps(const void* base, const TapOffsets& o) {
  const char* b = static_cast<const char*>(base);
  return {reinterpret_cast<const int*>(b + o.first), reinterpret_cast<const int*>(b + o.count),
          reinterpret_cast<const float*>(b + o.weights), o.max_count};
}

}  // namespace

// One run() under way.
struct CudaPass::Call {
  const DeviceJob& job;
  const DeviceResult& result;
  const PixelSink& sink;
  const Progress& progress;
  CudaNetwork::Bound* bound = nullptr;
  int c = 0;  // of the result
  bool tiled = false, resampled = false;
  Tensor whole{};  // of a single tile: the network's output
  // In device memory:
  std::vector<const float*> weight_x;  // by column of tiles: [share.size()]
  const float* ramp_y = nullptr;
  cuda::DeviceTaps taps_x{}, taps_y{};
  std::vector<TapTable> columns;  // none or one: how rows are resampled, for what is complete when
  int resampled_rows = 0;         // delivered so far
  int64_t tiles_done = 0;

  Share share_y(int ty) const { return job.grid.y.share(ty, job.scale); }
  Share share_x(int tx) const { return job.grid.x.share(tx, job.scale); }
};

CudaPass::CudaPass(CudaNetwork& network)
    : network_(network),
      io_(network.device()),
      row_done_{cuda::Event(network.device()), cuda::Event(network.device())},
      tile_done_{cuda::Event(network.device()), cuda::Event(network.device())},
      io_done_(network.device()) {}

void CudaPass::upload(const Image& image) {
  const size_t row = size_t(image.w) * image.c * depth_bytes(image.depth);
  cuda::Stream& main = network_.stream();
  main.use();
  picture_ = dense_image(picture_room_.reserve(main, row * image.h), image.extent(), image.c, image.depth);
  network_.staging().upload(main, picture_.data, row * image.h, row, [&](char* to, size_t at, size_t n) {
    for (size_t y = at / row; y < (at + n) / row; y++, to += row) std::memcpy(to, image.row(int(y)), row);
  });
}

size_t CudaPass::bytes_for(const DeviceJob& job, int out_c) {
  if (job.grid.count() == 1) return 0;
  const int rows = job.grid.y.max_share(job.scale), ramp = job.grid.y.ramp * job.scale;
  return float_bytes(2 * int64_t(rows) + ramp, job.hr().w, out_c);
}

void CudaPass::prepare(const DeviceJob& job, const DeviceResult& result) {
  try {
    take_memory(job, result);
  } catch (const Error& e) {
    if (e.code == Code::memory) {  // what was taken already must not be in the way of a smaller tile
      for (Room* room : {&next_room_, &bands_room_, &above_room_, &middle_room_, &out_room_}) *room = {};
      network_.release();
    }
    throw;
  }
}

void CudaPass::take_memory(const DeviceJob& job, const DeviceResult& result) {
  cuda::Stream& main = network_.stream();
  main.use();
  const int c = job.plan->y.c, w = job.hr().w;
  network_.prepare(*job.plan);
  if (job.grid.count() > 1) {
    bands_room_.reserve(main, float_bytes(2 * int64_t(job.grid.y.max_share(job.scale)), w, c));
    above_room_.reserve(main, float_bytes(std::max(1, job.grid.y.ramp * job.scale), w, c));
  }
  if (!(result.size == job.hr())) middle_room_.reserve(main, float_bytes(job.hr().h, result.size.w, c));
  const size_t row = size_t(result.size.w) * c * depth_bytes(result.depth);
  network_.staging().reserve(row);
  if (result.keep)
    next_room_.reserve(main, float_bytes(result.size.h, result.size.w, c));
  else
    out_room_.reserve(main, 2 * network_.staging().block_bytes());
  const size_t flags = size_t(job.grid.x.count()) * sizeof(TileFlags);
  flags_room_.reserve(main, 2 * flags);
  if (flags_.bytes() < flags) flags_ = cuda::PinnedMemory(flags);
}

void CudaPass::tables(Call& call) {
  const DeviceJob& job = call.job;
  Table table;
  std::vector<size_t> columns;
  size_t ramp_at = 0;
  TapOffsets x{}, y{};
  if (call.tiled) {
    for (int tx = 0; tx < job.grid.x.count(); tx++) {
      const Share share = call.share_x(tx);
      std::vector<float> weights;
      for (int p = share.begin; p < share.end; p++) weights.push_back(weight(share, p));
      columns.push_back(table.add(weights));
    }
    std::vector<float> ramps;
    for (int j = 0; j < job.grid.y.ramp * job.scale; j++)
      ramps.push_back(ramp(j, job.grid.y.ramp * job.scale, job.grid.y.fade));
    ramp_at = table.add(ramps);
  }
  if (call.resampled) {
    x = add_taps(table, TapTable(job.hr().w, call.result.size.w, call.result.filter));
    call.columns.emplace_back(job.hr().h, call.result.size.h, call.result.filter);
    y = add_taps(table, call.columns[0]);
  }
  if (table.bytes().empty()) return;
  char* base = static_cast<char*>(tables_room_.reserve(network_.stream(), table.bytes().size()));
  network_.staging().upload(network_.stream(), base, table.bytes().data(), table.bytes().size());
  for (size_t at : columns) call.weight_x.push_back(reinterpret_cast<const float*>(base + at));
  call.ramp_y = reinterpret_cast<const float*>(base + ramp_at);
  if (call.resampled) call.taps_x = device_taps(base, x), call.taps_y = device_taps(base, y);
}

void CudaPass::run(const DeviceJob& job, const DeviceResult& result, const PixelSink& sink,
                   const Progress& progress) {
  check(picture_.data && Extent{picture_.h, picture_.w} == job.lr, Code::usage, "pass: the picture is ",
        picture_.w, "x", picture_.h, ", expected ", job.lr.w, "x", job.lr.h);
  prepare(job, result);
  Call call{job, result, sink, progress};
  sent_[0] = sent_[1] = {};  // of a run that was stopped
  call.bound = &network_.prepare(*job.plan);
  call.c = call.bound->plan.y.c;
  call.tiled = job.grid.count() > 1;
  call.resampled = !(result.size == job.hr());
  cuda::Stream& main = network_.stream();
  io_done_.make_wait(main);
  tables(call);
  if (progress) progress(0);
  // Rows of tiles are computed one ahead of those that are handed out.
  const int rows = job.grid.y.count();
  for (int ty = 0; ty < rows; ty++) {
    enqueue_row(call, ty);
    if (ty > 0) finish_row(call, ty - 1);
    mend_row(call, ty);
  }
  finish_row(call, rows - 1);
  if (result.keep) {
    io_done_.record(io_);
    std::swap(picture_room_, next_room_);
    picture_ = dense_image(picture_room_.data(), result.size, call.c, Depth::f32);
  }
}

// The network on one tile, and whether its output looks right.
void CudaPass::enqueue_tile(Call& call, CudaNetwork::Bound& bound, int ty, int tx, TileFlags* flags) {
  const DeviceJob& job = call.job;
  cuda::Stream& main = network_.stream();
  cuda::CropTile crop{picture_, bound.plan.x, job.grid.y.first[ty], job.grid.x.first[tx]};
  crop.count = job.channels.count;
  std::copy_n(job.channels.from, 4, crop.from);
  crop.rest = job.opaque_alpha ? 1 : 0;
  cuda::run(crop, main);
  network_.run(bound);
  if (bound.dtype != DType::f32) cuda::run(cuda::CheckTile{bound.plan.x, bound.plan.y, flags}, main);
}

void CudaPass::add_to_band(Call& call, const Tensor& y, int ty, int tx, const TileFlags* flags) {
  const Share rows = call.share_y(ty), columns = call.share_x(tx);
  const DeviceJob& job = call.job;
  const int w = job.hr().w;
  float* band = static_cast<float*>(bands_room_.data()) +
                ty % 2 * int64_t(job.grid.y.max_share(job.scale)) * w * call.c;
  cuda::BlendTile blend;
  blend.tile = part(y, rows.begin - job.grid.y.first[ty] * job.scale,
                    columns.begin - job.grid.x.first[tx] * job.scale, rows.size(), columns.size());
  blend.band = dense_f32(band, rows.size(), w, call.c);
  blend.x0 = columns.begin;
  blend.weight_x = call.weight_x[size_t(tx)];
  blend.flags = flags;
  if (tx == 0 && flags) network_.stream().fill(band, 0, float_bytes(rows.size(), w, call.c));
  cuda::run(blend, network_.stream());
}

// All tiles of a row, without waiting for what their flags say: blending skips bad ones.
void CudaPass::enqueue_row(Call& call, int ty) {
  cuda::Stream& main = network_.stream();
  auto* flags = static_cast<TileFlags*>(flags_room_.data());
  const int count = call.job.grid.x.count();
  const double all = double(call.job.grid.count());
  main.fill(flags, 0, size_t(count) * sizeof(TileFlags));
  for (int tx = 0; tx < count; tx++) {
    // At most two tiles are under way, so that a user who stops is heard.
    tile_done_[call.tiles_done % 2].wait();
    if (call.progress) call.progress(std::max(0.0, double(call.tiles_done - 1)) / all);
    enqueue_tile(call, *call.bound, ty, tx, flags + tx);
    if (call.tiled)
      add_to_band(call, call.bound->plan.y, ty, tx, flags + tx);
    else
      call.whole = call.bound->plan.y;
    tile_done_[call.tiles_done++ % 2].record(main);
  }
  main.download(flags_.data(), flags, size_t(count) * sizeof(TileFlags));
  row_done_[ty % 2].record(main);
}

// Computes the bad tiles of a row again, each in the first precision that serves.
void CudaPass::mend_row(Call& call, int ty) {
  cuda::Stream& main = network_.stream();
  row_done_[ty % 2].wait();
  auto* flags = static_cast<TileFlags*>(flags_room_.data());
  const int count = call.job.grid.x.count();
  const auto* found = static_cast<const TileFlags*>(flags_.data());
  std::vector<int> bad;
  for (int tx = 0; tx < count; tx++)
    if (is_bad(found[tx])) bad.push_back(tx);
  for (int tx : bad) {
    CudaNetwork::Bound* bound = call.bound;
    for (bool again = true; again;) {
      CudaNetwork::Bound* next = network_.safer(*bound);
      if (!next) break;
      bound = next;
      main.fill(flags, 0, sizeof *flags);
      enqueue_tile(call, *bound, ty, tx, flags);
      main.download(flags_.data(), flags, sizeof(TileFlags));
      main.synchronize();
      again = bound->dtype != DType::f32 && is_bad(*static_cast<const TileFlags*>(flags_.data()));
    }
    if (call.tiled)
      add_to_band(call, bound->plan.y, ty, tx, nullptr);
    else
      call.whole = bound->plan.y;
  }
  if (!bad.empty()) row_done_[ty % 2].record(main);
}

// Joins a row of tiles with the one above and passes the finished rows on.
void CudaPass::finish_row(Call& call, int ty) {
  const DeviceJob& job = call.job;
  const Extent hr = job.hr();
  row_done_[ty % 2].make_wait(io_);
  if (!call.tiled) {
    rows_done(call, part(call.whole, 0, 0, hr.h, hr.w), 0);
  } else {
    const Share share = call.share_y(ty);
    const int ramp = std::max(1, job.grid.y.ramp * job.scale);
    float* band = static_cast<float*>(bands_room_.data()) +
                  ty % 2 * int64_t(job.grid.y.max_share(job.scale)) * hr.w * call.c;
    const Tensor rows = dense_f32(band, share.size(), hr.w, call.c);
    cuda::run(cuda::BlendRows{rows, dense_f32(static_cast<float*>(above_room_.data()), ramp, hr.w, call.c),
                              share.up, share.down, call.ramp_y},
              io_);
    rows_done(call, part(rows, 0, 0, share.size() - share.down, hr.w), share.begin);
  }
  flush(call.sink);
  // The band may be filled again once its rows have been read.
  io_done_.record(io_);
  io_done_.make_wait(network_.stream());
}

// HR rows from row y on are final.
void CudaPass::rows_done(Call& call, const Tensor& rows, int y) {
  if (!call.resampled) {
    deliver(call, y, rows.h, [&](const DeviceImage& to, int at) {
      cuda::run(cuda::StoreTile{part(rows, at - y, 0, to.h, rows.w), to, 0, 0, 0, call.c}, io_);
    });
    return;
  }
  const Extent hr = call.job.hr(), size = call.result.size;
  const Tensor middle = dense_f32(static_cast<float*>(middle_room_.data()), hr.h, size.w, call.c);
  cuda::run(cuda::ResizeRows{rows, part(middle, y, 0, rows.h, size.w), call.taps_x}, io_);
  const int first = call.resampled_rows;
  int end = first;
  while (end < size.h && call.columns[0][end].first + call.columns[0][end].count <= y + rows.h) end++;
  call.resampled_rows = end;
  deliver(call, first, end - first, [&](const DeviceImage& to, int at) {
    cuda::run(cuda::ResizeColumns{middle, to, at, call.taps_y}, io_);
  });
}

// Rows [y, y + n) of the result, made by produce(image, first row): kept, or sent to the host piece by piece.
template <class Produce>
void CudaPass::deliver(Call& call, int y, int n, Produce&& produce) {
  const int w = call.result.size.w;
  if (n <= 0) return;
  if (call.result.keep) {
    float* rows = static_cast<float*>(next_room_.data()) + int64_t(y) * w * call.c;
    produce(dense_image(rows, {n, w}, call.c, Depth::f32), y);
    return;
  }
  Staging& staging = network_.staging();
  const size_t row = size_t(w) * call.c * depth_bytes(call.result.depth);
  const int most = int(std::min<size_t>(staging.block_bytes() / row, 1 << 20));
  for (int end = y + n; y < end;) {
    const int count = std::min(most, end - y), i = next_block_;
    void* block = staging.block(i);  // its rows have arrived
    if (sent_[i].n > 0) call.sink(sent_[i].y, sent_[i].n, block);
    const DeviceImage to = dense_image(static_cast<char*>(out_room_.data()) + i * staging.block_bytes(),
                                       {count, w}, call.c, call.result.depth);
    produce(to, y);
    io_.download(block, to.data, row * count);
    staging.sent(i, io_);
    sent_[i] = {y, count};
    next_block_ ^= 1;
    y += count;
  }
}

void CudaPass::flush(const PixelSink& sink) {
  for (int k = 0; k < 2; k++) {  // the older first
    Rows& rows = sent_[next_block_];
    if (rows.n > 0) sink(rows.y, rows.n, network_.staging().block(next_block_));
    rows = {};
    next_block_ ^= 1;
  }
}

void CudaPass::download(const PixelSink& sink) {
  Staging& staging = network_.staging();
  const size_t row = size_t(picture_.stride_bytes);
  staging.reserve(row);
  const int most = int(std::min<size_t>(staging.block_bytes() / row, 1 << 20));
  for (int y = 0; y < picture_.h; y += most) {
    const int n = std::min(most, picture_.h - y);
    void* block = staging.block(0);
    io_.download(block, static_cast<const char*>(picture_.data) + y * row, row * n);
    staging.sent(0, io_);
    sink(y, n, staging.block(0));
  }
}

}  // namespace ups
