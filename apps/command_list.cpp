// Every command of the tool beside the main use. The first word of the command line chooses.
#include "apps/command_list.h"

namespace ups::apps {

const std::vector<Command>& commands() {
  static const std::vector<Command> list = {
      {info_syntax, info_command},
      {convert_syntax, convert_command},
      {models_syntax, models_command},
      {fetch_syntax, fetch_command},
      {encode_syntax, encode_command},
      {decode_syntax, decode_command},
      {latent_syntax, latent_command},
      {compare_syntax, compare_command},
      {formats_syntax, formats_command},
      {help_syntax, help_command},
      {completions_syntax, completions_command},
  };
  return list;
}

const char* const kExitCodes =
    "Exit codes: 0 done, 1 usage, 2 some of several inputs failed, 3 model, 4 device, 5 memory, 6 file, "
    "130 cancelled.";

}  // namespace ups::apps
