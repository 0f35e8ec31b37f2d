// Entries of a file with some replaced.
#include "arch/derived.h"

#include <set>

#include "kernels/error.h"
#include "weights/element.h"

namespace ups {

namespace {

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

constexpr int64_t kLeastRoom = int64_t(1) << 20;  // position tables of networks with few channels

}  // namespace

Derived::Derived(std::shared_ptr<const StateDict> file) : file_(std::move(file)), room_(kLeastRoom) {
  for (const auto& [key, entry] : file_->entries()) room_ += 4 * int64_t(entry.bytes.size());
}

void Derived::expect_room(int64_t values) const {
  check(values <= room_, Code::model, file_->source, ": asks for ", values,
        " derived numbers, far more than the file holds (damaged or hostile?)");
}

void Derived::drop_buffers(const std::string& suffix) {
  for (const auto& [key, entry] : file_->entries())
    if (ends_with(key, suffix)) buffers_.push_back(key);
}

void Derived::set(const std::string& key, std::vector<int64_t> shape, std::vector<float> values) {
  expect_room(int64_t(values.size()));
  room_ -= int64_t(values.size());
  added_.push_back({key, std::move(shape), std::move(values)});
}

std::shared_ptr<const StateDict> Derived::finish() {
  std::set<std::string> gone(dropped_.begin(), dropped_.end());
  gone.insert(buffers_.begin(), buffers_.end());
  for (const Added& a : added_) gone.insert(a.key);
  auto out = std::make_shared<StateDict>();
  out->metadata = file_->metadata;
  out->source = file_->source;
  out->keep(file_);
  for (const auto& [key, entry] : file_->entries())
    if (!gone.count(key)) out->add(key, entry);
  for (Added& a : added_) out->add_owned(a.key, std::move(a.shape), std::move(a.values));
  return out;
}

int64_t Derived::parameters() const {
  const std::set<std::string> buffers(buffers_.begin(), buffers_.end());
  int64_t count = 0;
  for (const auto& [key, entry] : file_->entries())
    if (is_floating(entry.element) && !entry.shape.empty() && !buffers.count(key)) count += entry.count();
  return count;
}

}  // namespace ups
