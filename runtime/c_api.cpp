// The C API: models and upscaling. See include/upscale.h.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "kernels/error.h"
#include "runtime/c_boundary.h"
#include "runtime/c_loop.h"
#include "runtime/c_model.h"
#include "runtime/device.h"
#include "runtime/loop.h"
#include "runtime/model.h"
#include "runtime/picture.h"
#include "runtime/session.h"
#include "upscale.h"
#include "weights/mix.h"
#include "weights/open.h"
#include "weights/safetensors.h"

using nlohmann::ordered_json;

namespace ups {
namespace {

ups_options read_options(const ups_options* given) { return read_struct(given, "ups_options"); }

LoopOptions loop_options(const ups_options& o) {
  check_choice("step_mode", o.step_mode, UPS_STEPS_ONCE);
  check_choice("filter", o.filter, UPS_FILTER_CUBIC);
  check(o.steps >= 0, Code::usage, "steps: got ", o.steps, ", expected at least 1");
  LoopOptions l;
  l.scale = o.scale;
  l.steps = o.steps ? o.steps : 1;
  l.mode = StepMode(o.step_mode);
  check(
      l.steps == 1 || !is_one_step(l.mode), Code::usage, "steps: got ", l.steps,
      ", expected 1 where step_mode is UPS_STEPS_NATIVE or UPS_STEPS_ONCE (UPS_STEPS_GEOMETRIC has several)");
  l.filter = Filter(o.filter);
  l.tiles.tile_px = o.tile_px, l.tiles.overlap_px = o.overlap_px;
  check_memory(o.max_memory_bytes);
  l.tiles.budget_bytes = o.max_memory_bytes;
  check((o.width > 0) == (o.height > 0) && o.width >= 0 && o.height >= 0, Code::usage, "size: got ", o.width,
        "x", o.height, ", expected both sides or neither");
  check(o.wrap >= 0 && o.wrap <= 3, Code::usage, "wrap: got ", o.wrap, ", expected 0 to 3");
  check_choice("tile_blend", o.tile_blend, UPS_BLEND_HARD);
  symmetries(o.tta ? o.tta : 1);  // checks
  l.size = {o.height, o.width};
  l.tiles.wrap = {(o.wrap & UPS_WRAP_X) != 0, (o.wrap & UPS_WRAP_Y) != 0};
  l.tiles.tta = o.tta ? o.tta : 1;
  l.tiles.blend = TileBlend(o.tile_blend);
  if (o.loop) l.rules = loop_rules(*o.loop);
  check(!l.rules.faithful || o.blend == 0, Code::usage, "blend: got ", o.blend,
        ", expected 0 with faithful sizes");
  return l;
}

Picture picture_of(const Image& lr, const ups_options& o, const Session& session) {
  check_choice("kind", o.kind, UPS_KIND_MASK);
  check_choice("alpha", o.alpha, UPS_ALPHA_DROP);
  return prepare_picture(lr, loop_options(o), {Kind(o.kind), AlphaMode(o.alpha), o.blend},
                         session.info().scale);
}

const char* dtype_of(const StateDict& weights) {
  for (const auto& [key, entry] : weights.entries())
    if (entry.shape.size() == 4) return element_name(entry.element);
  return "F32";
}

// The name a file states, or else that of the file.
std::string name_of(const StateDict& weights, const std::string& file_name) {
  const std::string stated = weights.metadata_text("name");
  return stated.empty() ? file_name : stated;
}

std::string stem_of(const std::string& path) { return std::filesystem::path(path).stem().string(); }

// What ups_model_info says of a file and the network in it.
ordered_json info_of(const std::string& name, const StateDict& weights, const Info& info) {
  ordered_json j;
  j["name"] = name;
  j["architecture"] = info.family;
  j["variant"] = info.variant;
  j["scale"] = info.scale;
  j["default_scale"] = info.default_scale;
  j["in_channels"] = info.in_c;
  j["out_channels"] = info.out_c;
  for (const auto& [key, value] : info.hyper) j["hyperparameters"][key] = value;
  j["multiple_of"] = info.multiple_of;
  j["dtype"] = dtype_of(weights);
  for (const char* key : {"license", "origin", "source_sha256"}) j[key] = weights.metadata_text(key);
  return j;
}

// And of what it has become on a device.
void add_facts(ordered_json& j, Session& session) {
  const Facts& facts = session.facts();
  j["parameters"] = facts.parameters;
  j["flop_per_pixel"] = facts.flop_per_px;
  j["receptive_field_px"] = facts.context_px;
  j["whole_image_statistics"] = facts.statistics;
  // Of a tile of the usual size, where fixed costs no longer show.
  const int multiple_of = session.info().multiple_of, side = std::max(1, 256 / multiple_of) * multiple_of;
  j["bytes_per_pixel"] = double(session.plan({side, side}).arena_bytes) / (double(side) * side);
}

void open_model(std::shared_ptr<const StateDict> weights, const std::string& file_name,
                const ups_options* given, ups_model** out) {
  const ups_options o = read_options(given);
  check_threads(o.threads);
  check_choice("precision", o.precision, UPS_PRECISION_FP16_SUMS);
  std::string name = name_of(*weights, file_name);
  std::shared_ptr<const StateDict> first, other;  // of a mix
  if (o.mix_path) {
    first = weights, other = open_weights(o.mix_path);
    std::ostringstream both;
    both << 1 - o.mix << " " << name << " + " << o.mix << " " << name_of(*other, stem_of(o.mix_path));
    name = both.str();
    auto mix = std::make_shared<StateDict>(*mixed(weights, *other, o.mix));
    mix->metadata.erase("source_sha256");  // it is neither file's
    weights = mix;
  }
  Network network = open_network(weights);
  ordered_json j = info_of(name, *weights, network.info);
  weights.reset();

  auto model = std::make_unique<ups_model>(o.threads);
  const std::string device = o.device ? o.device : "auto";
  std::string note;
  auto backend = make_backend(device, Precision(o.precision), model->pool, &note);
  j["device"] = backend->describe();
  j["device_note"] = note;
  model->session = std::make_unique<Session>(std::move(network), std::move(backend));
  model->mix = o.mix;
  if (other)
    model->remixed = [first, other, device, precision = Precision(o.precision),
                      pool = &model->pool](double share) {
      return std::make_unique<Session>(open_network(mixed(first, *other, share)),
                                       make_backend(device, precision, *pool));
    };
  add_facts(j, *model->session);
  // A file's name need not be UTF-8.
  model->info_json = j.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  *out = model.release();
}

// A denoise strength that changes from step to step asks for sessions of its own.
bool changes_strength(const ups_model& model, const LoopOptions& o) {
  if (o.rules.denoise_change == 1) return false;
  check(bool(model.remixed), Code::usage,
        "denoise_change: this model has no denoise strength (open it with "
        "mix_path, its twin that keeps noise)");
  return true;
}

// Time per FLOP on this machine now: one small tile, run a few times, the fastest counts.
double measure(Session& session) {
  const int multiple_of = session.info().multiple_of;
  const int side = std::max(32, multiple_of) / multiple_of * multiple_of;
  const Plan& plan = session.prepare({side, side});
  double best = 1e30, sum = 0;
  for (int i = 0; i < 2 || (i < 30 && sum < 0.04); i++) {
    const auto start = std::chrono::steady_clock::now();
    session.run();
    const double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, t), sum += t;
  }
  return best / plan.flop;
}

// Statements about the network (act, scale) that the tensors refute or make superfluous are mistakes.
void check_statements(const StateDict& file, const StateDict& stated, const Info& info) {
  const std::string scale = stated.metadata_text("scale"), act = stated.metadata_text("act");
  if (scale != file.metadata_text("scale"))
    check(scale == std::to_string(info.scale), Code::usage, "convert: scale ", scale,
          " was stated, but the tensors say ", info.scale);
  if (act == file.metadata_text("act")) return;
  try {
    open_network(std::make_shared<StateDict>(file));
  } catch (const Error&) {
    return;  // needed
  }
  fail(Code::usage, "convert: act ", act, " was stated, but the tensors tell: ", info.variant);
}

// The half of an ncnn pair that holds the numbers; any other path itself.
std::string file_with_weights(const std::string& path) {
  std::filesystem::path p(path);
  return p.extension() == ".param" ? p.replace_extension(".bin").string() : path;
}

// How often each distinct kernel call occurs in the plan of one tile, in order of first use.
ordered_json kernel_counts(Session& session, Extent tile) {
  ordered_json counts = ordered_json::object();
  std::istringstream lines(session.backend().explain(session.plan(tile)));
  for (std::string line; std::getline(lines, line);) {
    const size_t rows = line.find(" rows ");  // strips differ in nothing else
    ordered_json& n = counts[line.substr(0, rows)];
    n = n.is_number() ? n.get<int>() + 1 : 1;
  }
  return counts;
}

ordered_json size_json(Extent e) { return ordered_json::array({e.w, e.h}); }

}  // namespace
}  // namespace ups

