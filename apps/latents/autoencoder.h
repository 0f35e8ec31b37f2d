// What `encode`, `decode` and `latent` have in common: the autoencoder's file, its options, closing it.
#pragma once

#include <string>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/commands.h"
#include "apps/progress.h"
#include "upscale.h"

namespace ups::apps {

// --vae, --taesd, --scaling, --max-ram, -j ..., and then each command's own.
std::vector<SmallOption> with_autoencoder_options(const std::vector<SmallOption>& own);

// Closes itself. Throws Failure.
class Autoencoder {
 public:
  explicit Autoencoder(const SmallArguments& arguments);
  ~Autoencoder() {
    end_progress();
    ups_vae_close(vae_);
  }
  Autoencoder(const Autoencoder&) = delete;
  Autoencoder& operator=(const Autoencoder&) = delete;
  ups_vae* get() const { return vae_; }
  // Threads, memory, progress and cancelling filled in; the command sets the rest.
  const ups_vae_options& options() const { return options_; }
  // A bar on a terminal, from now until end_progress().
  void begin_progress(const std::string& name) { progress_.begin(name, 1, 1, 0); }
  int update_progress(double done);  // what a progress callback returns
  void end_progress() { progress_.end(); }
  // " (assumed)" when neither the file nor the user said what latents are multiplied by.
  std::string scaling_text() const;

 private:
  ups_vae* vae_ = nullptr;
  ups_vae_options options_{};
  Progress progress_{ProgressMode::automatic, false};
};

class OwnedLatent {
 public:
  OwnedLatent() = default;
  ~OwnedLatent() { ups_latent_free(latent); }
  OwnedLatent(const OwnedLatent&) = delete;
  OwnedLatent& operator=(const OwnedLatent&) = delete;
  ups_latent* latent = nullptr;
};

// --depth, and what it says for a picture at `path`. Throws Failure(kUsage) for what cannot be written there.
SmallOption depth_option();
ups_depth result_depth(const SmallArguments& arguments, const std::string& path, ups_depth otherwise);

// Writes pixels as `path` says. Throws Failure.
void write_picture(const std::string& path, Image image);

}  // namespace ups::apps
