// Lines from the plans of the library and the sizes of run_plan.h.
#include "apps/plan_text.h"

#include "apps/model_facts.h"
#include "apps/progress.h"
#include "apps/run_plan.h"
#include "apps/terminal.h"

namespace ups::apps {
namespace {

std::string size_text(int width, int height) { return std::to_string(width) + "x" + std::to_string(height); }
std::string size_text(const Json& size) { return size_text(size.at(0).get<int>(), size.at(1).get<int>()); }

// "pass over 64x64 in 4 tiles of 40x40;"
std::string pass_text(const Json& pass) {
  return " pass over " + size_text(pass.at("network")) + " in " + pass.at("tiles").dump() + " tile" +
         (pass.at("tiles") != 1 ? "s" : "") + " of " + size_text(pass.at("tile")) + ";";
}

// A line for each step of one network.
std::string steps_text(const Json& plan) {
  std::string text;
  int k = 0;
  for (const Json& step : plan.at("steps")) {
    text += "  step " + std::to_string(++k) + " to " +
            (plan.value("sizes_at_most", false) ? "at most " : "") + size_text(step.at("target")) +
            (step.contains("crop") ? ", cut to " + size_text(step["crop"]) : "") + ":";
    for (const Json& pass : step.at("passes")) text += pass_text(pass);
    if (step.at("passes").empty()) text += " no network pass;";
    text.back() = '\n';
  }
  return text;
}

bool is_tiled(const std::vector<Json>& plans) {
  for (const Json& plan : plans)
    for (const Json& step : plan.at("steps"))
      for (const Json& pass : step.at("passes"))
        if (pass.at("tiles") != 1) return true;
  return false;
}

}  // namespace

PlanText plan_text(const Model& model, const Image& lr, Format format, const Options& o,
                   const std::string& in_name, const std::string& out_name, RunTime* time, double reading) {
  const ups_loop loop = o.loop.library();
  ups_options l = library_options(model, o, &loop);
  const Sizes sizes = sizes_of(model, lr, format, o, l, out_name);
  const SizePlan& p = sizes.plan;
  fit_memory(model, lr, sizes, o, l, out_name);
  const std::vector<Json> plans = plans_of(model, lr, o, l);
  const Json& last = plans.back();
  std::string text = printable(in_name) + " " + size_text(plans[0].at("input")) + " -> " +
                     printable(out_name) + " " + size_text(p.width, p.height) + ", " +
                     std::to_string(sizes.channels) + " channel" + (sizes.channels > 1 ? "s" : "") + " of " +
                     std::to_string(stored_bits(format, sizes.depth)) + " bits\n";
  for (const auto& m : model.before())
    text +=
        "  first " + printable(name_of(*m)) + "\n" + steps_text(plans[size_t(&m - model.before().data())]);
  if (!model.before().empty()) text += "  then " + printable(name_of(model)) + "\n";
  text += steps_text(last);
  if (o.dry_run && o.step_mode == UPS_STEPS_NATIVE && !o.loop.values.faithful &&
      last.at("steps").back().at("passes").size() > 1)
    text += "  --step-mode once makes one pass and resamples the rest\n";
  if (takes_statistics(model) && is_tiled(plans)) text += std::string("  ") + kTileStatistics + "\n";
  if (!p.same()) {
    text += std::string("  ") + (p.x < 0 || p.y < 0 || o.finish.crop ? "cropped" : "padded") + " to " +
            size_text(p.width, p.height) + "\n";
  }
  if (o.finish.any()) text += "  finished row by row: " + finish_text(o.finish) + "\n";
  const int64_t peak = peak_bytes(plans, sizes) + sizes.image_bytes;
  text += "  peak memory about " + std::to_string((peak >> 20) + 1) + " MiB, ";
  RunSeconds seconds;
  if (time) {
    seconds = time->of(model, lr, reading, format, o, sizes, plans);
    text += "estimated " + seconds_text(seconds.all) + " ";
  }
  text += "on " + last.value("device", "the CPU") + "\n";
  if (time) text += "  " + seconds.parts() + "\n";
  if (o.verbose) {
    const Json kernels = last.value("kernels", Json::object());
    for (const auto& [kernel, calls] : kernels.items()) text += "  " + calls.dump() + " x " + kernel + "\n";
  }
  return {text, seconds.all};
}

}  // namespace ups::apps
