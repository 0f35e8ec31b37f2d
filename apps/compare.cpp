// `upscale compare`: figures, a contact sheet and a page to look at; of pictures or of whole folders.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "apps/cancel.h"
#include "apps/command_list.h"
#include "apps/compare_figures.h"
#include "apps/compare_folders.h"
#include "apps/compare_page.h"
#include "apps/contact_sheet.h"
#include "apps/failure.h"
#include "apps/niqe_store.h"
#include "apps/options/values.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

std::string size_of(const Image& i) { return std::to_string(i.width) + "x" + std::to_string(i.height); }

void refuse_input(const char* option, const std::string& path, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  for (const std::string& in : inputs)
    if (fs::equivalent(path, in, ignored)) fail(kUsage, option, ": ", path, " is one of the pictures");
}

// The whole of a frame of width x height, or as much of it as the picture's shape allows, in the middle. A
// side that is off by a pixel of the smaller picture comes from rounding, not from another shape.
PagePlace place_in(int width, int height, const Image& picture) {
  const double f = std::min(double(width) / picture.width, double(height) / picture.height);
  const double w = picture.width * f, h = picture.height * f;
  if (width - w <= std::max(f, 1.0) && height - h <= std::max(f, 1.0))
    return {0, 0, double(width), double(height)};
  return {(width - w) / 2, (height - h) / 2, w, h};
}

// One run of the command.
class Comparison {
 public:
  explicit Comparison(const SmallArguments& a) : a_(a), parameters_(stored_niqe_parameters()) {
    if (const char* text = a.value("--crop-border"))
      border_ = int(Value{"--crop-border", text}.integer(0, 100000));
  }

  bool has_niqe() const { return parameters_.has_value(); }
  int pictures(const std::vector<std::string>& paths);
  int folders(const std::vector<std::string>& paths);

 private:
  const NiqeParameters* parameters() const { return parameters_ ? &*parameters_ : nullptr; }

  // Says what is wrong with one of several and goes on; 0 where nothing was.
  template <class Action>
  int attempt(Action&& action) {
    throw_if_cancelled();
    try {
      action();
      return 0;
    } catch (const Failure& e) {
      if (e.code == kCancelled) throw;
      fprintf(stderr, "upscale: %s\n", e.what());
      failed_++;
      return e.code;
    }
  }

  void differs_in_size(const std::string& path, const Image& picture, const std::string& reference_path,
                       const Image& reference) const {
    fprintf(stderr, "%s has %s pixels and %s %s: no PSNR, SSIM and largest difference\n", path.c_str(),
            size_of(picture).c_str(), reference_path.c_str(), size_of(reference).c_str());
  }

  // Programs get the rows from `first` on: a reference has no figures of its own.
  void print(const std::vector<Figures>& rows, size_t first) const {
    if (a_.flag("--json")) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (size_t i = first; i < rows.size(); i++) list.push_back(json_of(rows[i], border_));
      printf("%s\n", list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
      return;
    }
    fputs(text_of(table_of(rows, parameters_.has_value())).c_str(), stdout);
    fflush(stdout);
    if (!parameters_) fprintf(stderr, "NIQE: its numbers are not in the store (upscale fetch niqe)\n");
  }

  int code(size_t compared, int first_failure) const {
    return failed_ == 0 ? kOk : compared > 0 ? int(kPartial) : first_failure;
  }

  const SmallArguments& a_;
  std::optional<NiqeParameters> parameters_;
  int border_ = 0, failed_ = 0;
};

int Comparison::pictures(const std::vector<std::string>& paths) {
  const char *sheet = a_.value("--sheet"), *html = a_.value("--html");
  std::vector<Image> kept;  // for looking at
  std::vector<std::string> names;
  Image first = read_image(paths[0]);
  std::vector<Figures> rows = {figures_of(paths[0], first, "", nullptr, border_, parameters())};
  int first_failure = 0;
  size_t compared = 0;
  SheetDetail detail;
  for (size_t i = 1; i < paths.size(); i++) {
    const int failure = attempt([&] {
      Image picture = read_image(paths[i]);
      Figures f = figures_of(paths[i], picture, paths[0], &first, border_, parameters());
      f.niqe_reference = rows[0].niqe;
      if (f.difference) {
        detail = {(f.difference->x + 0.5) / first.width, (f.difference->y + 0.5) / first.height};
        compared++;
      } else if (paths.size() == 2 && !sheet && !html) {
        fail(kUsage, "compare: ", paths[i], " has ", size_of(picture), " pixels and ", paths[0], " ",
             size_of(first), ", expected one size (--html and --sheet show pictures of any size)");
      } else {
        differs_in_size(paths[i], picture, paths[0], first);
        if (!sheet && !html) failed_++;
      }
      rows.push_back(std::move(f));
      if (sheet || html) kept.push_back(std::move(picture)), names.push_back(paths[i]);
    });
    if (failure && paths.size() == 2) return failure;
    if (!first_failure) first_failure = failure;
  }
  print(rows, paths.size() > 1 ? 1 : 0);
  kept.insert(kept.begin(), std::move(first));
  names.insert(names.begin(), paths[0]);
  if (sheet) {
    std::vector<SheetPicture> all;
    for (size_t i = 0; i < kept.size(); i++)
      all.push_back({fs::path(names[i]).filename().string() + "  " + size_of(kept[i]), short_text_of(rows[i]),
                     &kept[i]});
    OutputFile file(sheet);
    write_image(file, Format::png, contact_sheet(all, detail, 4), {});
  }
  if (html) {
    int width = 0, height = 0;  // of the largest
    for (const Image& i : kept)
      if (int64_t(i.width) * i.height > int64_t(width) * height) width = i.width, height = i.height;
    std::vector<PagePicture> all;
    for (size_t i = 0; i < kept.size(); i++)
      all.push_back({fs::path(names[i]).filename().string(), &kept[i], place_in(width, height, kept[i])});
    auto table = table_of(rows, parameters_.has_value());
    for (size_t i = 1; i < table.size(); i++) table[i][0] = all[i - 1].name;
    write_compare_page(html, "upscale compare", width, height, all, table);
  }
  return code(compared, first_failure ? first_failure : int(kUsage));
}

