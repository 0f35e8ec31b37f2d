// `upscale convert`: any readable weight file to safetensors.
#include <cstdio>
#include <filesystem>

#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/output_file.h"
#include "apps/store/store.h"
#include "apps/terminal.h"

namespace ups::apps {

const SmallSyntax& convert_syntax() {
  static const SmallSyntax syntax = {
      "convert",
      "IN OUT.safetensors",
      ".pth or ncnn weights to safetensors",
      {{"--name", "N", "its name"},
       {"--license", "L", "its licence"},
       {"--origin", "URL", "where it comes from"},
       {"--act", "relu|leakyrelu", "activation of a Compact network without PReLU slopes"},
       {"--scale", "N", "3 for an old-style ESRGAN, whose keys are those of x2"}},
      2,
      2,
      "--act and --scale state what tensors cannot tell: the activation of a Compact network "
      "without PReLU slopes, and that an old-style ESRGAN is x3 (its keys are those of x2).\n"};
  return syntax;
}

int convert_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(convert_syntax(), arguments, a)) return kOk;
  const std::string &in = a.positional[0], &out = a.positional[1];
  std::error_code error;
  expect_safetensors_name(convert_syntax(), out);
  if (!std::filesystem::exists(in, error))
    fail(kIo, in, ": does not exist", find_alias(in) ? " (convert reads files, not the store)" : "");
  if (std::filesystem::equivalent(in, out, error)) {
    fail(kUsage, "convert: input and output are the same file, ", in);
  }
  { OutputFile probe(out); }  // a missing or read-only folder is an I/O failure, found first
  std::vector<const char*> metadata;
  for (const auto& [option, value] : a.options) {
    metadata.push_back(option.c_str() + 2);
    metadata.push_back(value.c_str());
  }
  metadata.push_back(nullptr);
  check(ups_convert(in.c_str(), out.c_str(), metadata.data()));
  print_line(stdout, "%s -> %s", in.c_str(), out.c_str());
  return kOk;
}

}  // namespace ups::apps
