// Several networks for one picture: a chain of them, one after the other, and weights mixed from two files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/options.h"
#include "apps/store/store.h"

namespace ups::apps {

// "dejpeg.pth,x4" -> its parts. What is a file or an alias as a whole is one part.
std::vector<std::string> chain_parts(const std::string& model);

// For names of files: the stems of its parts, "dejpeg+x4".
std::string chain_name(const std::string& model);

// The factor of a chain that no size is asked of; opens its files. Throws Failure(kModel).
double chain_scale(const std::string& model);

// Opens options.model. Of a chain the last network is returned; the earlier ones are its before(). --mix and
// --denoise change the weights of the last. Throws Failure(kModel).
std::unique_ptr<Model> open_models(const Options& options);

// The file a network is to be mixed with so that it keeps noise: the twin of realesr-general-x4v3. Throws
// Failure(kModel) for a network that has none, or where it is not to be found.
std::string denoise_twin(const std::string& model);

}  // namespace ups::apps
