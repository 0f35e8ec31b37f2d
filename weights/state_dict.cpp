// StateDict: lookup, checked insertion and conversion of named tensors.
#include "weights/state_dict.h"

#include <algorithm>

#include "kernels/error.h"
#include "weights/element.h"

namespace ups {

int64_t Entry::count() const {
  int64_t product = 1;
  for (int64_t size : shape) product *= size;  // StateDict::add has excluded overflow
  return product;
}

std::string StateDict::who() const { return source.empty() ? "" : source + ": "; }

std::string StateDict::metadata_text(const std::string& key) const {
  const auto it = metadata.find(key);
  return it == metadata.end() ? "" : it->second;
}

std::string StateDict::first_keys() const {
  constexpr int kShown = 5;
  std::string keys;
  int shown = 0;
  for (auto it = entries_.begin(); it != entries_.end() && shown < kShown; ++it, ++shown)
    keys += (shown ? ", " : "") + it->first;
  return keys.empty() ? "none" : keys;
}

const Entry* StateDict::find(std::string_view key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : &it->second;
}

const Entry& StateDict::at(std::string_view key) const {
  const Entry* entry = find(key);
  check(entry, Code::model, who(), "weight '", key, "' is missing");
  return *entry;
}

int64_t StateDict::dim(std::string_view key, int i) const {
  const Entry& entry = at(key);
  check(i >= 0 && size_t(i) < entry.shape.size(), Code::model, who(), "weight '", key, "' has shape ",
        shape_text(entry.shape), ", expected at least ", i + 1, " dimensions");
  return entry.shape[size_t(i)];
}

int StateDict::sequence_length(std::string_view prefix) const {
  const std::string stem = prefix.empty() ? std::string() : std::string(prefix) + '.';
  int length = 0;
  for (auto it = entries_.lower_bound(stem); it != entries_.end(); ++it) {
    const std::string_view key = it->first;
    if (key.substr(0, stem.size()) != stem) break;
    int index = 0;
    size_t i = stem.size();
    // Seven digits: no network has more children, and the sum cannot overflow.
    for (; i < key.size() && key[i] >= '0' && key[i] <= '9' && i < stem.size() + 7; ++i)
      index = index * 10 + (key[i] - '0');
    if (i > stem.size() && i < key.size() && key[i] == '.') length = std::max(length, index + 1);
  }
  return length;
}

bool StateDict::names_any(std::string_view prefix) const {
  const auto entry = entries_.lower_bound(prefix);
  const auto name = unread.lower_bound(prefix);
  return (entry != entries_.end() && entry->first.compare(0, prefix.size(), prefix) == 0) ||
         (name != unread.end() && name->compare(0, prefix.size(), prefix) == 0);
}

std::vector<float> StateDict::floats(std::string_view key) const {
  const Entry& entry = at(key);
  check(is_floating(entry.element), Code::model, who(), "weight '", key, "' holds ",
        element_name(entry.element), " values, expected a floating type");
  std::vector<float> values(size_t(entry.count()));
  to_floats(entry.element, entry.bytes, values.data());
  return values;
}

void StateDict::add(std::string key, Entry entry) {
  const std::optional<int64_t> bytes = checked_bytes(entry.shape, 8 * element_bytes(entry.element));
  check(bytes && uint64_t(*bytes) == entry.bytes.size(), Code::model, who(), "weight '", key, "' has ",
        entry.bytes.size(), " bytes, which contradicts its shape ", shape_text(entry.shape), " of ",
        element_name(entry.element));
  const auto [it, inserted] = entries_.emplace(std::move(key), std::move(entry));
  check(inserted, Code::model, who(), "weight '", it->first, "' appears twice");
}

void StateDict::add_owned(std::string key, std::vector<int64_t> shape, std::vector<float> values) {
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  add(std::move(key), Entry{Element::f32, std::move(shape), std::as_bytes(std::span(*owner))});
  keep(std::move(owner));
}

bool KeyRule::matches(const StateDict& weights) const {
  const auto present = [&](const std::string& key) { return weights.has(key); };
  return std::all_of(has_all.begin(), has_all.end(), present) &&
         (has_any.empty() || std::any_of(has_any.begin(), has_any.end(), present)) &&
         std::none_of(has_none.begin(), has_none.end(), present);
}

}  // namespace ups
