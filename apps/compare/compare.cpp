// `upscale compare`: figures, a contact sheet and a page to look at; of pictures or of whole folders.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "apps/cancel.h"
#include "apps/command_list.h"
#include "apps/compare/contact_sheet.h"
#include "apps/compare/figures.h"
#include "apps/compare/folders.h"
#include "apps/compare/niqe_store.h"
#include "apps/compare/page.h"
#include "apps/compare/page_index.h"
#include "apps/failure.h"
#include "apps/options/values.h"
#include "apps/terminal.h"

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

std::string name_of(const std::string& path) { return fs::path(path).filename().string(); }

// Pictures that are looked at together; the first is the reference.
struct Group {
  std::vector<Image> pictures;
  std::vector<Figures> figures;
  SheetDetail detail;
  double worst = 1e300;  // the lowest PSNR; -1 where there is none

  void add(Image picture, Figures f) {
    if (!pictures.empty()) worst = std::min(worst, f.difference ? f.difference->psnr : -1);
    if (f.difference)
      detail = {(f.difference->x + 0.5) / picture.width, (f.difference->y + 0.5) / picture.height};
    pictures.push_back(std::move(picture));
    figures.push_back(std::move(f));
  }
};

Image sheet_of(const Group& g, int columns) {
  std::vector<SheetPicture> all;
  for (size_t i = 0; i < g.pictures.size(); i++)
    all.push_back({name_of(g.figures[i].picture) + "  " + size_of(g.pictures[i]), short_text_of(g.figures[i]),
                   &g.pictures[i]});
  return contact_sheet(all, g.detail, columns);
}

void write_page(const std::string& path, const Group& g, bool niqe) {
  int width = 0, height = 0;  // of the largest
  for (const Image& i : g.pictures)
    if (int64_t(i.width) * i.height > int64_t(width) * height) width = i.width, height = i.height;
  std::vector<PagePicture> all;
  for (size_t i = 0; i < g.pictures.size(); i++)
    all.push_back({name_of(g.figures[i].picture), &g.pictures[i], place_in(width, height, g.pictures[i])});
  auto table = table_of(g.figures, niqe);
  for (size_t i = 1; i < table.size(); i++) table[i][0] = all[i - 1].name;
  write_compare_page(path, "upscale compare", width, height, all, table);
}

// The sheet of many groups: one below the other, those that differ most.
class WorstGroups {
 public:
  static constexpr size_t kMost = 24;
  void add(const Group& g) {
    count_++;
    const auto at = std::upper_bound(rows_.begin(), rows_.end(), g.worst,
                                     [](double worst, const Row& r) { return worst < r.worst; });
    if (rows_.size() == kMost && at == rows_.end()) return;
    rows_.insert(at, {g.worst, sheet_of(g, int(g.pictures.size()))});
    if (rows_.size() > kMost) rows_.pop_back();
  }
  void write(const std::string& path) {
    if (rows_.empty()) return;
    if (count_ > kMost)
      print_line(stderr, "%s: shows the %zu of %zu that differ most", path.c_str(), kMost, count_);
    std::vector<Image> sheets;
    for (Row& r : rows_) sheets.push_back(std::move(r.sheet));
    OutputFile file(path);
    write_image(file, Format::png, stacked(sheets), {});
  }

 private:
  struct Row {
    double worst;
    Image sheet;
  };
  std::vector<Row> rows_;
  size_t count_ = 0;
};

void say_unpaired(const std::string& folder, const std::string& reference,
                  const std::vector<std::string>& unpaired) {
  if (unpaired.empty()) return;
  const bool several = unpaired.size() > 1;
  print_line(stderr, "%s: %zu picture%s without a partner in %s: %s%s", folder.c_str(), unpaired.size(),
             several ? "s" : "", reference.c_str(), unpaired[0].c_str(), several ? ", ..." : "");
}

