// Rates from pieces that grow until timing them means something.
#include "apps/run_time.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"
#include "apps/finish_rows.h"
#include "apps/model_facts.h"
#include "apps/progress.h"
#include "apps/run_plan.h"

namespace ups::apps {
namespace {

constexpr double kFirstPixels = 1 << 18, kMostPixels = 1 << 22, kEnoughSeconds = 0.1;

// Networks leave more detail than there is in the resampled piece; measured on photographs.
double detail_factor(Format format, const EncodeOptions& o) {
  if (format == Format::avif) return 1.4;
  return format == Format::webp && o.lossless ? 1.5 : 1;
}

template <class Action>
double seconds_of(Action&& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Area area(const Json& size) { return {size.at(0).get<double>(), size.at(1).get<double>()}; }

Resampling resampling_of(const Model& model, const std::vector<Json>& plans, const Options& o) {
  Resampling r;
  for (size_t i = 0; i < plans.size(); i++) {
    const double scale = network_scale(i + 1 < plans.size() ? *model.before()[i] : model);
    Area at = area(plans[i].at("input"));
    for (const Json& step : plans[i].at("steps")) {
      for (const Json& pass : step.at("passes"))
        at = {area(pass.at("network")).width * scale, area(pass.at("network")).height * scale};
      const Area target = area(step.at("target"));
      r.add(at, target);
      at = target;
    }
    if (i + 1 == plans.size() && o.blend > 0) r.add(area(plans[i].at("input")), at);
  }
  return r;
}

// Four blocks of the picture beside each other, each from the middle of a quarter: `share` of both sides.
Image piece_of(const Image& lr, double share) {
  const int w = std::clamp(int(lr.width * share / 2), 1, lr.width),
            h = std::clamp(int(lr.height * share / 2), 1, lr.height);
  const size_t pixel = lr.row_bytes() / size_t(lr.width);
  Image piece = allocate_image(2 * w, 2 * h, lr.channels, lr.depth);
  for (int block = 0; block < 4; block++) {
    const int bx = block % 2, by = block / 2;
    const int x = std::clamp(lr.width * (2 * bx + 1) / 4 - w / 2, 0, lr.width - w);
    const int y = std::clamp(lr.height * (2 * by + 1) / 4 - h / 2, 0, lr.height - h);
    for (int row = 0; row < h; row++)
      memcpy(piece.row(by * h + row) + size_t(bx * w) * pixel, lr.row(y + row) + size_t(x) * pixel,
             size_t(w) * pixel);
  }
  return piece;
}

Image resized(const Image& in, const Area& to, ups_depth depth, ups_filter filter) {
  return resized(in, std::max(1, int(to.width)), std::max(1, int(to.height)), depth, filter);
}

void finish(const Model& model, const Image& picture, const ups_finish& asked, ups_depth depth) {
  ups_finish f = asked;  // of a picture that fills its canvas
  f.picture_width = f.picture_height = f.width = f.height = f.x = f.y = 0;
  const Image rows =
      resized(picture, {double(picture.width), double(picture.height)}, UPS_F32, UPS_FILTER_NEAREST);
  Image hr;
  hr.width = rows.width, hr.height = rows.height, hr.channels = rows.channels, hr.depth = depth;
  FinishRows line(model.get(), rows.width, rows.height, f, hr);
  line.send_to([](void*, int, int, const void*) { return 0; }, nullptr);
  if (line.push(rows.height, rows.pixels.get()) && line.error()) std::rethrow_exception(line.error());
}

}  // namespace

std::string RunSeconds::parts() const {
  std::string text;
  const std::pair<const char*, double> all_parts[] = {{"reading", reading},
                                                      {"network", network},
                                                      {"resampling", resampling},
                                                      {"finishing", finishing},
                                                      {"encoding", encoding}};
  for (const auto& [name, seconds] : all_parts)
    if (seconds > 0) text += (text.empty() ? "" : ", ") + std::string(name) + " " + seconds_text(seconds);
  return text;
}

// Tries resampling, finishing and encoding on pieces of the picture.
RunTime::Rates RunTime::measure(const Model& model, const Image& lr, Format format, const Options& o,
                                const Sizes& sizes, const Resampling& r) {
  const double pixels = std::max({r.from.pixels(), r.to.pixels(), 1.0});
  Rates rates;
  for (double budget = kFirstPixels;;) {
    const double k = std::min(1.0, std::sqrt(budget / pixels));
    Image piece = piece_of(lr, k);
    if (piece.channels != sizes.channels) piece = flatten(std::move(piece), Colour{1, 1, 1});
    Image picture = resized(piece, {r.from.width * k, r.from.height * k}, sizes.depth, UPS_FILTER_LANCZOS3);
    double seconds = 0;
    if (r.pixels > 0) {
      seconds = seconds_of([&] {
        picture = resized(picture, {r.to.width * k, r.to.height * k}, sizes.depth, o.filter);
      });
      rates.resampling = seconds / (pixels * k * k);
    }
    const double tried = double(picture.width) * picture.height;
    if (sizes.finishes(o)) {
      const double t = seconds_of([&] { finish(model, picture, sizes.finish, sizes.depth); });
      rates.finishing = t / tried, seconds += t;
    }
    OutputFile nowhere("-");  // not committed
    const double t = seconds_of([&] { encode_image(nowhere, format, std::move(picture), o.encode); });
    rates.encoding = t / tried, seconds += t;
    if (k == 1 || seconds >= kEnoughSeconds || budget == kMostPixels) return rates;
    budget = std::min(kMostPixels, std::max(4.0, 1.5 * kEnoughSeconds / seconds) * budget);
  }
}

RunSeconds RunTime::of(const Model& model, const Image& lr, double reading, Format format, const Options& o,
                       const Sizes& sizes, const std::vector<Json>& plans) {
  const Area picture{double(sizes.plan.picture_width), double(sizes.plan.picture_height)};
  Resampling r = resampling_of(model, plans, o);
  if (r.pixels == 0) r.from = r.to = picture;
  const Kind kind{sizes.channels, int(sizes.depth),
                  int(std::log2(std::clamp(std::max(r.from.pixels(), r.to.pixels()), 1.0, kMostPixels))),
                  int(std::lround(4 * std::log2(r.to.pixels() / r.from.pixels())))};
  auto [entry, is_new] = measured_.try_emplace(kind);
  if (is_new) entry->second = measure(model, lr, format, o, sizes, r);
  const Rates& rates = entry->second;
  RunSeconds s;
  s.reading = reading;
  for (const Json& plan : plans) s.network += plan.value("estimated_seconds", 0.0);
  s.resampling = rates.resampling * r.pixels;
  s.finishing = rates.finishing * picture.pixels();
  s.encoding =
      rates.encoding * double(sizes.plan.width) * sizes.plan.height * detail_factor(format, o.encode);
  const double computing = s.network + s.resampling + s.finishing;
  s.all = computing + s.encoding;
  if (can_stream(format)) {  // while the network has all threads; a TIFF is encoded by one
    const double cores = encoder_threads({}),
                 encoders = format == Format::png ? encoder_threads(o.encode) : 1;
    const double computers = !on_cpu(model) ? 0 : o.threads > 0 ? std::min(double(o.threads), cores) : cores;
    s.all = std::max(
        {computing, s.encoding, (computing * computers + s.encoding * std::min(encoders, cores)) / cores});
  }
  s.all += s.reading;
  return s;
}

}  // namespace ups::apps
