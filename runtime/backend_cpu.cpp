// The CPU backend: packed weights, one arena, dense blocks handed to the kernels as chains.
#include <algorithm>
#include <cstring>
#include <sstream>
#include <variant>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "kernels/cpu/winograd_tile.h"
#include "kernels/error.h"
#include "runtime/arena.h"
#include "runtime/backend.h"

namespace ups {

namespace {

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(Pool& pool) : pool_(pool) {}

  std::string describe() const override {
    return "CPU " + cpu::isa_name() + ", " + std::to_string(pool_.threads()) +
           (pool_.threads() == 1 ? " thread" : " threads");
  }

  PlanOptions plan_options() const override {
    const auto whole = [](const Op<Value>& op) {
      return std::visit(
          [](const auto& o) {
            if constexpr (requires { o.kComposite; }) return cpu::runs_whole(o);
            return false;
          },
          op);
    };
    return {.in_place = InPlace::all, .whole = whole};
  }
  bool collapses() const override { return true; }
  void load(const Graph& graph) override;
  size_t weight_bytes() const override { return weight_bytes_; }
  size_t scratch_bytes(const Plan& plan) const override;
  void bind(Plan& plan) override { plan.bind(arena_.reserve(plan.arena_bytes, spill_)); }
  void spill(bool on) override { spill_ = on; }
  void release() override { arena_.release(); }
  void run(const Plan& plan, const Progress& progress) override;
  std::string explain(const Plan& plan) const override;

 private:
  size_t run_some(const Plan& plan, size_t i);
  template <class Operator>
  Operator with_weights(Operator op) const {
    if constexpr (requires { op.weights([](Weight&) {}); })
      op.weights([&](Weight& w) {
        if (w.id >= 0) w = weights_[w.id];
      });
    return op;
  }

