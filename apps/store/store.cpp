// Alias -> file or embedded bytes -> open model.
#include "apps/store/store.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/failure.h"
#include "apps/nearest_name.h"
#include "apps/store/model_name.h"

#ifdef UPS_EMBEDDED
extern "C" const unsigned char ups_embedded_begin[], ups_embedded_end[];
#endif

namespace ups::apps {
namespace fs = std::filesystem;

Embedded embedded_model() {
#ifdef UPS_EMBEDDED
  return {ups_embedded_begin, size_t(ups_embedded_end - ups_embedded_begin)};
#else
  return {nullptr, 0};
#endif
}

const Alias* find_alias(const std::string& name) {
  for (const Alias& a : aliases()) {
    if (a.alias == name) return &a;
  }
  return nullptr;
}

std::string unknown_model(const std::string& what) {
  std::vector<std::string> known;
  std::string list;
  const fs::path path(what);
  const std::string official = alias_of_official_name(path.stem().string());
  if (find_alias(official) && official != what)
    return "is no file here; the released model of that name is the alias " + official;
  for (const char* weights : {".pth", ".pt", ".ckpt", ".safetensors", ".param", ".bin"})
    if (path.extension() == weights) return "does not exist";
  for (const Alias& a : aliases()) {
    known.push_back(a.alias);
    list += (list.empty() ? "" : ", ") + a.alias;
  }
  const std::string meant = nearest_name(what, known);
  std::string sentence = "is neither a file nor a known alias";
  if (meant.empty())
    return sentence.append(" (").append(list).append("; others are files, such as models/name.pth)");
  return sentence.append(", did you mean ").append(meant).append("? (see upscale models)");
}

const StoreModel& model_of(const Alias& alias) {
  const auto& all = store_models();
  return *std::find_if(all.begin(), all.end(), [&](const StoreModel& m) { return m.file == alias.file; });
}

std::optional<std::string> find_store() {
  auto env = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  if (auto v = env("UPSCALE_MODELS"); !v.empty()) return v;
  if (auto v = env("XDG_DATA_HOME"); !v.empty()) return (fs::path(v) / "upscale" / "models").string();
  if (auto v = env("HOME"); !v.empty()) return (fs::path(v) / ".local/share/upscale/models").string();
  return std::nullopt;
}

std::string store_folder() {
  if (auto folder = find_store()) return *folder;
  fail(kIo, "the model store: neither UPSCALE_MODELS nor XDG_DATA_HOME nor HOME is set (set UPSCALE_MODELS)");
}

std::string store_path(const std::string& file) {
  return (fs::path(store_folder()) / (file + ".safetensors")).string();
}

std::string store_path(const StoreData& data) { return (fs::path(store_folder()) / data.file.name).string(); }

bool is_fetched(const std::string& file) {
  std::error_code ignored;
  return find_store() && fs::is_regular_file(store_path(file), ignored);
}

bool is_fetched(const StoreData& data) {
  std::error_code ignored;
  return find_store() && fs::is_regular_file(store_path(data), ignored);
}

Model::Model(const std::string& what, int threads, const std::string& device, ups_precision precision,
             const std::string& mix, double share) {
  ups_options options{};
  options.size = sizeof options;
  options.threads = threads;
  options.device = device.c_str();
  options.precision = precision;
  if (!mix.empty()) options.mix_path = mix.c_str(), options.mix = share;
  if (const Alias* alias = find_alias(what)) {
    default_scale_ = alias->scale;
    Embedded embedded = embedded_model();
    if (what == "fast" && embedded.size) {
      opened_ = "embedded";
      check(ups_model_open_memory(embedded.data, embedded.size, kEmbeddedName, &options, &model_));
      return;
    }
    opened_ = store_path(alias->file);
    if (!is_fetched(alias->file)) {
      const char* why = what == "fast" ? " (this build carries no model)" : "";
      fail(kModel, "model ", what, ": is not in the store", why, " (run: upscale fetch ", alias->file, ")");
    }
  } else {
    opened_ = what;
    std::error_code ignored;
    if (!fs::exists(what, ignored)) {
      fail(kModel, "model ", what, ": ", unknown_model(what));
    }
  }
  check(ups_model_open(opened_.c_str(), &options, &model_));
}

const std::string& Model::digest() const {
  if (!digest_.empty()) return digest_;
  const std::string source = nlohmann::json::parse(ups_model_info(model_)).value("source_sha256", "");
  char of_file[65];
  if (!source.empty())
    digest_ = "source sha256 " + source;
  else if (ups_sha256_file(opened_.c_str(), of_file) == UPS_OK)
    digest_ = std::string("sha256 ") + of_file;
  return digest_;
}

}  // namespace ups::apps
