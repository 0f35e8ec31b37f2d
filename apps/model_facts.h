// What an open model says about itself.
#pragma once

#include <string>

#include "apps/codecs/image_io.h"
#include "apps/options.h"
#include "apps/store/store.h"

namespace ups::apps {

std::string name_of(const Model& model);
// With the networks before it: "dejpeg, then RealESRGAN_x4plus".
std::string names_of(const Model& model);
// "name (architecture variant, 4x)"
std::string model_text(const Model& model);

// The factor it enlarges by unless told otherwise: the alias's, else the network's own.
double default_scale(const Model& model);
// The factor of the network itself.
int network_scale(const Model& model);
// Floating point operations for each pixel of its input.
double flop_per_pixel(const Model& model);
// Whether the network averages over all pixels it sees: tiles then differ from the whole picture.
bool takes_statistics(const Model& model);

bool on_cpu(const Model& model);
// Why a GPU was wanted and not taken, as a sentence; empty otherwise.
std::string device_note(const Model& model);

// What the result's metadata says about its making.
Provenance provenance(const Model& model, const Options& options, Format format, const Image& lr,
                      const Image& hr);

}  // namespace ups::apps
