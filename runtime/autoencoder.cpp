// Encoding and decoding: value ranges, scaling, padding, and strips for the memory there is.
#include "runtime/autoencoder.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "kernels/convert.h"
#include "kernels/error.h"
#include "runtime/philox.h"

namespace ups {
namespace {

constexpr size_t kLargestStrip = size_t(16) << 20, kSmallestStrip = size_t(64) << 10;
constexpr double kMostLogVariance = 20, kLeastLogVariance = -30;

int64_t rows_bytes(const Tensor& t, int64_t rows) {
  return std::min<int64_t>(std::max<int64_t>(rows, 0), t.h) * t.row * dtype_bytes(t.dtype);
}

}  // namespace

int64_t touched_bytes(const Plan& plan) {
  int64_t most = 0;
  for (const PlanStep& step : plan.steps) {
    int64_t bytes = 0;
    std::visit(
        [&](auto op) {
          const RowUse use = op.rows();
          const int64_t all = use.of_x ? op.x.h : op.y.h / use.shuffle;
          const int64_t rows = std::min<int64_t>(step.row_end, all) - step.row_begin;
          op.operands([&](Tensor& t, bool written) {
            if (!t.c) return;
            const bool complete = [&] {
              bool found = use.whole;
              if constexpr (requires { op.complete([](Tensor&) {}); })
                op.complete([&](Tensor& c) { found = found || &c == &t; });
              return found;
            }();
            if (complete)
              bytes += rows_bytes(t, t.h);
            else if (&t == &op.x)
              bytes += rows_bytes(t, ((rows - 1) * use.stride + use.k) / use.up + 2);
            else
              bytes += rows_bytes(t, written ? rows * use.shuffle : rows);
          });
        },
        step.op);
    most = std::max(most, bytes);
  }
  return most;
}

Autoencoder::Autoencoder(OpenNetworks open, MakeBackend make_backend, Pool& pool)
    : open_(std::move(open)), networks_(open_()), make_backend_(std::move(make_backend)), pool_(pool) {
  for (auto* network : {&networks_.encoder, &networks_.decoder})
    if (*network) (*network)->weights.reset();
}

void Autoencoder::set_scaling(double scaling, double shift) {
  check(std::isfinite(scaling) && scaling > 0 && std::isfinite(shift), Code::usage,
        "autoencoder: got a scaling of ", scaling, " and a shift of ", shift,
        ", expected a positive and a finite number");
  networks_.scaling = scaling, networks_.shift = shift, networks_.origin = "option";
}

void Autoencoder::set_budget(int64_t bytes) { budget_ = bytes; }

Extent Autoencoder::fitted(Extent picture, Fit fit) const {
  const int f = networks_.factor;
  check(picture.h >= 1 && picture.w >= 1, Code::usage, "autoencoder: got a picture of ", picture.w, "x",
        picture.h, ", expected at least 1x1");
  auto side = [&](int px) { return fit == Fit::crop ? px / f * f : int((int64_t(px) + f - 1) / f * f); };
  check(fit == Fit::pad || (picture.h >= f && picture.w >= f), Code::usage, "autoencoder: got a picture of ",
        picture.w, "x", picture.h, " to be cropped, expected at least ", f, "x", f);
  return {side(picture.h), side(picture.w)};
}

Extent Autoencoder::latent_extent(Extent picture, Fit fit) const {
  const Extent e = fitted(picture, fit);
  return {e.h / networks_.factor, e.w / networks_.factor};
}

Network Autoencoder::opened(std::optional<Network> AutoencoderNetworks::*half) const {
  AutoencoderNetworks now = open_();
  check(now.family == networks_.family && now.latent_c == networks_.latent_c &&
            now.factor == networks_.factor && now.*half,
        Code::model, networks_.family, ": the file is not the one that was opened, it has changed since");
  return *std::move(now.*half);
}

Session& Autoencoder::encoder() {
  check(networks_.encoder.has_value(), Code::model, networks_.family, ": the file has no encoder");
  if (!encoder_) encoder_.emplace(opened(&AutoencoderNetworks::encoder), make_backend_());
  return *encoder_;
}

Session& Autoencoder::decoder() {
  check(networks_.decoder.has_value(), Code::model, networks_.family, ": the file has no decoder");
  if (!decoder_) decoder_.emplace(opened(&AutoencoderNetworks::decoder), make_backend_());
  return *decoder_;
}

// On a GPU smaller strips come first; then the arena moves to the host.
const Plan& Autoencoder::prepare_on_device(Session& session, Extent lr) {
  const Backend& backend = session.backend();
  const size_t largest = backend.plan_options().segment_bytes;
  int64_t limit = budget_ > 0 ? budget_ : backend.budget_bytes();
  for (;;) {
    session.use_segments(largest, false);
    const Plan* plan = &session.plan(lr);
    // Weights, and f32 input and output; flags and workspace.
    const int64_t fixed = int64_t(backend.weight_bytes()) +
                          (lr.pixels() * plan->x.c + plan->hr.pixels() * plan->y.c) * 4 + (int64_t(2) << 20);
    check(fixed <= limit, Code::memory, networks_.family, ": this size needs at least ",
          (fixed + (1 << 20) - 1) >> 20, " MiB of the device, the limit is ", limit >> 20,
          " MiB (give more or use the CPU)");
    for (size_t strip = largest / 2; fixed + int64_t(plan->arena_bytes) > limit && strip >= kSmallestStrip;
         strip /= 2) {
      session.use_segments(strip, false);
      plan = &session.plan(lr);
    }
    spilled_ = fixed + int64_t(plan->arena_bytes) > limit;
    if (spilled_) session.use_segments(largest, true);
    working_bytes_ = fixed + (spilled_ ? 0 : int64_t(plan->arena_bytes));
    session.limit_arena(limit - fixed);
    try {
      return session.prepare(lr);
    } catch (const Error& e) {  // others have some of the device's memory
      if (e.code != Code::memory || spilled_) throw;
    }
    limit = std::max(fixed, working_bytes_ / 2);
  }
}

const Plan& Autoencoder::prepare(Session& session, Extent lr) {
  if (session.device_pass()) return prepare_on_device(session, lr);
  const int64_t weights = int64_t(session.backend().weight_bytes());
  session.use_segments(kLargestStrip, false);
  int64_t scratch = int64_t(session.backend().scratch_bytes(session.plan(lr)));
  int64_t arena = int64_t(session.plan(lr).arena_bytes);
  spilled_ = budget_ > 0 && weights + scratch + arena > budget_;
  if (spilled_) {
    for (size_t strip = kLargestStrip;; strip /= 2) {
      session.use_segments(strip, true);
      arena = touched_bytes(session.plan(lr));
      if (weights + scratch + arena <= budget_) break;
      check(strip > kSmallestStrip, Code::memory, networks_.family, ": this size needs at least ",
            (weights + scratch + arena + (1 << 20) - 1) >> 20, " MiB, the limit is ", budget_ >> 20,
            " MiB (give more or use a smaller picture)");
    }
  }
  working_bytes_ = weights + scratch + arena;
  return session.prepare(lr);
}

Latent Autoencoder::encode(const Image& picture, Fit fit, std::optional<uint64_t> seed,
                           const Progress& progress) {
  check(!seed || networks_.moments, Code::usage, networks_.family,
        ": a sample was asked for, but this autoencoder gives one latent, not a distribution");
  Session& session = encoder();
  if (decoder_) decoder_->release();
  const Extent whole = fitted(picture.extent(), fit);
  const Plan& plan = prepare(session, whole);
  const bool crop = fit == Fit::crop;
  const int y0 = crop ? (picture.h - whole.h) / 2 : 0, x0 = crop ? (picture.w - whole.w) / 2 : 0;
  crop_tile(picture, y0, x0, picture.c >= 3 ? kFirst3 : kGrayTo3, plan.x, pool_);
  if (networks_.signed_range)
    for (int y = 0; y < plan.x.h; y++)
      for (int x = 0; x < plan.x.w; x++)
        for (int k = 0; k < 3; k++) plan.x.at(y, x)[k] = 2 * plan.x.at(y, x)[k] - 1;
  session.run(progress);
  encodes_++;

  Latent l;
  l.c = networks_.latent_c, l.h = plan.hr.h, l.w = plan.hr.w;
  l.picture = crop ? Extent{} : picture.extent();
  l.v.resize(size_t(l.count()));
  const int64_t pixels = int64_t(l.h) * l.w;
  for (int y = 0; y < l.h; y++)
    for (int x = 0; x < l.w; x++)
      for (int k = 0; k < l.c; k++) {
        const int64_t i = k * pixels + int64_t(y) * l.w + x;
        double z = plan.y.at(y, x)[k];
        if (seed) {
          const double log_variance =
              std::clamp(double(plan.y.at(y, x)[l.c + k]), kLeastLogVariance, kMostLogVariance);
          z += std::exp(0.5 * log_variance) * philox_normal(*seed, uint32_t(i));
        }
        l.v[size_t(i)] = float((z - networks_.shift) * networks_.scaling);
      }
  for (float v : l.v)
    check(std::isfinite(v), Code::model, networks_.family,
          ": the encoder gave infinity or NaN (damaged weights?)");
  return l;
}

void Autoencoder::decode(const Latent& latent, float* rgb, const Progress& progress) {
  Session& session = decoder();
  check(latent.c == networks_.latent_c, Code::usage, networks_.family, ": the latent has ", latent.c,
        " channels, this autoencoder expects ", networks_.latent_c);
  if (encoder_) encoder_->release();
  const Plan& plan = prepare(session, latent.extent());
  const int64_t pixels = int64_t(latent.h) * latent.w;
  for (int y = 0; y < latent.h; y++)
    for (int x = 0; x < latent.w; x++)
      for (int k = 0; k < latent.c; k++) {
        double z =
            latent.v[size_t(k * pixels + int64_t(y) * latent.w + x)] / networks_.scaling + networks_.shift;
        if (networks_.clamped) z = 3 * std::tanh(z / 3);
        plan.x.at(y, x)[k] = float(z);
      }
  session.run(progress);
  decodes_++;
  const int64_t row = int64_t(plan.hr.w) * 3;
  const float scale = networks_.signed_range ? 0.5f : 1, shift = networks_.signed_range ? 0.5f : 0;
  bool finite = true;
  for (int y = 0; y < plan.hr.h; y++)
    for (int64_t i = 0; i < row; i++) {
      const float v = plan.y.at(y, 0)[i] * scale + shift;
      finite = finite && std::isfinite(v);
      rgb[y * row + i] = v;
    }
  check(finite, Code::model, networks_.family,
        ": the decoder gave infinity or NaN (damaged weights, or half precision)");
}

}  // namespace ups
