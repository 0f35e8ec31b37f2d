// AttentionSublayer and MlpSublayer (kernels/sublayer_ops.h): choice and checks.
//
// mma:   one kernel (attention_sublayer_mma.cu, mlp_sublayer_mma.cu).
// wide:  one kernel for windows of up to 256 pixels and keys around them (attention_sublayer_wide_mma.cu).
// naive: the parts, one kernel after the other, in memory of their own; the device's own reference.
#include <algorithm>
#include <string_view>
#include <vector>

#include "kernels/error.h"
#include "kernels/sublayers.h"

namespace ups::cuda {
namespace {

template <class Operator>
void run_parts(const Operator& op, Stream& stream, Rows rows) {
  check(rows.begin <= 0 && rows.end >= op.y.h, Code::device, Operator::kName, ": naive got rows ", rows.begin,
        " to ", rows.end, " of ", op.y.h, ", expected all");
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

template <class Operator>
const char* accepts_all(const Operator&, const DeviceInfo&) {
  return nullptr;
}

// Constant initialisation across files has no order: the tables are made on first use.
std::span<const AttentionSublayerVariant> attention_table() {
  static const AttentionSublayerVariant variants[] = {
      kAttentionSublayerMma,
      kAttentionSublayerWideMma,
      {"naive", accepts_all<AttentionSublayer<Tensor>>, run_parts<AttentionSublayer<Tensor>>}};
  return variants;
}
std::span<const MlpSublayerVariant> mlp_table() {
  static const MlpSublayerVariant variants[] = {
      kMlpSublayerMma, {"naive", accepts_all<MlpSublayer<Tensor>>, run_parts<MlpSublayer<Tensor>>}};
  return variants;
}

bool beside(const Tensor& x, const Tensor& t) {
  return t.data && t.n == x.n && t.extent() == x.extent() && t.c == x.c;
}
bool is_linear(const Weight& w, int cin, int cout) {
  return w.w && w.k == 1 && w.cin == cin && w.cout == cout && reinterpret_cast<uintptr_t>(w.w) % 16 == 0;
}
bool is_norm(NormAt at, const Weight& w, int c) {
  return at == NormAt::none || (w.w && w.bias && w.dtype == DType::f32 && w.cout == c);
}

}  // namespace

std::span<const AttentionSublayerVariant> attention_sublayer_variants() { return attention_table(); }
std::span<const MlpSublayerVariant> mlp_sublayer_variants() { return mlp_table(); }

const char* variant_name(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  return select(op.kName, attention_table(), op, device).name;
}
const char* variant_name(const MlpSublayer<Tensor>& op, const DeviceInfo& device) {
  return select(op.kName, mlp_table(), op, device).name;
}

namespace {
// A forced variant that declines an operator leaves it to its parts.
template <class Operator, class Variants>
bool one_kernel(const Operator& op, const Variants& variants, const DeviceInfo& device) {
  const std::string_view forced = forced_variant(op.kName);
  return std::any_of(variants.begin(), variants.end(), [&](const auto& v) {
    return v.name != std::string_view("naive") && (forced.empty() || forced == v.name) &&
           !v.declines(op, device);
  });
}
}  // namespace

bool runs_whole(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  return one_kernel(op, attention_table(), device);
}
bool runs_whole(const MlpSublayer<Tensor>& op, const DeviceInfo& device) {
  return one_kernel(op, mlp_table(), device);
}

void run(const AttentionSublayer<Tensor>& op, Stream& stream, Rows rows) {
  const int width = op.heads * op.d;
  check(op.x.data && beside(op.x, op.residual) && beside(op.x, op.y) && op.x.n <= 65535 &&
            is_norm(op.norm_at, op.norm, op.x.c) && is_linear(op.qkv, op.x.c, 3 * width) &&
            is_linear(op.proj, width, op.x.c),
        Code::device, "attention_sublayer: got x [", op.x.h, ", ", op.x.w, ", ", op.x.c, "], y [", op.y.h,
        ", ", op.y.w, ", ", op.y.c, "] and ", op.heads, " heads of ", op.d, ", which do not belong together");
  check(op.window.h >= 1 && op.window.w >= 1 && op.x.h % op.window.h == 0 && op.x.w % op.window.w == 0 &&
            op.shift.h >= 0 && op.shift.w >= 0 && op.shift.h < op.window.h && op.shift.w < op.window.w &&
            op.keys.h >= op.window.h && op.keys.w >= op.window.w && op.bias.w &&
            op.bias.dtype == DType::f32 && op.bias.cout == op.heads && (!op.cosine || op.bias.bias) &&
            op.bias.cin == (op.window.h + op.keys.h - 1) * (op.window.w + op.keys.w - 1) && rows.begin <= 0 &&
            rows.end >= op.y.h,
        Code::device, "attention_sublayer: got windows of ", op.window.h, " x ", op.window.w, " and keys of ",
        op.keys.h, " x ", op.keys.w, " for an image of ", op.x.h, " x ", op.x.w,
        ", expected windows that divide it and a bias for each place");
  select(op.kName, attention_table(), op, stream.device()).launch(op, stream, rows);
}

void run(const MlpSublayer<Tensor>& op, Stream& stream, Rows rows) {
  check(op.x.data && beside(op.x, op.y) && (!op.add.t.data || beside(op.x, op.add.t)) && op.x.n <= 65535 &&
            op.add.group == 1 && (op.norm_at != NormAt::after || !op.add.t.data) &&
            is_norm(op.norm_at, op.norm, op.x.c) && is_linear(op.fc1, op.x.c, op.fc1.cout) &&
            is_linear(op.fc2, op.fc1.cout, op.x.c),
        Code::device, "mlp_sublayer: got x [", op.x.h, ", ", op.x.w, ", ", op.x.c, "], y [", op.y.h, ", ",
        op.y.w, ", ", op.y.c, "] and ", op.fc1.cout, " hidden channels, which do not belong together");
  rows.begin = rows.begin > 0 ? rows.begin : 0;
  rows.end = rows.end < op.y.h ? rows.end : op.y.h;
  if (rows.begin >= rows.end) return;
  select(op.kName, mlp_table(), op, stream.device()).launch(op, stream, rows);
}

}  // namespace ups::cuda
