// `upscale convert`: any readable weight file to safetensors.
#include <cstdio>
#include <filesystem>

#include "apps/commands.h"
#include "apps/failure.h"
#include "apps/output_file.h"

namespace ups::apps {

int convert_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small({"convert",
                    "upscale convert IN OUT.safetensors [--name N] [--license L] [--origin URL]",
                    {},
                    {"--name", "--license", "--origin"},
                    2,
                    2},
                   arguments, a)) {
    return kOk;
  }
  const std::string &in = a.positional[0], &out = a.positional[1];
  std::error_code error;
  if (std::filesystem::path(out).extension() != ".safetensors") {
    fail(kUsage, "convert: got the output ", out, ", expected a name ending in .safetensors");
  }
  if (!std::filesystem::exists(in, error)) fail(kIo, in, ": does not exist");
  if (std::filesystem::equivalent(in, out, error)) {
    fail(kUsage, "convert: input and output are the same file, ", in);
  }
  { OutputFile probe(out); }  // a missing or read-only folder is an I/O failure, found first
  check(ups_convert(in.c_str(), out.c_str(), a.value("--name"), a.value("--license"), a.value("--origin")));
  printf("%s -> %s\n", in.c_str(), out.c_str());
  return kOk;
}

}  // namespace ups::apps
