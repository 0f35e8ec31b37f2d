// The figures of `upscale compare`: of one picture against its reference, as a table and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/compare/metrics.h"
#include "apps/compare/niqe.h"

namespace ups::apps {

struct Figures {
  std::string picture, reference;              // paths; no reference: the picture alone
  int width = 0, height = 0;                   // 0: a mean
  int mean_of = 0;                             // pictures; 0: one picture itself
  std::optional<Difference> difference;        // absent without a reference or where sizes differ
  std::optional<double> niqe, niqe_reference;  // absent where not asked for or not defined
};

// parameters: null for no NIQE. niqe_reference is not set. Throws Failure(kUsage) where the border leaves
// nothing.
Figures figures_of(const std::string& path, const Image& picture, const std::string& reference_path,
                   const Image* reference, int border, const NiqeParameters* parameters);

// Of those that have a difference or a NIQE, each figure over the rows that have it.
Figures mean_of(const std::vector<Figures>& rows);

// The head and one row each, unpadded; without the column of NIQE if `niqe` is false.
std::vector<std::vector<std::string>> table_of(const std::vector<Figures>& rows, bool niqe);
// Columns padded; the first to the left, the others to the right but for the last.
std::string text_of(std::vector<std::vector<std::string>> table);
// "PSNR 35.59  SSIM 0.9511  NIQE 7.59", what there is of it.
std::string short_text_of(const Figures& figures);
nlohmann::ordered_json json_of(const Figures& figures, int border);

}  // namespace ups::apps
