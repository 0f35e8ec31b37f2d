// Splitting chains, finding the second file of a mix.
#include "apps/chain.h"

#include <filesystem>

#include "apps/failure.h"
#include "apps/model_facts.h"

namespace ups::apps {
namespace fs = std::filesystem;

namespace {

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// A second weight file as a path: the library mixes files.
std::string weight_file(const std::string& option, const std::string& what) {
  if (exists(what)) return what;
  const Alias* alias = find_alias(what);
  if (!alias) fail(kModel, option, ": ", what, " ", unknown_model(what));
  if (is_fetched(alias->file)) return store_path(alias->file);
  fail(kModel, option, ": model ", what, " is not in the store (run: upscale fetch ", alias->file, ")");
}

}  // namespace

std::vector<std::string> chain_parts(const std::string& model) {
  if (exists(model) || find_alias(model)) return {model};
  std::vector<std::string> parts;
  for (size_t from = 0; from <= model.size();) {
    size_t comma = std::min(model.find(',', from), model.size());
    parts.push_back(model.substr(from, comma - from));
    if (parts.back().empty())
      fail(kUsage, "--model: got '", model, "', expected no empty name between commas");
    from = comma + 1;
  }
  return parts;
}

std::string chain_name(const std::string& model) {
  std::string name;
  for (const std::string& part : chain_parts(model))
    name += (name.empty() ? "" : "+") + fs::path(part).stem().string();
  return name;
}

double chain_scale(const std::string& model) {
  double scale = 1;
  for (const std::string& part : chain_parts(model)) scale *= default_scale(Model(part, 1));
  return scale;
}

std::string denoise_twin(const std::string& model) {
  if (const Alias* alias = exists(model) ? nullptr : find_alias(model); alias && alias->file == "general") {
    return weight_file("--denoise", "general-wdn");
  }
  const fs::path file(model);
  std::string stem = file.stem().string();
  if (size_t at = stem.find("general-x4v3"); exists(model) && at != stem.npos) {
    stem.replace(at, 12, "general-wdn-x4v3");
    for (std::string e : {file.extension().string(), std::string(".safetensors"), std::string(".pth")}) {
      const std::string path = (file.parent_path() / (stem + e)).string();
      if (exists(path)) return path;
    }
    fail(kModel, "--denoise: the twin ", stem, " is not beside ", model);
  }
  fail(kModel, "--denoise: ", model,
       " has no denoise strength, expected general (realesr-general-x4v3), which "
       "has a twin that keeps noise (mix two networks of your own with --mix)");
}

std::unique_ptr<Model> open_models(const Options& o) {
  const std::vector<std::string> parts = chain_parts(o.model);
  std::string mix;
  double share = 0;
  if (!o.mix.empty()) {
    mix = weight_file("--mix", o.mix), share = o.mix_share;
  } else if (o.denoise && (*o.denoise < 1 || o.loop.values.denoise_change > 0)) {
    mix = denoise_twin(parts.back()), share = 1 - *o.denoise;
  } else if (o.denoise) {
    denoise_twin(parts.back());  // all of the network that has one; refuses others
  }
  std::vector<std::unique_ptr<Model>> all;
  for (const std::string& part : parts) {
    const bool last = &part == &parts.back();
    all.push_back(std::make_unique<Model>(part, o.threads, o.device, o.precision, last ? mix : "", share));
  }
  std::unique_ptr<Model> last = std::move(all.back());
  all.pop_back();
  last->put_after(std::move(all));
  return last;
}

}  // namespace ups::apps
