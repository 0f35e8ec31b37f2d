// The commands by name; command_list.cpp has them in order.
#pragma once

#include "apps/commands.h"

namespace ups::apps {

const SmallSyntax& info_syntax();
int info_command(const std::vector<std::string>& arguments);
const SmallSyntax& convert_syntax();
int convert_command(const std::vector<std::string>& arguments);
const SmallSyntax& encode_syntax();
int encode_command(const std::vector<std::string>& arguments);
const SmallSyntax& decode_syntax();
int decode_command(const std::vector<std::string>& arguments);
const SmallSyntax& latent_syntax();
int latent_command(const std::vector<std::string>& arguments);
const SmallSyntax& models_syntax();
int models_command(const std::vector<std::string>& arguments);
const SmallSyntax& fetch_syntax();
int fetch_command(const std::vector<std::string>& arguments);
const SmallSyntax& compare_syntax();
int compare_command(const std::vector<std::string>& arguments);
const SmallSyntax& formats_syntax();
int formats_command(const std::vector<std::string>& arguments);
const SmallSyntax& help_syntax();
int help_command(const std::vector<std::string>& arguments);
const SmallSyntax& completions_syntax();
int completions_command(const std::vector<std::string>& arguments);

}  // namespace ups::apps
