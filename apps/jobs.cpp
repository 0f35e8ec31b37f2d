// Which files a run reads and writes.
#include "apps/jobs.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "apps/failure.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

std::vector<std::string> images_in(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  fs::directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    std::string name = it->path().filename().string();
    if (name[0] != '.' && it->is_regular_file(ignored) && looks_like_image(name))
      found.push_back(it->path().string());
  }
  if (error) fail(kIo, folder, ": cannot be listed (", error.message(), ")");
  std::sort(found.begin(), found.end());
  return found;
}

// Device and inode would be enough, but outputs need not exist yet.
std::string identity(const std::string& path) {
  std::error_code error;
  fs::path p = fs::weakly_canonical(path, error);
  return (error ? fs::absolute(path, error) : p).string();
}

}  // namespace

std::vector<Job> list_jobs(const Options& o) {
  std::error_code ignored;
  std::vector<std::string> inputs;
  bool from_folder = false;
  for (const std::string& in : o.inputs) {
    if (!fs::exists(in, ignored)) fail(kIo, in, ": does not exist");
    if (fs::is_directory(in, ignored)) {
      from_folder = true;
      auto found = images_in(in);
      inputs.insert(inputs.end(), found.begin(), found.end());
    } else {
      inputs.push_back(in);
    }
  }
  if (inputs.empty())
    fail(kIo, o.inputs.front(),
         ": holds no image files (PNG, JPEG, WebP, TIFF, BMP, TGA, GIF, PPM, PGM or PFM)");

  bool to_folder =
      from_folder || inputs.size() > 1 || o.output.back() == '/' || fs::is_directory(o.output, ignored);
  std::vector<Job> jobs;
  if (!to_folder) {
    Format format = format_of_extension(o.format);
    if (format == Format::unknown) format = format_of_path(o.output);
    if (!can_write(format)) {
      fail(kUsage, "output ", o.output, ": its extension names no format to write, expected one of ",
           writable_extensions(), " (or use --format)");
    }
    jobs.push_back({inputs[0], o.output, format});
  } else {
    if (fs::exists(o.output, ignored) && !fs::is_directory(o.output, ignored)) {
      fail(kUsage, "output ", o.output, ": is a file, expected a folder for ",
           from_folder ? "the images of a folder" : "several inputs");
    }
    std::string extension = o.format.empty() ? "png" : o.format;
    std::map<std::string, int> stems;  // a.jpg and a.png must not meet in one output
    for (const std::string& in : inputs) stems[fs::path(in).stem().string()]++;
    for (const std::string& in : inputs) {
      fs::path p(in);
      std::string stem = p.stem().string();
      if (stems[stem] > 1) stem = p.filename().string();
      jobs.push_back(
          {in, (fs::path(o.output) / (stem + "." + extension)).string(), format_of_extension(extension)});
    }
  }

  Format format = jobs.front().format;  // all have the same
  if (o.depth && stored_depth(format, *o.depth) != *o.depth) {
    fail(kUsage, "--depth: a ", format_name(format), " cannot hold this depth, expected ",
         format == Format::pfm                            ? "32f"
         : format == Format::png || format == Format::pnm ? "8 or 16"
                                                          : "8",
         " (a .tif holds every depth)");
  }
  if (o.encode.lossless && format == Format::jpeg) fail(kUsage, "--lossless: a JPEG is always lossy");

  std::set<std::string> sources, targets;
  for (const Job& j : jobs) sources.insert(identity(j.in));
  for (const Job& j : jobs) {
    std::string target = identity(j.out);
    bool same = sources.count(target) > 0;
    if (!same && fs::exists(j.out, ignored)) {
      same = std::any_of(jobs.begin(), jobs.end(),
                         [&](const Job& k) { return fs::equivalent(k.in, j.out, ignored); });
    }
    if (same)
      fail(kUsage, "output ", j.out, ": is also an input, which would be overwritten (choose another name)");
    if (!targets.insert(target).second) {
      fail(kUsage, "output ", j.out, ": two inputs of the same name would both be written there");
    }
  }
  if (to_folder && !o.dry_run) {
    std::error_code error;
    fs::create_directories(o.output, error);
    if (!fs::is_directory(o.output, ignored)) {
      fail(kIo, "output ", o.output, ": the folder cannot be created (", error.message(), ")");
    }
  }
  if (o.skip_existing) {
    std::erase_if(jobs, [&](const Job& j) { return fs::exists(j.out, ignored); });
  }
  return jobs;
}

}  // namespace ups::apps
