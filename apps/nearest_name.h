// The name that was probably meant: for misspelt options, commands and models.
#pragma once

#include <string>
#include <vector>

namespace ups::apps {

// The one of `known` that few slips of the keyboard turn into `given`; "" where none is near.
std::string nearest_name(const std::string& given, const std::vector<std::string>& known);

}  // namespace ups::apps
