// Entries of a file with some replaced.
#include "arch/derived.h"

#include <set>

namespace ups {

namespace {

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool is_float(const Entry& e) {
  return e.element == Element::f64 || e.element == Element::f32 || e.element == Element::f16 ||
         e.element == Element::bf16;
}

}  // namespace

Derived::Derived(std::shared_ptr<const StateDict> file) : file_(std::move(file)) {}

void Derived::drop_buffers(const std::string& suffix) {
  for (const auto& [key, entry] : file_->entries())
    if (ends_with(key, suffix)) buffers_.push_back(key);
}

void Derived::set(const std::string& key, std::vector<int64_t> shape, std::vector<float> values) {
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
    if (is_float(entry) && !entry.shape.empty() && !buffers.count(key)) count += entry.count();
  return count;
}

}  // namespace ups
