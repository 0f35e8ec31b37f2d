// Which files a run reads and writes.
#include "apps/jobs.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "apps/chain.h"
#include "apps/failure.h"
#include "apps/inputs.h"
#include "apps/output_file.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

// --name: {stem}, {ext}, {model}, {scale}, {index} replaced.
std::string filled(const std::string& pattern, const std::map<std::string, std::string>& values) {
  std::string out;
  for (size_t i = 0; i < pattern.size();) {
    size_t end = pattern[i] == '{' ? pattern.find('}', i) : pattern.npos;
    if (end == pattern.npos) {
      out += pattern[i++];
      continue;
    }
    auto it = values.find(pattern.substr(i + 1, end - i - 1));
    if (it == values.end()) {
      fail(kUsage, "--name: got '", pattern.substr(i, end - i + 1),
           "', expected {stem}, {ext}, {model}, {scale} or {index}");
    }
    out += it->second;
    i = end + 1;
  }
  if (out.empty() || out.find('/') != out.npos) {
    fail(kUsage, "--name: got '", pattern, "', expected a file name without /");
  }
  return out;
}

// The scale as --name writes it: "4", "2.5"; "auto" when a size decides.
std::string scale_text(const Options& o) {
  if (o.name.find("{scale}") == o.name.npos || (o.scale <= 0 && o.size.exact())) return "auto";
  char text[32];
  snprintf(text, sizeof text, "%.6g", o.scale > 0 ? o.scale : chain_scale(o.model));
  return text;
}

// Which file a path leads to, whatever names it has; none where there is no file.
std::optional<std::pair<dev_t, ino_t>> file_at(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return std::nullopt;
  return std::pair{s.st_dev, s.st_ino};
}

// One input, one named file.
Job named_job(const Options& o, const std::string& in) {
  // A name that says what the file is is believed, as by the ncnn tools.
  Format format = format_of_path(o.output);
  if (format == Format::unknown || (!o.format.empty() && format == Format::gif))
    format = o.output == "-" && o.format.empty() ? Format::png : format_of_extension(o.format);
  if (format != Format::unknown && !is_built(format)) {
    fail(kUsage, "output ", o.output, ": this build cannot write ", format_name(format),
         " (its library was missing when it was built), expected one of ", writable_extensions());
  }
  if (!can_write(format)) {
    fail(kUsage, "output ", o.output, ": its extension names no format to write, expected one of ",
         writable_extensions(), " (or use -f EXT; a folder is written ", o.output, "/)");
  }
  if (!o.suffix.empty() || !o.name.empty()) {
    fail(kUsage, "--suffix and --name: the output is named already (give a folder, e.g. ", o.output, "/)");
  }
  return {in, o.output, format};
}

// Many inputs into a folder, named after themselves; `what` they are, for messages.
std::vector<Job> jobs_into_folder(const Options& o, const std::vector<Input>& inputs, const char* what) {
  std::error_code ignored;
  if (fs::exists(o.output, ignored) && !fs::is_directory(o.output, ignored)) {
    fail(kUsage, "output ", o.output, ": is a file, expected a folder for ", what);
  }
  if (!fs::exists(o.output, ignored) && o.output.back() != '/' && can_write(format_of_path(o.output))) {
    fail(kUsage, "output ", o.output, ": names a file, expected a folder for ", what, " (or write ", o.output,
         "/)");
  }
  const std::string extension = o.format.empty() ? "png" : o.format;
  std::map<std::string, int> stems;  // a.jpg and a.png must not meet in one output
  auto key = [](const Input& in) { return (fs::path(in.folder) / fs::path(in.path).stem()).string(); };
  for (const Input& in : inputs) stems[key(in)]++;
  int index = 0;
  const std::string scale = scale_text(o);
  std::vector<Job> jobs;
  for (const Input& in : inputs) {
    fs::path p(in.path);
    std::string stem = in.path == "-" ? "stdin" : p.stem().string(), e = p.extension().string();
    if (stems[key(in)] > 1 && o.name.find("{ext}") == o.name.npos && o.name.find("{index}") == o.name.npos)
      stem = p.filename().string();
    if (!o.name.empty()) {
      stem = filled(o.name, {{"stem", stem},
                             {"ext", e.empty() ? e : e.substr(1)},
                             {"model", chain_name(o.model)},
                             {"scale", scale},
                             {"index", std::to_string(++index)}});
    }
    fs::path out = fs::path(o.output) / in.folder / (stem + o.suffix + "." + extension);
    jobs.push_back({in.path, out.string(), format_of_extension(extension)});
  }
  return jobs;
}

