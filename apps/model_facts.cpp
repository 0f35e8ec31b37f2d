// Names, scales and notes from ups_model_info.
#include "apps/model_facts.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/run.h"

namespace ups::apps {

using Json = nlohmann::ordered_json;

std::string name_of(const Model& model) {
  std::string name = Json::parse(ups_model_info(model.get())).value("name", "");
  return name.empty() ? std::filesystem::path(model.opened()).stem().string() : name;
}

std::string names_of(const Model& model) {
  std::string names;
  for (const auto& m : model.before()) names += name_of(*m) + ", then ";
  return names + name_of(model);
}

double default_scale(const Model& model) {
  if (model.default_scale() > 0) return model.default_scale();
  return Json::parse(ups_model_info(model.get())).value("default_scale", 1.0);
}

std::string device_note(const Model& model) {
  Json info = Json::parse(ups_model_info(model.get()));
  std::string why = info.value("device_note", "");
  return why.empty() ? "" : why + "; computing on the CPU";
}

Provenance provenance(const Model& model, const Options& o, Format format, const Image& lr, const Image& hr) {
  double scale = o.scale > 0 ? o.scale : double(hr.width) / lr.width;
  return {names_of(model), model.digest(), scale, format == Format::png ? 0 : most_exif_bytes(format)};
}

bool takes_statistics(const Model& model) {
  return Json::parse(ups_model_info(model.get())).value("whole_image_statistics", false);
}

int network_scale(const Model& model) { return Json::parse(ups_model_info(model.get())).value("scale", 0); }

std::string model_text(const Model& model, const Options&) {
  Json info = Json::parse(ups_model_info(model.get()));
  std::string name = names_of(model);
  std::string variant = info.value("variant", "");
  return name + " (" + info.value("architecture", "") + (variant.empty() ? "" : " " + variant) + ", " +
         std::to_string(info.value("scale", 0)) + "x)";
}

}  // namespace ups::apps
