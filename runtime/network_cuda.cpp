// Weights, arenas and recorded plans.
#include "runtime/network_cuda.h"

#include <algorithm>
#include <sstream>

#include "kernels/device/run.h"
#include "kernels/error.h"

namespace ups {

namespace {

// Smaller strips would be a row or two, and a launch for each.
constexpr size_t kLeastSegmentBytes = size_t(64) << 10;

DType dtype_for(Precision precision) {
  return precision == Precision::fp32 || precision == Precision::tf32 ? DType::f32
         : precision == Precision::bf16                               ? DType::bf16
                                                                      : DType::f16;
}

// A convolution with a shortcut, as the planner lays it out.
bool runs_whole(const Conv2d<Value>& op, DType dtype, const cuda::DeviceInfo& device) {
  const auto image = [&](int c) {
    Tensor t = dense_f32(nullptr, 1, 1, (c + 7) / 8 * 8);
    t.dtype = dtype, t.c = c;
    return t;
  };
  auto typed = op.map<Tensor>([](Value) { return Tensor{}; });
  typed.x = image(op.w.cin), typed.y = image(op.w.cout), typed.shortcut.t = image(op.shortcut.w.cin);
  typed.weights([&](Weight& w) { w.dtype = dtype; });
  return cuda::runs_whole(typed, device);
}

template <class Operator>
bool runs_whole(const Operator& op, DType dtype, const cuda::DeviceInfo& device) {
  if constexpr (requires { op.kComposite; }) {
    auto typed = op.template map<Tensor>([&](Value) {
      Tensor t;
      t.dtype = dtype;
      return t;
    });
    typed.weights([&](Weight& w) { w.dtype = dtype; });
    return cuda::runs_whole(typed, device);
  }
  return false;
}

}  // namespace

CudaNetwork::CudaNetwork(const cuda::DeviceInfo& device, Precision precision, Pool* pool)
    : dtype_(dtype_for(precision)),
      automatic_(precision == Precision::automatic),
      shortcuts_{precision == Precision::tf32, precision == Precision::fp16_sums},
      pool_(pool),
      device_(device) {}

CudaNetwork::Lane& CudaNetwork::lane() {
  if (!lane_) lane_.emplace(device_);
  return *lane_;
}

// A strip fills the device several times over, and all strips fit where the trunk's buffers were: at 512 x
// 512 the trunk of an RRDB network holds 201 MB, of which 134 MB are free again in the tail.
PlanOptions CudaNetwork::options(DType dtype) const {
  const auto whole = [device = device_, dtype](const Op<Value>& op) {
    return std::visit([&](const auto& o) { return runs_whole(o, dtype, device); }, op);
  };
  return {.dtype = dtype,
          .strip_bytes = size_t(96) << 20,
          .segment_bytes = size_t(256) << 20,
          .in_place = InPlace::all,
          .pixel_multiple = dtype == DType::f32 ? 1 : 8,
          .whole = whole};
}

const char* CudaNetwork::precision_name() const {
  if (shortcuts_.tf32) return "tf32";
  if (shortcuts_.f16_sums) return "fp16-sums";
  return dtype_ == DType::f32 ? "fp32" : dtype_ == DType::f16 ? "fp16" : "bf16";
}

size_t CudaNetwork::weight_bytes() const {
  const auto it = weights_.find(dtype_);
  return it == weights_.end() ? 0 : it->second.memory.bytes();
}

void CudaNetwork::load(const Graph& graph) {
  graph_ = &graph;
  file_ = graph.file();  // mapped, not copied: a safer precision may want it again
  try {
    weights(dtype_);
  } catch (const Error& e) {
    if (e.code != Code::model || !automatic_ || dtype_ != DType::f16) throw;
    dtype_ = DType::bf16;  // weights beyond the range of f16
    weights(dtype_);
  }
}

const DeviceWeights& CudaNetwork::weights(DType dtype) {
  const auto it = weights_.find(dtype);
  if (it != weights_.end()) return it->second;
  Shortcuts shortcuts = shortcuts_;
  if (dtype != dtype_) shortcuts.tf32 = true;
  const PackedWeights packed = pack_weights(*graph_, *file_, dtype, shortcuts, pool_);
  return weights_.emplace(dtype, upload_weights(packed, staging(), stream())).first->second;
}

CudaNetwork::Bound& CudaNetwork::bind(const Plan& unbound, DType dtype) {
  if (limit_)  // for one of them
    for (const auto& [other, a] : arenas_)
      if (other != dtype && a.bytes() > 0) {
        release();
        break;
      }
  Arena& arena = arenas_[dtype];
  for (auto it = bound_.begin(); it != bound_.end(); ++it)
    if (it->dtype == dtype && it->plan.lr == unbound.lr && it->arena == arena.data()) {
      bound_.splice(bound_.begin(), bound_, it);
      return bound_.front();
    }
  weights(dtype);  // takes its memory first
  if (arena.bytes() < unbound.arena_bytes) {
    bound_.remove_if([&](const Bound& b) { return b.dtype == dtype; });
    if (arena.bytes() > 0) {  // first, so that both never exist together
      arena = {};
      stream().release_unused();
    }
    if (spill_ || (limit_ && dtype != dtype_ && int64_t(unbound.arena_bytes) > limit_))
      arena.host = cuda::PinnedMemory(unbound.arena_bytes);
    else
      arena.device = cuda::DeviceMemory(stream(), unbound.arena_bytes);
  }
  constexpr size_t kMost = 4;  // a recording is a few MB
  if (bound_.size() >= kMost) bound_.pop_back();
  Bound& b = bound_.emplace_front();
  try {
    b.plan = unbound;
    b.dtype = dtype;
    b.arena = arena.data();
    b.plan.bind(arena.data());
    record(b);
  } catch (...) {
    bound_.pop_front();
    throw;
  }
  return b;
}

void CudaNetwork::release() {
  bound_.clear();
  arenas_.clear();
  stream().release_unused();
}

CudaNetwork::Bound* CudaNetwork::safer(const Bound& than) {
  if (than.dtype == DType::f32) return nullptr;
  const DType dtype = than.dtype == DType::f16 ? DType::bf16 : DType::f32;
  PlanOptions o = options(dtype);
  o.segment_bytes = than.plan.segment_bytes;
  Plan plan = make_plan(*graph_, than.plan.lr, o);
  if (limit_) {
    while (int64_t(plan.arena_bytes) > limit_ && o.segment_bytes > kLeastSegmentBytes) {
      o.segment_bytes /= 2;
      plan = make_plan(*graph_, than.plan.lr, o);
    }
  }
  return &bind(plan, dtype);
}

void CudaNetwork::record(Bound& b) {
  const DeviceWeights& w = weights(b.dtype);
  b.recording.begin(stream());
  bool upward = false;  // alternates
  try {
    for (size_t i = 0; i < b.plan.steps.size(); i++) {
      const PlanStep& step = b.plan.steps[i];
      const cuda::Rows rows{step.row_begin, step.row_end, upward};
      std::visit(
          [&](auto op) {
            attach(op, w.list);
            if constexpr (std::is_same_v<decltype(op), Conv2d<Tensor>>)
              if (const auto* stats = statistics_after(b.plan, i);
                  stats && cuda::makes_statistics(op, *stats, device())) {
                cuda::run(op, *stats, stream(), rows);
                i++;
                return;
              }
            cuda::run(op, stream(), rows);
          },
          step.op);
      upward = !upward;
    }
  } catch (...) {
    try {
      b.recording.end(stream());
    } catch (const Error&) {  // the first error is the one to tell
    }
    throw;
  }
  b.recording.end(stream());
}

void CudaNetwork::run(Bound& b) { b.recording.replay(stream()); }

std::string CudaNetwork::explain(const Plan& plan) const {
  std::ostringstream text;
  for (const PlanStep& step : plan.steps)
    std::visit(
        [&](auto op) {
          text << op.kName << " " << op.x.c << "->" << op.y.c << " ";
          if constexpr (std::is_same_v<decltype(op), Conv2d<Tensor>>) {
            attach(op, weights_.at(dtype_).list);
            text << "k" << op.w.k << " up" << op.up << " " << cuda::variant_name(op, device_) << " ";
          }
          if constexpr (requires { op.kComposite; } ||
                        std::is_same_v<decltype(op), WindowAttention<Tensor>>) {
            attach(op, weights_.at(dtype_).list);
            text << cuda::variant_name(op, device_) << " ";
          }
          if constexpr (std::is_same_v<decltype(op), Attention<Tensor>>)
            text << cuda::variant_name(op, device_) << " ";
          text << op.x.w << "x" << op.x.h;
          if (step.row_end != INT_MAX) text << " rows " << step.row_begin << ".." << step.row_end;
          text << "\n";
        },
        step.op);
  return text.str();
}

}  // namespace ups
