// upscale: the command line tool.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "apps/cancel.h"
#include "apps/commands.h"
#include "apps/failure.h"
#include "apps/nearest_name.h"
#include "apps/output_file.h"
#include "apps/terminal.h"

namespace {

// Before it is taken for a picture that does not exist.
void refuse_misspelt_command(const std::string& word) {
  using namespace ups::apps;
  std::error_code ignored;
  if (word.find_first_of("@*?[./") != word.npos || std::filesystem::exists(word, ignored)) return;
  std::vector<std::string> known;
  for (const Command& c : commands()) known.push_back(c.syntax().command);
  static const std::map<std::string, const char*> kElsewhere = {
      {"version", "--version"},      {"list", "models"},    {"ls", "models"},
      {"download", "fetch"},         {"pull", "fetch"},     {"install", "fetch"},
      {"devices", "--list-devices"}, {"upscale", "IN OUT"}, {"run", "IN OUT"},
      {"enlarge", "IN OUT"}};
  if (auto it = kElsewhere.find(word); it != kElsewhere.end())
    fail(kUsage, word, " is neither a file nor a command, did you mean upscale ", it->second, "?");
  if (const std::string meant = nearest_name(word, known); !meant.empty())
    fail(kUsage, word, " is neither a file nor a command, did you mean upscale ", meant, "?");
}

int dispatch(const std::vector<std::string>& arguments) {
  using namespace ups::apps;
  if (arguments.empty()) fail(kUsage, "no input given, expected upscale IN OUT (see upscale --help)");
  std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  const std::string& first = arguments[0];
  for (const Command& c : commands())
    if (first == c.syntax().command) return c.run(rest);
  refuse_misspelt_command(first);
  return run_command(arguments);
}

// Everything is written. What is left would take a GPU's context apart, which ends with the process, or wait
// for a thread that still wakes a device. Sanitizers look for leaks on the usual way out.
[[noreturn]] void leave(int code) {
#if defined(UPS_SANITIZED)
  std::exit(code);
#else
  std::_Exit(code);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ups::apps;
#ifdef M_MMAP_THRESHOLD  // glibc; by default it keeps freed blocks of up to 32 MiB, which no plan can count
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  fill_closed_streams();
  install_cancel_handler();
  int code = kOk;
  try {
    code = dispatch({argv + 1, argv + argc});
  } catch (...) {
    const Failure failure = failure_of(std::current_exception());
    print_line(stderr, "upscale: %s", failure.what());
    code = failure.code;
  }
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == kOk) {
    fputs("upscale: the standard output cannot be written to\n", stderr);
    code = kIo;
  }
  leave(code);
}
