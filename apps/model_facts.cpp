// Everything is read out of the JSON of ups_model_info.
#include "apps/model_facts.h"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace ups::apps {
namespace {

nlohmann::json info_of(const Model& model) { return nlohmann::json::parse(ups_model_info(model.get())); }

}  // namespace

std::string name_of(const Model& model) {
  const std::string name = info_of(model).value("name", "");
  return name.empty() ? std::filesystem::path(model.opened()).stem().string() : name;
}

std::string names_of(const Model& model) {
  std::string names;
  for (const auto& m : model.before()) names += name_of(*m) + ", then ";
  return names + name_of(model);
}

std::string model_text(const Model& model) {
  const std::string variant = info_of(model).value("variant", "");
  return names_of(model) + " (" + info_of(model).value("architecture", "") +
         (variant.empty() ? "" : " " + variant) + ", " + std::to_string(network_scale(model)) + "x)";
}

double default_scale(const Model& model) {
  if (model.default_scale() > 0) return model.default_scale();
  return info_of(model).value("default_scale", 1.0);
}

int network_scale(const Model& model) { return info_of(model).value("scale", 0); }

double flop_per_pixel(const Model& model) { return info_of(model).value("flop_per_pixel", 1.0); }

bool takes_statistics(const Model& model) { return info_of(model).value("whole_image_statistics", false); }

bool on_cpu(const Model& model) { return info_of(model).value("device", "").rfind("CPU", 0) == 0; }

std::string device_note(const Model& model) {
  const std::string why = info_of(model).value("device_note", "");
  return why.empty() ? "" : why + "; computing on the CPU";
}

Provenance provenance(const Model& model, const Options& o, Format format, const Image& lr, const Image& hr) {
  const double scale = o.scale > 0 ? o.scale : double(hr.width) / lr.width;
  return {names_of(model), model.digest(), scale, format == Format::png ? 0 : most_exif_bytes(format)};
}

}  // namespace ups::apps
