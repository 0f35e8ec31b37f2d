// The NIQE parameters in the model store.
#pragma once

#include <optional>

#include "apps/compare/niqe.h"

namespace ups::apps {

// What `upscale fetch niqe` got, or nothing. Throws Failure(kIo) where the file is not the one it should be.
std::optional<NiqeParameters> stored_niqe_parameters();

}  // namespace ups::apps