  Pool& pool_;
  Arena weight_memory_, arena_;
  size_t weight_bytes_ = 0;
  bool spill_ = false;
  std::vector<Weight> weights_;
  cpu::Scratch scratch_;
};

// Which weights belong to linear layers of sublayers that run whole.
std::vector<bool> sublayer_weights(const Graph& graph) {
  std::vector<bool> found(graph.weight_infos().size());
  for (const Op<Value>& op : graph.ops()) {
    if (const auto* a = std::get_if<AttentionSublayer<Value>>(&op); a && cpu::runs_whole(*a))
      found[a->qkv.id] = found[a->proj.id] = true;
    if (const auto* m = std::get_if<MlpSublayer<Value>>(&op); m && cpu::runs_whole(*m))
      found[m->fc1.id] = found[m->fc2.id] = true;
  }
  return found;
}

size_t weight_room(const Weight& w, bool packed) {
  return aligned(packed ? size_t(cpu::packed_linear_floats(w)) * sizeof(float)
                        : size_t(w.cout) * w.k * w.k * w.cin * dtype_bytes(w.dtype));
}

void CpuBackend::load(const Graph& graph) {
  const std::vector<bool> packed = sublayer_weights(graph);
  const auto& infos = graph.weight_infos();
  const StateDict& file = graph.weights();
  weights_.assign(infos.size(), {});
  std::vector<size_t> offsets(infos.size());
  size_t total = 0;
  for (size_t i = 0; i < infos.size(); i++) {
    const auto& info = infos[i];
    Weight& w = weights_[i];
    w.id = int(i), w.cout = info.cout, w.k = info.k, w.cin = info.cin;
    // Half-precision files stay half: the kernels widen exactly, and memory is what tiles need.
    const bool half = file.at(info.weight_key).element == Element::f16 && !info.flat;
    w.dtype = half ? DType::f16 : DType::f32;
    offsets[i] = total;
    total += weight_room(w, packed[i] && !half);
    total += 2 * aligned(size_t(w.cout) * sizeof(float));
  }
  weight_bytes_ = total;
  char* base = static_cast<char*>(weight_memory_.reserve(std::max<size_t>(total, 1)));

  pool_.for_each(int(infos.size()), [&](int i, int) {
    const auto& info = infos[i];
    Weight& w = weights_[i];
    char* at = base + offsets[i];
    const Entry& entry = file.at(info.weight_key);
    const bool half = w.dtype == DType::f16;
    w.w = at;
    if (info.flat) {
      std::memcpy(at, file.floats(info.weight_key).data(), size_t(w.cout) * w.cin * sizeof(float));
    } else if (packed[i] && !half) {
      cpu::pack_linear_weight(file.floats(info.weight_key).data(), reinterpret_cast<float*>(at), w);
    } else if (entry.element == (half ? Element::f16 : Element::f32)) {
      cpu::pack_conv_weight(entry.bytes.data(), at, w.dtype, w.cout, w.cin, w.k);
    } else {
      cpu::pack_conv_weight(file.floats(info.weight_key).data(), at, w.dtype, w.cout, w.cin, w.k);
    }
    at += weight_room(w, packed[i] && !half);
    auto vector = [&](const std::string& key) -> const float* {
      if (key.empty()) return nullptr;
      float* out = reinterpret_cast<float*>(at);
      const std::vector<float> values = file.floats(key);
      for (int c = 0; c < w.cout; c++) out[c] = values[values.size() == 1 ? 0 : c];
      at += aligned(size_t(w.cout) * sizeof(float));
      return out;
    };
    w.bias = vector(info.bias_key);
    w.slope = vector(info.slope_key);
  });
}

// What transforms and packed panels take at most (docs/kernels.md). kMost holds for any network, with
// what each of many threads takes beside 16 MiB. Where all operators but those that only move data are 3x3
// convolutions, it is what their weights, and inputs kept for a dense block, come to. Attention in windows
// adds what each thread holds of one.
size_t CpuBackend::scratch_bytes(const Plan& plan) const {
  constexpr size_t kMost = 24 << 20, kWeights = 8 << 20, kInputs = 5 << 20, kThread = 768 << 10;
  const size_t all_threads = kThread * pool_.threads(), most = std::max(kMost, (16 << 20) + all_threads);
  size_t windows = 0, large = 0;
  for (const PlanStep& step : plan.steps) {
    const auto* conv = std::get_if<Conv2d<Tensor>>(&step.op);
    if (conv) large = std::max(large, cpu::large_winograd_scratch_bytes(*conv, pool_.threads()));
    if (const auto* op = std::get_if<AttentionSublayer<Tensor>>(&step.op))
      windows = std::max(windows, cpu::thread_scratch_bytes(*op) * pool_.threads());
  }
  if (windows > 0) return std::max({most, kMost + windows, large + windows});
  size_t weights = 0, inputs = 0, chain = 0;
  int last_cin = 0;
  for (const PlanStep& step : plan.steps) {
    if (std::holds_alternative<Copy<Tensor>>(step.op) || std::holds_alternative<Upsample<Tensor>>(step.op) ||
        std::holds_alternative<PixelUnshuffle<Tensor>>(step.op))
      continue;
    const auto* conv = std::get_if<Conv2d<Tensor>>(&step.op);
    if (!conv || conv->w.k != 3) return std::max(most, large);
    // 36 products of floats; the layers of a dense block, each wider than the last, are kept together.
    const size_t one = size_t(144) * conv->w.cin * ((conv->w.cout + 31) / 32 * 32);
    chain = conv->w.cin > last_cin ? chain + one : one;
    if (conv->w.cin > last_cin && last_cin > 3)
      inputs = std::max(inputs, size_t(9) * size_t(conv->x.extent().pixels()) * conv->w.cin);
    last_cin = conv->w.cin;
    weights = std::max(weights, chain);
  }
  if (inputs > kInputs) inputs = 0;  // then they are not kept
  return std::max(large, std::min(most, std::min(weights, kWeights) + inputs + all_threads));
}

// The rest of the transformer layer that begins with step i, if the two run as one.
const MlpSublayer<Tensor>* joined(const Plan& plan, size_t i) {
  if (i + 1 >= plan.steps.size()) return nullptr;
  const PlanStep& next = plan.steps[i + 1];
  const auto* attention = std::get_if<AttentionSublayer<Tensor>>(&plan.steps[i].op);
  const auto* mlp = std::get_if<MlpSublayer<Tensor>>(&next.op);
  const bool whole = mlp && next.row_begin <= 0 && next.row_end >= mlp->y.h;
  return attention && whole && cpu::joins(*attention, *mlp) ? mlp : nullptr;
}

// Runs step i, and those after it that run as one with it. Returns how many these are.
size_t CpuBackend::run_some(const Plan& plan, size_t i) {
  cpu::Context context{pool_, scratch_};
  // Consecutive whole-image convolutions may form dense blocks that share input transforms.
  constexpr size_t kMostChain = 8;  // longer than any dense block in use
  std::vector<Conv2d<Tensor>> chain;
  for (size_t j = i; j < plan.steps.size() && plan.steps[j].row_end == INT_MAX; j++) {
    const auto* conv = std::get_if<Conv2d<Tensor>>(&plan.steps[j].op);
    if (!conv || chain.size() == kMostChain) break;
    chain.push_back(with_weights(*conv));
  }
  const int length = chain.size() > 1 ? cpu::chain_length(chain) : 0;
  if (length > 1) {
    cpu::run_chain(std::span(chain).first(length), context);
    return size_t(length);
  }
  const PlanStep& step = plan.steps[i];
  const cpu::Rows rows{step.row_begin, step.row_end};
  if (const GroupStats<Tensor>* stats = statistics_after(plan, i)) {
    const auto conv = with_weights(std::get<Conv2d<Tensor>>(step.op));
    if (cpu::makes_statistics(conv, *stats)) {
      cpu::run(conv, *stats, context, rows);
      return 2;
    }
  }
  if (const MlpSublayer<Tensor>* mlp = joined(plan, i)) {
    cpu::run(with_weights(std::get<AttentionSublayer<Tensor>>(step.op)), with_weights(*mlp), context);
    return 2;
  }
  std::visit([&](const auto& op) { cpu::run(with_weights(op), context, rows); }, step.op);
  return 1;
}

void CpuBackend::run(const Plan& plan, const Progress& progress) {
  double done = 0;
  for (size_t i = 0; i < plan.steps.size();) {
    if (progress) progress(plan.flop > 0 ? done / plan.flop : 0);
    const size_t end = i + run_some(plan, i);
    arena_.forget();
    for (; i < end; i++) done += plan.steps[i].flop;
  }
  if (progress) progress(1);
}

std::string CpuBackend::explain(const Plan& plan) const {
  std::ostringstream text;
  for (const PlanStep& step : plan.steps) {
    std::visit(
        [&](const auto& op) {
          text << op.kName << " " << op.x.c << "->" << op.y.c << " ";
          if constexpr (std::is_same_v<std::decay_t<decltype(op)>, Conv2d<Tensor>>)
            text << "k" << op.w.k << " up" << op.up << " " << cpu::variant_name(with_weights(op)) << " ";
          text << op.x.w << "x" << op.x.h;
        },
        step.op);
    if (step.row_end != INT_MAX) text << " rows " << step.row_begin << ".." << step.row_end;
    text << "\n";
  }
  return text.str();
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(Pool& pool) { return std::make_unique<CpuBackend>(pool); }

}  // namespace ups
