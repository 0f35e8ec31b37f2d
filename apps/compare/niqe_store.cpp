// A figure is only worth something if everybody's is made of the same numbers: they are verified at each use.
#include "apps/compare/niqe_store.h"

#include <algorithm>

#include "apps/failure.h"
#include "apps/output_file.h"
#include "apps/store/store.h"

namespace ups::apps {

std::optional<NiqeParameters> stored_niqe_parameters() {
  const StoreData& data = niqe_data();
  if (!is_fetched(data)) return std::nullopt;
  const std::string path = store_path(data);
  char digest[65];
  check(ups_sha256_file(path.c_str(), digest));
  if (std::find(data.file.sha256.begin(), data.file.sha256.end(), digest) == data.file.sha256.end()) {
    fail(kIo, path, ": got SHA-256 ", digest, ", expected ", data.file.sha256.front(),
         " (delete it, then: upscale fetch ", data.alias, ")");
  }
  return read_niqe_parameters(read_file(path, 1 << 20), path);
}

}  // namespace ups::apps