int Comparison::folders(const std::vector<std::string>& paths) {
  for (const std::string& p : paths)
    if (!fs::is_directory(p))
      fail(kUsage, "compare: got the folder ", paths[0], " and ", p, ", expected folders only");
  for (const char* option : {"--sheet", "--html"})
    if (a_.value(option)) fail(kUsage, option, ": got folders, expected pictures");
  std::vector<Figures> rows, means;
  int first_failure = 0;
  auto note = [&](int failure) {
    if (!first_failure) first_failure = failure;
  };
  auto finish_folder = [&](const std::string& folder, const std::string& reference, size_t begin) {
    Figures mean = mean_of({rows.begin() + ptrdiff_t(begin), rows.end()});
    mean.picture = folder, mean.reference = reference;
    if (mean.mean_of) means.push_back(mean);
  };
  if (paths.size() == 1) {
    for (const std::string& p : pictures_in(paths[0]))
      note(
          attempt([&] { rows.push_back(figures_of(p, read_image(p), "", nullptr, border_, parameters())); }));
    finish_folder(paths[0], "", 0);
  }
  for (size_t i = 1; i < paths.size(); i++) {
    const size_t begin = rows.size();
    const FolderPairs pairs = pair_folders(paths[i], paths[0]);
    for (const FolderPair& pair : pairs.pairs) {
      note(attempt([&] {
        if (pair.picture.empty()) fail(kIo, paths[i], ": has no picture for ", pair.reference);
        const Image picture = read_image(pair.picture), reference = read_image(pair.reference);
        Figures f = figures_of(pair.picture, picture, pair.reference, &reference, border_, parameters());
        if (parameters_) f.niqe_reference = niqe(reference, border_, *parameters_);
        if (!f.difference) {
          differs_in_size(pair.picture, picture, pair.reference, reference);
          failed_++, note(kUsage);
        }
        rows.push_back(std::move(f));
      }));
    }
    if (const size_t n = pairs.unpaired.size())
      fprintf(stderr, "%s: %zu picture%s without a partner in %s: %s%s\n", paths[i].c_str(), n,
              n > 1 ? "s" : "", paths[0].c_str(), pairs.unpaired[0].c_str(), n > 1 ? ", ..." : "");
    finish_folder(paths[i], paths[0], begin);
  }
  if (rows.empty() && !failed_) fail(kIo, "compare: ", paths[0], " holds no pictures");
  const size_t compared = means.size();
  rows.insert(rows.end(), means.begin(), means.end());
  if (!rows.empty()) print(rows, 0);
  return code(compared, first_failure);
}

}  // namespace

const SmallSyntax& compare_syntax() {
  static const SmallSyntax syntax = {
      "compare",
      "A B...",
      "PSNR, SSIM, NIQE and the largest difference; pictures beside and over each other",
      {{"--reference", "R", "what A, B ... are measured against; default: A"},
       {"--crop-border", "N", "pixels left out at each side (0); papers leave out as many as the scale"},
       {"--sheet", "OUT.png", "a contact sheet: one column a picture, whole and a detail"},
       {"--html", "OUT.html", "one page with a slider between any two, zoom and the figures"},
       {"--json", "", "figures for programs"}},
      1,
      64,
      "PSNR and SSIM are those of BasicSR: of colours rounded to 8 bits, and of their luma Y (16..235); SSIM "
      "with\n"
      "a Gaussian window of 11 pixels. The largest difference is in levels of 255, at full depth, with its "
      "place.\n"
      "NIQE (lower is better) needs no reference, so that one picture will do, but numbers that\n"
      "`upscale fetch niqe` gets.\n"
      "The detail of the sheet lies where the last picture differs most from the first or the reference.\n"
      "\n"
      "Folders: each picture of the first or the reference is compared with that of its name in the others, "
      "whatever\n"
      "the extension and a suffix like _x4; then the means. Pictures that cannot be compared are named, the "
      "others\n"
      "go on, and the exit code is 2.\n"};
  return syntax;
}

int compare_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(compare_syntax(), arguments, a)) return kOk;
  std::vector<std::string> paths = a.positional;
  if (const char* reference = a.value("--reference")) paths.insert(paths.begin(), reference);
  Comparison comparison(a);
  for (const char* option : {"--sheet", "--html"})
    if (a.value(option)) refuse_input(option, a.value(option), paths);
  if (const char* sheet = a.value("--sheet"); sheet && format_of_path(sheet) != Format::png)
    fail(kUsage, "--sheet: got ", sheet, ", expected a name ending in .png");
  if (paths.size() < 2 && (!comparison.has_niqe() || a.value("--sheet") || a.value("--html"))) {
    fail(kUsage, "compare: got one picture, expected at least two or --reference R",
         comparison.has_niqe() ? "" : " (NIQE alone needs one: upscale fetch niqe)");
  }
  std::error_code ignored;
  const bool folder = std::any_of(paths.begin(), paths.end(),
                                  [&](const std::string& p) { return fs::is_directory(p, ignored); });
  return folder ? comparison.folders(paths) : comparison.pictures(paths);
}

}  // namespace ups::apps