// Of each folder that has figures; rows[i] are those of paths[i], the first of which is the reference.
std::vector<Figures> means_of(const std::vector<std::vector<Figures>>& rows,
                              const std::vector<std::string>& paths) {
  std::vector<Figures> means;
  for (size_t i = 0; i < paths.size(); i++) {
    Figures mean = mean_of(rows[i]);
    mean.picture = paths[i], mean.reference = i ? paths[0] : "";
    if (mean.mean_of) means.push_back(mean);
  }
  return means;
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
    } catch (...) {
      const Failure e = failure_of(std::current_exception());
      if (e.code == kCancelled) throw;
      print_line(stderr, "upscale: %s", e.what());
      failed_++;
      return e.code;
    }
  }

  void differs_in_size(const std::string& path, const Image& picture, const std::string& reference_path,
                       const Image& reference) const {
    print_line(stderr, "%s has %s pixels and %s %s: no PSNR, SSIM and largest difference", path.c_str(),
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
  Group group;  // for looking at; else the reference alone
  Image first = read_image(paths[0]);
  std::vector<Figures> rows = {figures_of(paths[0], first, "", nullptr, border_, parameters())};
  group.add(std::move(first), rows[0]);
  int first_failure = 0;
  size_t compared = 0;
  for (size_t i = 1; i < paths.size(); i++) {
    const int failure = attempt([&] {
      const Image& reference = group.pictures[0];
      Image picture = read_image(paths[i]);
      Figures f = figures_of(paths[i], picture, paths[0], &reference, border_, parameters());
      f.niqe_reference = rows[0].niqe;
      if (f.difference) {
        compared++;
      } else if (paths.size() == 2 && !sheet && !html) {
        fail(kUsage, "compare: ", paths[i], " has ", size_of(picture), " pixels and ", paths[0], " ",
             size_of(reference), ", expected one size (--html and --sheet show pictures of any size)");
      } else {
        differs_in_size(paths[i], picture, paths[0], reference);
        if (!sheet && !html) failed_++;
      }
      rows.push_back(f);
      if (sheet || html) group.add(std::move(picture), std::move(f));
    });
    if (failure && paths.size() == 2) return failure;
    if (!first_failure) first_failure = failure;
  }
  print(rows, paths.size() > 1 ? 1 : 0);
  if (sheet) {
    OutputFile file(sheet);
    write_image(file, Format::png, sheet_of(group, 4), {});
  }
  if (html) write_page(html, group, parameters_.has_value());
  return code(compared, first_failure ? first_failure : int(kUsage));
}

int Comparison::folders(const std::vector<std::string>& paths) {
  std::error_code ignored;
  for (const std::string& p : paths)
    if (!fs::is_directory(p, ignored))
      fail(kUsage, "compare: got the folder ", paths[0], " and ", p, ", expected folders only");
  const char *sheet = a_.value("--sheet"), *html = a_.value("--html");
  std::vector<FolderPairs> others;
  for (size_t i = 1; i < paths.size(); i++) others.push_back(pair_folders(paths[i], paths[0]));
  std::optional<PageIndex> index;
  if (html) {
    auto head = table_of({}, parameters_.has_value())[0];
    index.emplace(html, "upscale compare", std::vector(head.begin() + 1, head.end()));
  }
  WorstGroups worst;
  std::vector<std::vector<Figures>> rows(paths.size());  // of each folder
  int first_failure = 0;
  auto note = [&](int failure) {
    if (!first_failure) first_failure = failure;
  };
  const std::vector<std::string> references = pictures_in(paths[0]);
  for (size_t w = 0; w < references.size(); w++) {
    const std::string& reference_path = references[w];
    note(attempt([&] {
      Image read = read_image(reference_path);
      Figures alone = figures_of(reference_path, read, "", nullptr, border_, parameters());
      if (others.empty()) return rows[0].push_back(alone);
      Group group;
      group.add(std::move(read), alone);
      for (size_t i = 1; i < paths.size(); i++) {
        note(attempt([&] {
          const Image& reference = group.pictures[0];
          const std::string& path = others[i - 1].pairs[w].picture;
          if (path.empty()) fail(kIo, paths[i], ": has no picture for ", reference_path);
          Image picture = read_image(path);
          Figures f = figures_of(path, picture, reference_path, &reference, border_, parameters());
          f.niqe_reference = alone.niqe;
          if (!f.difference) {
            differs_in_size(path, picture, reference_path, reference);
            if (!sheet && !html) failed_++, note(kUsage);
          }
          rows[i].push_back(f);
          if (sheet || html) group.add(std::move(picture), std::move(f));
        }));
      }
      if (group.pictures.size() < 2) return;
      if (sheet) worst.add(group);
      if (!index) return;
      const std::string name = fs::path(reference_path).lexically_relative(paths[0]).generic_string();
      write_page(index->page_for(name), group, parameters_.has_value());
      index->put_thumbnail(name, group.pictures.back());
      const auto table = table_of({group.figures.begin() + 1, group.figures.end()}, parameters_.has_value());
      for (size_t r = 1; r < table.size(); r++)
        index->add(name, table[r][0], {table[r].begin() + 1, table[r].end()});
    }));
  }
  for (size_t i = 1; i < paths.size(); i++) say_unpaired(paths[i], paths[0], others[i - 1].unpaired);
  std::vector<Figures> all;
  for (const auto& of_folder : rows) all.insert(all.end(), of_folder.begin(), of_folder.end());
  const std::vector<Figures> means = means_of(rows, paths);
  if (all.empty() && !failed_) fail(kIo, "compare: ", paths[0], " holds no pictures");
  all.insert(all.end(), means.begin(), means.end());
  if (!all.empty()) print(all, 0);
  if (sheet) worst.write(sheet);
  if (index) {
    const auto table = table_of(means, parameters_.has_value());
    for (size_t r = 1; r < table.size(); r++)
      index->add("", table[r][0], {table[r].begin() + 1, table[r].end()});
    index->commit();
  }
  return code(means.size(), first_failure);
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
       {"--html", "OUT.html", "one page with a slider between any two, zoom and the figures", "--report"},
       {"--json", "", "figures for programs"}},
      1,
      64,
      "PSNR and SSIM are those of BasicSR: of colours rounded to 8 bits, and of their luma Y (16..235); SSIM "
      "with a Gaussian window of 11 pixels. The largest difference is in levels of 255, at full depth, with "
      "its place. NIQE (lower is better) needs no reference, so that one picture will do, but numbers that "
      "`upscale fetch niqe` gets. The detail of the sheet lies where the last picture differs most from the "
      "first or the reference.\n"
      "\n"
      "Folders: each picture of the first or the reference is compared with that of its name in the others, "
      "whatever the extension and a suffix like _x4; then the means. Pictures that cannot be compared are "
      "named, the others go on, and the exit code is 2. --html writes a list and, in a folder beside it, a "
      "page for each picture; --sheet one row for each picture, of those that differ most at most 24.\n"};
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
