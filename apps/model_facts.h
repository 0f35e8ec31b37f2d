// What an open model says about itself, in words.
#pragma once

#include <string>

#include "apps/store/store.h"

namespace ups::apps {

std::string name_of(const Model& model);
// With the networks before it: "dejpeg, then RealESRGAN_x4plus".
std::string names_of(const Model& model);

// The factor it enlarges by unless told otherwise: the alias's, else the network's own.
double default_scale(const Model& model);

}  // namespace ups::apps
