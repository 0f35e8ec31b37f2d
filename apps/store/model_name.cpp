// Looks models up by name.
#include "apps/store/model_name.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "apps/failure.h"
#include "apps/store/store.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

constexpr const char* kExtensions[] = {".safetensors", ".pth", ".param", ".pt", ".ckpt"};

std::string folded(std::string s) {
  for (char& c : s) c = c == '_' ? '-' : char(std::tolower(uint8_t(c)));
  return s;
}

std::string names_in(const std::string& folder) {
  std::set<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; it != end; it.increment(ignored)) {
    for (const char* e : kExtensions)
      if (it->path().extension() == e) names.insert(it->path().stem().string());
  }
  std::string text;
  size_t listed = 0;
  for (const std::string& n : names) {
    if (++listed > 10) return text + " ...";
    text += (text.empty() ? "" : ", ") + n;
  }
  return text.empty() ? "no model" : text;
}

}  // namespace

std::string alias_of_official_name(const std::string& name) {
  const std::string key = folded(name);
  for (const StoreModel& m : store_models()) {
    const std::string ncnn = m.param.name.substr(0, m.param.name.rfind('.'));
    if (key == folded(m.name) || (!ncnn.empty() && key == ncnn)) return m.file;
  }
  if (key == "realesr-animevideov3-x2") return "video-x2";
  if (key == "realesr-animevideov3-x3") return "video-x3";
  return name;
}

std::string model_named(const std::string& folder, const std::string& name, int scale) {
  if (!name.empty() && name.find_first_not_of("-0123456789") == name.npos) {
    fail(kUsage, "--model-name: got '", name,
         "', expected the name of a model (a waifu2x noise level means nothing here)");
  }
  std::error_code ignored;
  // Those tools come with a folder of this name; their calls are pasted where there is none.
  const bool absent = fs::path(folder) == "models" && !fs::exists(folder, ignored);
  if (!folder.empty() && !absent && !fs::is_directory(folder, ignored)) {
    fail(kModel, "--model-name: ", folder, " is not a folder, expected -m FOLDER -n NAME");
  }
  const std::string suffix = "-x" + std::to_string(scale > 0 ? scale : 4);
  const fs::path place = folder.empty() ? "models" : folder;
  auto file = [&]() -> std::string {
    for (const std::string& stem : {name, name + suffix}) {
      for (const char* e : kExtensions) {
        fs::path p = place / (stem + e);
        if (fs::is_regular_file(p, ignored)) return p.string();
      }
    }
    return "";
  }();
  if (!file.empty()) return file;
  if (!folder.empty() && !absent)
    fail(kModel, "--model-name: ", folder, " has no ", name, ", it has ", names_in(folder));
  const std::string alias = alias_of_official_name(name);
  if (!find_alias(alias)) {
    fail(kModel, "--model-name: got '", name, "', expected the name of a file in ", place.string(),
         " or of a model that `upscale models` lists");
  }
  if (alias == "video" && scale == 2) return "video-x2";
  if (alias == "video" && scale == 3) return "video-x3";
  return alias;
}

}  // namespace ups::apps
