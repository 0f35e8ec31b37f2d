// What an arch file computes from a file's tensors before the graph is built: tables, folded constants.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weights/state_dict.h"

namespace ups {

// A copy of a file's entries (views into the same memory), some of which are replaced by computed ones. Its
// remaining tensors obey the strict rule (arch/strict.h) as if they had been in the file.
class Derived {
 public:
  explicit Derived(std::shared_ptr<const StateDict> file);
  // Of the file, for reading.
  const StateDict& file() const { return *file_; }
  // The entry serves the computation, or is a buffer that is computed afresh; the graph will not see it.
  void drop(const std::string& key) { dropped_.push_back(key); }
  // Drops every key that ends with `suffix`: a buffer, which is not a learned number.
  void drop_buffers(const std::string& suffix);
  // To be asked before many values are computed: a small file must not ask for much memory.
  // Error{Code::model} when these and those set so far are far more than the file holds, which no network's
  // are.
  void expect_room(int64_t values) const;
  // Replaces `key`, or adds it.
  void set(const std::string& key, std::vector<int64_t> shape, std::vector<float> values);
  std::shared_ptr<const StateDict> finish();
  // Learned numbers of the file: its floating-point entries, buffers excepted.
  int64_t parameters() const;

 private:
  struct Added {
    std::string key;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::shared_ptr<const StateDict> file_;
  std::vector<std::string> dropped_, buffers_;
  std::vector<Added> added_;
  int64_t room_;  // values that may still be set
};

}  // namespace ups
