// Walks folders, expands patterns, reads lists.
#include "apps/inputs.h"

#include <fnmatch.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "apps/failure.h"
#include "apps/output_file.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMaxListBytes = 256 << 20;

// Sorted. Folders that are links are not followed: they may lead in circles. The output folder is left out: a
// second run must not enlarge the results of the first.
template <class Iterator>
std::vector<Input> images_in(const std::string& folder, const std::string& output) {
  std::vector<Input> found;
  std::error_code error;
  if (access(folder.c_str(), R_OK | X_OK) != 0)
    fail(kIo, folder, ": cannot be listed (", strerror(errno), ")");
  Iterator it(folder, fs::directory_options::skip_permission_denied, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    std::string name = it->path().filename().string();
    bool is_input = name[0] != '.' && looks_like_image(name) && it->is_regular_file(ignored);
    if constexpr (std::is_same_v<Iterator, fs::recursive_directory_iterator>) {
      const bool below = it->is_directory(ignored) && !it->is_symlink(ignored);
      if (name[0] == '.' || (below && fs::equivalent(it->path(), output, ignored)))
        it.disable_recursion_pending();
      else if (below && access(it->path().c_str(), R_OK | X_OK) != 0)
        is_input = true;  // that fails, and is not missing in silence
    }
    if (!is_input) continue;
    found.push_back({it->path().string(), it->path().parent_path().lexically_relative(folder).string()});
    if (found.back().folder == ".") found.back().folder.clear();
  }
  if (error) fail(kIo, folder, ": cannot be listed (", error.message(), ")");
  std::sort(found.begin(), found.end(), [](const Input& a, const Input& b) { return a.path < b.path; });
  return found;
}

// Where a listed or matched file goes with -R: its own folder, if that is a relative one.
std::string own_folder(const std::string& path, const Options& o) {
  fs::path folder = fs::path(path).parent_path().lexically_normal();
  if (!o.recursive || folder.is_absolute() || folder == "." || *folder.begin() == "..") return "";
  return folder.string();
}

bool parts_match(const fs::path& pattern, fs::path::iterator p, const fs::path& path, fs::path::iterator q) {
  if (p == pattern.end()) return q == path.end();
  if (*p == "**")
    return parts_match(pattern, std::next(p), path, q) ||
           (q != path.end() && parts_match(pattern, p, path, std::next(q)));
  return q != path.end() && fnmatch(p->c_str(), q->c_str(), FNM_PERIOD) == 0 &&
         parts_match(pattern, std::next(p), path, std::next(q));
}

// `**` is any number of folders, which glob(3) does not know: all images below the part without wildcards are
// compared.
std::vector<std::string> deep_matches(const std::string& pattern, const std::string& output) {
  fs::path fixed, parts = fs::path(pattern).lexically_normal();
  for (const fs::path& part : parts) {
    if (part.string().find_first_of("*?[") != std::string::npos) break;
    fixed /= part;
  }
  std::vector<std::string> found;
  std::error_code ignored;
  if (!fixed.empty() && !fs::is_directory(fixed, ignored)) return found;
  for (const Input& in : images_in<fs::recursive_directory_iterator>(fixed.empty() ? "." : fixed, output)) {
    const fs::path path = fs::path(in.path).lexically_normal();
    if (parts_match(parts, parts.begin(), path, path.begin())) found.push_back(path.string());
  }
  return found;
}

std::vector<std::string> matches(const std::string& pattern, const std::string& output) {
  if (("/" + pattern + "/").find("/**/") != pattern.npos) return deep_matches(pattern, output);
  glob_t g{};
  std::vector<std::string> found;
  if (glob(pattern.c_str(), GLOB_TILDE, nullptr, &g) == 0) found.assign(g.gl_pathv, g.gl_pathv + g.gl_pathc);
  globfree(&g);
  return found;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::string list = read_file(path, kMaxListBytes);
  if (list.find('\0') != list.npos) fail(kIo, path, ": is no list of paths, expected a text file");
  if (list.rfind("\xef\xbb\xbf", 0) == 0)
    list.erase(0, 3);  // the mark that editors of Windows begin UTF-8 with
  std::istringstream text(std::move(list));
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

void add_folder(Inputs& inputs, const std::string& folder, const Options& o) {
  auto found = o.recursive ? images_in<fs::recursive_directory_iterator>(folder, o.output)
                           : images_in<fs::directory_iterator>(folder, o.output);
  inputs.files.insert(inputs.files.end(), found.begin(), found.end());
}

// For those who know ffmpeg's way to say frame%04d.png.
std::string sequence_hint(const std::string& name) {
  const size_t percent = name.find('%');
  if (percent == name.npos) return "";
  const size_t end = name.find_first_not_of("0123456789", percent + 1);
  if (end == name.npos || name[end] != 'd') return "";
  return " (a sequence of files is '" + name.substr(0, percent) + "*" + name.substr(end + 1) + "')";
}

}  // namespace

Inputs list_inputs(const Options& o) {
  Inputs inputs;
  std::error_code ignored;
  for (const std::string& in : o.inputs) {
    if (in == "-") {
      inputs.files.push_back({in, ""});
    } else if (fs::is_directory(in, ignored)) {
      add_folder(inputs, in, o);
      inputs.several = true;
    } else if (fs::exists(in, ignored)) {
      inputs.files.push_back({in, ""});
    } else if (in.size() > 1 && in[0] == '@') {
      for (const std::string& path : lines_of(in.substr(1))) {
        if (fs::is_directory(path, ignored))
          add_folder(inputs, path, o);
        else
          inputs.files.push_back({path, own_folder(path, o)});
      }
      inputs.several = true;
    } else if (in.find_first_of("*?[") != in.npos) {
      const std::vector<std::string> found = matches(in, o.output);
      if (found.empty()) fail(kIo, in, ": matches no file");
      for (const std::string& path : found) {
        if (fs::is_directory(path, ignored))
          add_folder(inputs, path, o);
        else if (looks_like_image(path) && !fs::is_other(path, ignored))  // nobody may write to a pipe
          inputs.files.push_back({path, own_folder(path, o)});
      }
      inputs.several = true;
    } else if (fs::is_symlink(in, ignored)) {
      fail(kIo, in, ": is a link that leads to no file");
    } else {
      fail(kIo, in, ": does not exist", sequence_hint(in));
    }
  }
  return inputs;
}

}  // namespace ups::apps
