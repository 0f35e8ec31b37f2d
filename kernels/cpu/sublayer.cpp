// run(AttentionSublayer) and run(MlpSublayer): their parts, one after the other.
#include <memory>
#include <vector>

#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

template <class Operator>
void run_parts(const Operator& op, Context& context, Rows rows) {
  check(op.x.data && op.y.data && rows.begin <= 0 && rows.end >= op.y.h, Code::device, Operator::kName,
        ": got rows ", rows.begin, " to ", rows.end, " of ", op.y.h, ", expected all, and operands");
  std::vector<std::unique_ptr<float[]>> rooms;
  const auto room = [&](int c) {
    rooms.push_back(std::make_unique_for_overwrite<float[]>(size_t(op.x.n) * op.x.extent().pixels() * c));
    Tensor t = dense_f32(rooms.back().get(), op.x.h, op.x.w, c);
    t.n = op.x.n;
    return t;
  };
  op.parts(room, [&](const auto& part) { run(part, context); });
}

}  // namespace

void run(const AttentionSublayer<Tensor>& op, Context& context, Rows rows) { run_parts(op, context, rows); }
void run(const MlpSublayer<Tensor>& op, Context& context, Rows rows) { run_parts(op, context, rows); }

}  // namespace ups::cpu
