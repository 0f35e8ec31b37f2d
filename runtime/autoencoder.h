// Autoencoder: pictures to latents and back, over the whole picture at once, in strips that fit the memory.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "runtime/autoencoder_networks.h"
#include "runtime/image.h"
#include "runtime/latent.h"
#include "runtime/session.h"

namespace ups {

// Pictures whose sides the factor does not divide.
enum class Fit : uint8_t {
  pad,  // continued by reflection at the right and below
  crop  // cut to the next smaller multiple around the centre, as ComfyUI does
};

class Autoencoder {
 public:
  using OpenNetworks = std::function<AutoencoderNetworks()>;
  using MakeBackend = std::function<std::unique_ptr<Backend>()>;
  // Files are opened at once, to see what they are, and again by the first use of each half, which loads its
  // weights: in between they are closed, and take no memory.
  Autoencoder(OpenNetworks open, MakeBackend make_backend, Pool& pool);

  const AutoencoderNetworks& networks() const { return networks_; }
  void set_scaling(double scaling, double shift);
  // Most bytes for weights, intermediates and scratch; 0: as many as it takes, or on a GPU as it has. What
  // exceeds it in strips of any size lives in a temporary file, or on the host. Pictures and latents are not
  // counted.
  void set_budget(int64_t bytes);

  // The part of a picture that encode() sees and the size of its latent.
  Extent fitted(Extent picture, Fit fit) const;
  Extent latent_extent(Extent picture, Fit fit) const;

  // The mean, or with a seed a sample. RGB of u8, u16 or f32 pixels; gray is repeated, alpha not looked at.
  Latent encode(const Image& picture, Fit fit, std::optional<uint64_t> seed, const Progress& progress);
  // rgb: f32 [h * factor, w * factor, 3], nominally 0..1, not clamped.
  void decode(const Latent& latent, float* rgb, const Progress& progress);

  // How often each has run.
  int encodes() const { return encodes_; }
  int decodes() const { return decodes_; }
  // Of the last run: weights, and what its plan keeps in memory, scratch included; whether a file (on a GPU:
  // the host) is used.
  int64_t working_bytes() const { return working_bytes_; }
  bool spilled() const { return spilled_; }

 private:
  // A half of the file, opened again. Error{Code::model} if that is another file by now.
  Network opened(std::optional<Network> AutoencoderNetworks::*half) const;
  Session& encoder();
  Session& decoder();
  // Chooses strips for the budget and binds the plan.
  const Plan& prepare(Session& session, Extent lr);
  const Plan& prepare_on_device(Session& session, Extent lr);

  OpenNetworks open_;
  AutoencoderNetworks networks_;  // without weights
  MakeBackend make_backend_;
  Pool& pool_;
  int64_t budget_ = 0, working_bytes_ = 0;
  bool spilled_ = false;
  int encodes_ = 0, decodes_ = 0;
  std::optional<Session> encoder_, decoder_;
};

// The most bytes of the arena that any one step of a plan touches.
int64_t touched_bytes(const Plan& plan);

}  // namespace ups
