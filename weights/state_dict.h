// StateDict: named tensors of one weight file, as views into memory it keeps alive.
//
// Every reader of this room (safetensors, pth, ncnn) yields a StateDict whose names are those of the file,
// with training wrappers ("params_ema", "module.") removed. Values are contiguous, little-endian, row-major.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ups {

// Element types a file may hold. Only floating types become network weights; integers are kept because
// some architectures are recognised by index buffers.
enum class Element : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };
int element_bytes(Element e);
const char* element_name(Element e);  // safetensors spelling: "F32", "BF16", ...

// One tensor: shape in PyTorch order (convolutions OIHW). `bytes` may be unaligned.
struct Entry {
  Element element = Element::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // element_bytes * product(shape)
  int64_t count() const;             // product(shape)
};

class StateDict {
 public:
  using Map = std::map<std::string, Entry, std::less<>>;

  const Map& entries() const { return entries_; }
  bool has(std::string_view key) const { return entries_.find(key) != entries_.end(); }
  // Throws Code::model "weight 'KEY' is missing" when absent.
  const Entry& at(std::string_view key) const;
  // nullptr when absent.
  const Entry* find(std::string_view key) const;
  // shape[i] of `key`; throws when the key is absent or has too few dimensions.
  int64_t dim(std::string_view key, int i) const;
  // Number of consecutive integer children of `prefix`: 1 + max i with a key "prefix.i." (0 if none).
  int sequence_length(std::string_view prefix) const;
  // The values of `key` converted to float. Throws for integer tensors.
  std::vector<float> floats(std::string_view key) const;

  // Adds an entry; throws Code::model on a duplicate key or a byte count that contradicts the shape.
  void add(std::string key, Entry entry);
  // Copies `values` into memory owned by this StateDict and adds them as f32.
  void add_owned(std::string key, std::vector<int64_t> shape, std::vector<float> values);
  // Keeps `owner` (a mapped file, a decoded buffer) alive as long as this StateDict and its copies.
  void keep(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }

  // What the metadata say under `key`; "" where they say nothing.
  std::string metadata_text(const std::string& key) const;
  // The first few keys, for messages about files that are no known network.
  std::string first_keys() const;

  // Whether a name begins with `prefix`, be it of a tensor that was left unread.
  bool names_any(std::string_view prefix) const;

  // Forgets all entries, keeping owners, metadata and source: for readers that rename keys.
  void clear_entries() { entries_.clear(); }

  // Free-form string pairs of the file (safetensors __metadata__; what convert recorded).
  std::map<std::string, std::string> metadata;
  // Names of tensors that the file holds besides, of which nothing was read: see PartOf.
  std::set<std::string, std::less<>> unread;
  // Where it came from, for messages: the path as the user wrote it.
  std::string source;

 private:
  std::string who() const;  // "FILE: ", or "" for one without a name

  Map entries_;
  std::vector<std::shared_ptr<const void>> owners_;
};

// A dotted key prefix over a StateDict: (w / "body" / 3 / "rdb1").key("conv1.weight").
class Scope {
 public:
  explicit Scope(std::string path = {}) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  Scope operator/(std::string_view child) const {
    return Scope(path_.empty() ? std::string(child) : path_ + '.' + std::string(child));
  }
  Scope operator/(int child) const { return *this / std::to_string(child); }
  // Appends to the last component: w / "conv" + 1 is "conv1".
  Scope operator+(int suffix) const { return Scope(path_ + std::to_string(suffix)); }

 private:
  std::string path_;
};

// The prefix of the names that are needed, given all names of a file; "" for all of them.
using PartOf = std::function<std::string(const std::set<std::string, std::less<>>& names)>;

// Detection rule of one architecture: all of has_all present, at least one of has_any (when not empty),
// none of has_none.
struct KeyRule {
  std::vector<std::string> has_all, has_any, has_none;
  bool matches(const StateDict& weights) const;
};

}  // namespace ups
