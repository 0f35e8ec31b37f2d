// Arrays of doubles out of NumPy's .npz: a zip archive of .npy files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ups::apps {

// The array `name`, which must have this shape, row after row. `file` goes into messages. Throws
// Failure(kIo) for anything else: a damaged archive, another type or shape, a member of another length.
std::vector<double> npz_array(std::string_view archive, const std::string& name, int64_t rows,
                              int64_t columns, const std::string& file);

}  // namespace ups::apps
