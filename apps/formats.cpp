// `upscale formats`: what this build reads and writes.
#include <cstdio>

#include "apps/codecs/image_io.h"
#include "apps/command_list.h"
#include "apps/failure.h"

namespace ups::apps {

const SmallSyntax& formats_syntax() {
  static const SmallSyntax syntax = {"formats", "", "what this build reads and writes", {}, 0, 0};
  return syntax;
}

int formats_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(formats_syntax(), arguments, a)) return kOk;
  printf("%-11s %-11s %-10s %-6s %-13s %s\n", "format", "extension", "", "alpha", "depths", "largest side");
  for (const Format f : all_formats()) {
    std::string depths;
    if (can_write(f)) {
      if (stored_depth(f, UPS_U8) == UPS_U8) depths += "8 ";
      if (stored_depth(f, UPS_U16) == UPS_U16) depths += std::to_string(stored_bits(f, UPS_U16)) + " ";
      if (stored_depth(f, UPS_F32) == UPS_F32) depths += "32f";
    }
    printf("%-11s %-11s %-10s %-6s %-13s", format_name(f), format_extension(f).c_str(),
           !is_built(f)   ? "not built"
           : can_write(f) ? "read,write"
                          : "read",
           can_write(f) && has_alpha(f) ? "yes" : "", depths.c_str());
    if (can_write(f) && most_side(f) < 1 << 30) printf(" %d", most_side(f));
    printf("\n");
  }
  return kOk;
}

}  // namespace ups::apps