extern "C" {

const char* ups_last_error(void) { return ups::last_sentence(); }
const char* ups_version(void) { return UPS_VERSION; }

ups_status ups_model_open(const char* path, const ups_options* options, ups_model** out) {
  return ups::guarded([&] {
    ups::check(path && out, ups::Code::usage, "ups_model_open: path and out must not be NULL");
    *out = nullptr;
    ups::open_model(ups::open_weights(path), ups::stem_of(path), options, out);
  });
}

ups_status ups_model_open_memory(const void* data, size_t size, const char* name, const ups_options* options,
                                 ups_model** out) {
  return ups::guarded([&] {
    ups::check(data && out, ups::Code::usage, "ups_model_open_memory: data and out must not be NULL");
    *out = nullptr;
    const std::string label = name ? name : "memory";
    ups::open_model(ups::open_weights({static_cast<const std::byte*>(data), size}, label), label, options,
                    out);
  });
}

void ups_model_close(ups_model* model) { delete model; }

void ups_wake_device(const char* device) {
  ups::guarded([&] { ups::wake_device(device ? device : "auto"); });
}

ups_status ups_list_devices(const char** json) {
  return ups::guarded([&] {
    ups::check(json, ups::Code::usage, "ups_list_devices: json is NULL");
    ups::Pool pool;
    std::string note;
    ordered_json j;
    for (const auto& d : ups::list_devices(pool, &note))
      j["devices"].push_back({{"id", d.id}, {"name", d.name}});
    j["note"] = note;
    thread_local std::string text;
    text = j.dump();
    *json = text.c_str();
  });
}

const char* ups_model_info(const ups_model* model) { return model ? model->info_json.c_str() : "{}"; }

ups_status ups_output_size(const ups_model* model, int width, int height, const ups_options* options,
                           int* out_width, int* out_height) {
  return ups::guarded([&] {
    ups::check(model && out_width && out_height, ups::Code::usage, "ups_output_size: an argument is NULL");
    ups::check(width >= 1 && height >= 1, ups::Code::usage, "image: is ", width, "x", height,
               ", expected at least 1x1");
    const ups::Extent hr = ups::loop_output({height, width}, model->session->info().default_scale,
                                            ups::loop_options(ups::read_options(options)));
    *out_width = hr.w, *out_height = hr.h;
  });
}

ups_status ups_plan(ups_model* model, const ups_image* lr, const ups_options* options, const char** json) {
  return ups::guarded([&] {
    ups::check(model && json, ups::Code::usage, "ups_plan: an argument is NULL");
    const ups::Image in = ups::view(lr, "lr", lr && lr->data);
    ups::Session& session = *model->session;
    const ups::Picture picture = ups::picture_of(in, ups::read_options(options), session);
    ups::LoopPlan plan = ups::plan_loop(session, picture.lr, picture.loop);
    if (picture.nearest) ups::skip_network(plan, picture, session);
    if (model->seconds_per_flop == 0) model->seconds_per_flop = ups::measure(session);
    ordered_json j;
    j["input"] = ups::size_json(in.extent());
    j["output"] = ups::size_json(plan.hr);
    j["sizes_at_most"] = plan.at_most;
    j["kernels"] = ordered_json::object();
    for (const auto& step : plan.steps) {
      ordered_json s;
      s["target"] = ups::size_json(step.step.target);
      if (step.step.crop.h) s["crop"] = ups::size_json(step.step.crop);
      s["passes"] = ordered_json::array();
      if (!step.passes.empty() && j["kernels"].empty())
        j["kernels"] = ups::kernel_counts(session, step.passes[0].grid.tile());
      for (const auto& pass : step.passes)
        s["passes"].push_back({{"network", ups::size_json(pass.lr)},
                               {"tile", ups::size_json(pass.grid.tile())},
                               {"fade_px", {pass.grid.x.ramp, pass.grid.y.ramp}},
                               {"tiles", pass.grid.count()}});
      j["steps"].push_back(s);
    }
    int64_t peak_bytes = plan.peak_bytes + ups::picture_bytes(picture, plan);
    // Beside the model's own weights: those of the step, and once more while they are packed.
    if (ups::changes_strength(*model, picture.loop))
      peak_bytes += 2 * int64_t(session.backend().weight_bytes());
    j["peak_bytes"] = peak_bytes;
    j["flop"] = plan.flop;
    j["estimated_seconds"] = plan.flop * model->seconds_per_flop;
    j["device"] = session.backend().describe();
    model->plan_json = j.dump();
    *json = model->plan_json.c_str();
  });
}

ups_status ups_upscale(ups_model* model, const ups_image* lr, ups_image* hr, const ups_options* options) {
  return ups::guarded([&] {
    ups::check(model != nullptr, ups::Code::usage, "ups_upscale: model is NULL");
    const ups_options o = ups::read_options(options);
    const ups::Image in = ups::view(lr, "lr", true), out = ups::view(hr, "hr", !o.rows);
    ups::Picture picture = ups::picture_of(in, o, *model->session);
    std::unique_ptr<ups::Session> of_step;
    if (ups::changes_strength(*model, picture.loop))
      picture.loop.session_at = [&](int k) -> ups::Session& {
        of_step.reset();
        of_step = model->remixed(1 - ups::denoise_at(1 - model->mix, picture.loop.rules.denoise_change, k));
        return *of_step;
      };
    ups::check(picture.hr_c == out.c, ups::Code::usage, "hr: has ", out.c, " channels, expected ",
               picture.hr_c, picture.hr_c == in.c ? " as lr" : ", those of lr without alpha");
    const ups::LoopPlan plan = ups::plan_loop(*model->session, picture.lr, picture.loop);
    ups::check(out.extent() == plan.hr, ups::Code::usage, "hr: is ", out.w, "x", out.h, ", expected ",
               plan.hr.w, "x", plan.hr.h, " (see ups_output_size)");
    auto stop_if = [](int asked) { ups::check(!asked, ups::Code::cancelled, "cancelled"); };
    ups::Output::RowCallback rows;
    if (o.rows) rows = [&](int y, int n, const void* data) { stop_if(o.rows(o.user, y, n, data)); };
    ups::Output output(picture.lr, out, picture.nearest ? picture.hr_c : plan.channels.state_c,
                       picture.output, model->pool, rows);
    ups::StepDone step_done;
    if (o.step_done)
      step_done = [&](int step, int steps, const ups::Image& image) {
        const ups_image shown{image.data, image.w, image.h, image.c, UPS_F32, ptrdiff_t(image.stride_bytes)};
        stop_if(o.step_done(o.user, step, steps, &shown));
      };
    ups::Progress progress;
    if (o.progress) progress = [&](double done) { stop_if(o.progress(o.user, done)); };
    if (picture.nearest)
      ups::put_nearest(picture, plan.hr, model->pool, output, progress);
    else
      ups::run_loop(*model->session, model->pool, picture.lr, plan, picture.loop, output, step_done,
                    progress);
    if (progress) progress(1);
  });
}

ups_status ups_convert(const char* in, const char* out_safetensors, const char* const* metadata) {
  return ups::guarded([&] {
    ups::check(in && out_safetensors, ups::Code::usage, "ups_convert: an argument is NULL");
    const auto file = ups::open_weights(in);
    ups::StateDict out = *file;
    for (; metadata && metadata[0]; metadata += 2) {
      ups::check(metadata[1], ups::Code::usage, "ups_convert: metadata key '", metadata[0], "' has no value");
      out.metadata[metadata[0]] = metadata[1];
    }
    const ups::Info info = ups::open_network(std::make_shared<ups::StateDict>(out)).info;
    ups::check_statements(*file, out, info);
    auto note = [&](const char* key, const std::string& value) {
      if (!value.empty()) out.metadata[key] = value;
    };
    note("architecture", info.family);
    note("variant", info.variant);
    note("scale", std::to_string(info.scale));
    if (out.metadata_text("name").empty()) note("name", ups::stem_of(in));
    // A file converted twice keeps the hash of what its publisher released.
    if (file->metadata_text("source_sha256").empty())
      note("source_sha256", ups::sha256_file(ups::file_with_weights(in)));
    note("converter", "upscale " UPS_VERSION);
    ups::write_safetensors(out_safetensors, out);
  });
}

ups_status ups_sha256_file(const char* path, char out[65]) {
  return ups::guarded([&] {
    ups::check(path && out, ups::Code::usage, "ups_sha256_file: an argument is NULL");
    std::memcpy(out, ups::sha256_file(path).c_str(), 65);
  });
}

}  // extern "C"
