// Names only; no file is opened.
#include "apps/compare/folders.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>

#include "apps/inputs.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

std::vector<Input> files_of(const std::string& folder) {
  Options o;
  o.inputs = {folder};
  o.recursive = true;
  return list_inputs(o).files;
}

std::string stem_of(const Input& file) { return fs::path(file.path).stem().string(); }

// Whether `longer` is `stem` and a suffix of its making: _x4, -up, " 2", x4.
bool goes_on(const std::string& stem, const std::string& longer) {
  if (longer.size() <= stem.size() || longer.compare(0, stem.size(), stem) != 0) return false;
  const char next = longer[stem.size()];
  if (next == '_' || next == '-' || next == '.' || next == ' ') return true;
  return next == 'x' && longer.size() > stem.size() + 1 && isdigit(uint8_t(longer[stem.size() + 1]));
}

}  // namespace

FolderPairs pair_folders(const std::string& folder, const std::string& reference) {
  const std::vector<Input> wanted = files_of(reference), found = files_of(folder);
  std::vector<int> owner(found.size(), -1);  // of each found picture
  std::vector<int> partner(wanted.size(), -1);
  std::map<std::pair<std::string, std::string>, std::vector<size_t>> by_name;
  for (size_t f = 0; f < found.size(); f++) by_name[{found[f].folder, stem_of(found[f])}].push_back(f);
  for (size_t w = 0; w < wanted.size(); w++) {
    const auto same = by_name.find({wanted[w].folder, stem_of(wanted[w])});
    if (same == by_name.end()) continue;
    for (size_t f : same->second)  // the same extension first
      if (owner[f] < 0 && fs::path(found[f].path).extension() == fs::path(wanted[w].path).extension())
        partner[w] = int(f);
    for (size_t f : same->second)
      if (owner[f] < 0 && partner[w] < 0) partner[w] = int(f);
    if (partner[w] >= 0) owner[size_t(partner[w])] = int(w);
  }
  // Longer names first: photo_b_x4.png belongs to photo_b.png, not to photo.png.
  std::vector<size_t> order(wanted.size());
  for (size_t w = 0; w < wanted.size(); w++) order[w] = w;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return stem_of(wanted[a]).size() > stem_of(wanted[b]).size(); });
  for (const size_t w : order) {
    if (partner[w] >= 0) continue;
    std::optional<size_t> only;
    int candidates = 0;
    for (size_t f = 0; f < found.size(); f++) {
      if (owner[f] >= 0 || found[f].folder != wanted[w].folder) continue;
      const std::string a = stem_of(wanted[w]), b = stem_of(found[f]);
      if (goes_on(a, b) || goes_on(b, a)) only = f, candidates++;
    }
    if (candidates == 1) partner[w] = int(*only), owner[*only] = int(w);
  }
  FolderPairs pairs;
  for (size_t w = 0; w < wanted.size(); w++)
    pairs.pairs.push_back({partner[w] < 0 ? "" : found[size_t(partner[w])].path, wanted[w].path});
  for (size_t f = 0; f < found.size(); f++)
    if (owner[f] < 0) pairs.unpaired.push_back(found[f].path);
  return pairs;
}

std::vector<std::string> pictures_in(const std::string& folder) {
  std::vector<std::string> paths;
  for (const Input& file : files_of(folder)) paths.push_back(file.path);
  return paths;
}

}  // namespace ups::apps
