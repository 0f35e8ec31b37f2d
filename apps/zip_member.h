// Members of zip archives: of Python wheels and of NumPy's .npz.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ups::apps {

// All of a member. `archive` is the archive's bytes, `file` its name for messages. Throws Failure(kIo) for
// what is no archive, and if the member is missing, damaged or larger than max_bytes.
std::string zip_member(std::string_view archive, const std::string& member, int64_t max_bytes,
                       const std::string& file);

}  // namespace ups::apps