void check_pipes(const Options& o, const std::vector<Job>& jobs) {
  const bool to_stdout = o.output == "-";
  const bool piped = std::any_of(jobs.begin(), jobs.end(), [](const Job& j) { return j.in == "-"; });
  if ((to_stdout || piped) && !o.resume.empty())
    fail(kUsage, "--resume: the standard ", to_stdout ? "output" : "input", " cannot be looked at again");
  if ((to_stdout || piped) && !o.report.empty())
    fail(kUsage, "--report: reads both pictures again, expected files and not -");
}

void check_encoding(const Options& o, Format format) {
  const bool twelve = o.depth && *o.depth == UPS_U16 && format == Format::avif;
  if (o.depth && (stored_depth(format, *o.depth) != *o.depth || twelve != o.depth_12)) {
    fail(kUsage, "--depth: this output, ", format_name(format), ", cannot hold it, expected ",
         format == Format::pfm                             ? "32f"
         : format == Format::avif                          ? "8 or 12"
         : format == Format::png || format == Format::pnm  ? "8 or 16"
         : format == Format::tiff || format == Format::jxl ? "8, 16 or 32f"
                                                           : "8",
         " (a .tif holds 8, 16 and 32f)");
  }
  if (o.encode.lossless && !can_be_lossless(format)) fail(kUsage, "--lossless: a JPEG is always lossy");
}

// What a run reads beside its pictures.
std::vector<std::string> other_sources(const Options& o) {
  std::vector<std::string> files = chain_parts(o.model);
  if (!o.mix.empty()) files.push_back(o.mix);
  for (size_t i = 0, n = files.size(); i < n; i++)  // the other half of an ncnn pair
    files.push_back(fs::path(files[i]).replace_extension(".bin").string());
  for (const std::string& in : o.inputs)
    if (in[0] == '@') files.push_back(in.substr(1));
  return files;
}

// Nothing that is written may be read by the same run, nor be written twice.
void check_outputs(const Options& o, const std::vector<Job>& jobs) {
  std::set<std::optional<std::pair<dev_t, ino_t>>> sources;
  std::set<std::string> targets;
  for (const Job& j : jobs) sources.insert(file_at(j.in));
  for (const std::string& file : other_sources(o)) sources.insert(file_at(file));
  const auto claim = [&](const char* what, const std::string& path, const char* taken) {
    if (const auto there = file_at(path); there && sources.count(there))
      fail(kUsage, what, path, ": is also an input, which would be overwritten (choose another name)");
    if (!targets.insert(absolute_path(path)).second) fail(kUsage, what, path, taken);
  };
  for (const Job& j : jobs) {
    if (j.out == "-") continue;
    claim("output ", j.out,
          ": two inputs of the same name would both be written there (tell them apart by --name "
          "\"{index}_{stem}\", or mirror their folders with -R)");
  }
  const char* const taken = ": is also another output (choose another name)";
  if (!o.report.empty()) claim("--report: ", o.report, taken);
  if (!o.resume.empty()) claim("--resume: ", o.resume, taken);
  for (int k = 1; !o.save_steps.empty() && k < o.steps; k++)
    claim("--save-steps: ", o.save_steps + std::to_string(k) + ".png", taken);
}

std::vector<Job> shard_of(const Options& o, const std::vector<Job>& jobs) {
  std::vector<Job> mine;
  for (size_t i = size_t(o.shard - 1); i < jobs.size(); i += size_t(o.shard_count)) mine.push_back(jobs[i]);
  return mine;
}

}  // namespace

std::vector<Job> list_jobs(const Options& o) {
  std::error_code ignored;
  const auto [inputs, several] = list_inputs(o);
  if (inputs.empty()) {
    fail(kIo, o.inputs.front(), ": holds no image files (", readable_formats(), ")",
         o.recursive ? "" : ", not counting those in sub-folders (see -R)");
  }
  const bool many = several || inputs.size() > 1;
  if (o.output == "-" && many)
    fail(kUsage, "output -: got ", inputs.size(),
         " inputs, expected one (the standard output takes one picture)");
  const bool to_folder = many || o.output.back() == '/' || fs::is_directory(o.output, ignored);
  std::vector<Job> jobs;
  if (to_folder)
    jobs =
        jobs_into_folder(o, inputs, several ? "the images of a folder, pattern or list" : "several inputs");
  else
    jobs = {named_job(o, inputs[0].path)};

  check_pipes(o, jobs);
  check_encoding(o, jobs.front().format);  // all have the same
  check_outputs(o, jobs);
  if (!o.dry_run) {
    std::set<std::string> folders = {to_folder ? o.output : ""};
    for (const Job& j : jobs) folders.insert(fs::path(j.out).parent_path().string());
    for (const std::string& f : folders) make_folder(f);
  }
  return o.shard_count > 1 ? shard_of(o, jobs) : jobs;
}

}  // namespace ups::apps
