// Distance between words: letters added, left out, changed, or swapped with their neighbour.
#include "apps/nearest_name.h"

#include <algorithm>

namespace ups::apps {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    before = std::move(above), above = std::move(row);
    row.assign(b.size() + 1, i);
    for (size_t j = 1; j <= b.size(); j++) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(const std::string& given, const std::vector<std::string>& known) {
  std::string best;
  size_t least = 3;
  for (const std::string& k : known) {
    const size_t d = edit_distance(given, k);
    if (d < least && d < k.size() / 2) least = d, best = k;
  }
  return best;
}

}  // namespace ups::apps
