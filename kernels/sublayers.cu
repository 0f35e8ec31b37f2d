// AttentionSublayer and MlpSublayer (kernels/sublayer_ops.h).
//
// naive: their parts, one kernel after the other, in memory of their own; the device's own reference.
#include <vector>

#include "kernels/device/run.h"
#include "kernels/device/stream.h"
#include "kernels/error.h"

namespace ups::cuda {
namespace {

template <class Operator>
void run_parts(const Operator& op, Stream& stream, Rows rows) {
  check(op.x.data && op.y.data && rows.begin <= 0 && rows.end >= op.y.h, Code::device, Operator::kName,
        ": got rows ", rows.begin, " to ", rows.end, " of ", op.y.h, ", expected all, and operands");
  std::vector<DeviceMemory> rooms;
  const auto room = [&](int c) {
    Tensor t = op.x;
    t.c = c, t.px = c, t.row = int64_t(t.w) * c, t.image = t.row * t.h;
    rooms.emplace_back(stream, size_t(t.image) * t.n * dtype_bytes(t.dtype));
    t.data = rooms.back().data();
    return t;
  };
  op.parts(room, [&](const auto& part) { run(part, stream); });
}

}  // namespace

void run(const AttentionSublayer<Tensor>& op, Stream& stream, Rows rows) { run_parts(op, stream, rows); }
void run(const MlpSublayer<Tensor>& op, Stream& stream, Rows rows) { run_parts(op, stream, rows); }

}  // namespace ups::cuda
