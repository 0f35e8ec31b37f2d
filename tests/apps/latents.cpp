// `upscale encode`, `decode` and `latent` through the binary, with a tiny autoencoder written for the test.
#include <nlohmann/json.hpp>

#include "tests/apps/process.h"
#include "tests/arch/vae_net.h"
#include "weights/safetensors.h"

using namespace ups::testing;

namespace {

struct Work {
  TemporaryFolder folder;
  std::string taesd = folder / "taesd.safetensors", vae = folder / "checkpoint.safetensors",
              picture = folder / "in.ppm";
  Work() {
    const auto golden = [](const char* name) {
      return ups::open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
    };
    ups::write_safetensors(taesd, *taesd_weights(*golden("taesd"), -1));
    ups::write_safetensors(vae, *vae_weights(*golden("kl_no_attention"), VaeDialect::ldm_checkpoint));
    std::string ppm = "P6\n37 21\n255\n";
    for (int i = 0; i < 37 * 21 * 3; i++) ppm += char(40 + i * 7 % 150);
    spill(picture, ppm);
  }
};

int side(const std::string& ppm, int which) {
  int w = 0, h = 0;
  std::istringstream(ppm.substr(2)) >> w >> h;
  return which ? h : w;
}

}  // namespace

TEST_CASE("a picture is encoded and decoded to its own size", "[apps][latents]") {
  Work w;
  const std::string latent = w.folder / "l.safetensors", out = w.folder / "out.ppm";
  Finished r = run({"encode", w.picture, latent, "--vae", w.vae});
  INFO(r.err);
  REQUIRE(r.code == 0);
  CHECK(r.out.find("37x21 -> ") != std::string::npos);
  CHECK(r.out.find("[1, 4, 6, 10]") != std::string::npos);  // this network halves twice
  CHECK(r.out.find("assumed") == std::string::npos);        // the checkpoint tells
  const auto file = ups::open_weights(latent);
  CHECK(file->at("latent").shape == std::vector<int64_t>{1, 4, 6, 10});
  CHECK(file->metadata.at("width") == "37");
  r = run({"decode", latent, out, "--vae", w.vae, "--max-ram", "64M"});
  REQUIRE(r.code == 0);
  CHECK(side(slurp(out), 0) == 37);
  CHECK(side(slurp(out), 1) == 21);
  // A format of floats gets the floats: not what was rounded to 8 bits.
  const std::string pfm = w.folder / "out.pfm";
  REQUIRE(run({"decode", latent, pfm, "--vae", w.vae}).code == 0);
  const std::string floats = slurp(pfm);
  int fractions = 0;
  for (size_t i = floats.size() - 37 * 21 * 12; i + 4 <= floats.size(); i += 4) {
    float v;
    std::memcpy(&v, floats.data() + i, 4);
    fractions += std::abs(v * 255 - std::round(v * 255)) > 0.01f;
  }
  CHECK(fractions > 37 * 21);
  r = run({"encode", w.picture, latent, "--vae", w.vae, "--faithful", "--sample", "3"});
  REQUIRE(r.code == 0);
  CHECK(r.out.find("[1, 4, 5, 9]") != std::string::npos);
  CHECK(run({"decode", latent, out, "--vae", w.vae}).code == 0);
  CHECK(side(slurp(out), 0) == 36);
}

TEST_CASE("an autoencoder is found in a folder as diffusers saves it", "[apps][latents]") {
  Work w;
  const std::string latent = w.folder / "l.safetensors";
  std::filesystem::create_directories(w.folder / "pipeline/vae");
  CHECK(run({"encode", w.picture, latent, "--vae", w.folder / "pipeline"}).code != 0);
  std::filesystem::copy(w.taesd, w.folder / "pipeline/vae/diffusion_pytorch_model.safetensors");
  CHECK(run({"encode", w.picture, latent, "--taesd", w.folder / "pipeline"}).code == 0);
  CHECK(run({"encode", w.picture, latent, "--taesd", w.folder / "pipeline/vae"}).code == 0);
  const Finished upscaling = run({w.picture, w.folder / "out.png", "-m", w.taesd});
  CHECK(upscaling.code == 3);
  CHECK(upscaling.err.find("--vae or --taesd") != std::string::npos);
}

TEST_CASE("samples are seeded, and latents of ComfyUI are not scaled yet", "[apps][latents]") {
  Work w;
  const auto latent_of = [&](const std::vector<std::string>& more) {
    const std::string path = w.folder / "l.safetensors";
    std::vector<std::string> arguments = {"encode", w.picture, path, "--vae", w.vae, "--scaling", "0.5,0.25"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    REQUIRE(run(arguments).code == 0);
    const auto file = ups::open_weights(path);
    CHECK(file->metadata.at("scaling_factor") == "0.5");
    CHECK(file->metadata.at("shift_factor") == "0.25");
    return file->floats("latent");
  };
  const std::vector<float> mean = latent_of({}), sample = latent_of({"--sample", "3"});
  CHECK(sample != mean);
  CHECK(latent_of({"--sample", "3"}) == sample);
  CHECK(latent_of({"--sample", "4"}) != sample);

  const Finished refused =
      run({"encode", w.picture, w.folder / "t.safetensors", "--taesd", w.taesd, "--sample", "3"});
  CHECK(refused.code == 1);
  CHECK(refused.err.find("not a distribution") != std::string::npos);

  // The same picture out of z itself, as ComfyUI stores it, and out of (z - 0.25) * 0.5. Both are exact here.
  std::vector<float> z(size_t(4) * 2 * 3), scaled(z.size());
  for (size_t i = 0; i < z.size(); i++) z[i] = float(int(i % 7) - 3) / 2, scaled[i] = (z[i] - 0.25f) * 0.5f;
  ups::StateDict comfy, ours;
  comfy.add_owned("latent_tensor", {1, 4, 2, 3}, z), comfy.add_owned("latent_format_version_0", {0}, {});
  ours.add_owned("latent", {1, 4, 2, 3}, scaled);
  // A size that is not within the last latent pixel is not believed.
  ours.metadata["width"] = "3", ours.metadata["height"] = "4";
  const auto picture_of = [&](const ups::StateDict& file) {
    const std::string path = w.folder / "z.safetensors", out = w.folder / "z.ppm";
    ups::write_safetensors(path, file);
    REQUIRE(run({"decode", path, out, "--vae", w.vae, "--scaling", "0.5,0.25"}).code == 0);
    return slurp(out);
  };
  // A file that states its scaling is decoded by it, also by an autoencoder that would have another.
  ours.metadata["scaling_factor"] = "0.5", ours.metadata["shift_factor"] = "0.25";
  ups::write_safetensors(w.folder / "stated.safetensors", ours);
  const auto decoded = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"decode", w.folder / "stated.safetensors", w.folder / "s.ppm", "--vae", w.vae});
    REQUIRE(run(more).code == 0);
    return slurp(w.folder / "s.ppm");
  };
  CHECK(decoded({}) == picture_of(comfy));
  CHECK(decoded({"--scaling", "0.5,0.25"}) == picture_of(comfy));
  CHECK(decoded({"--scaling", "0.9"}) != picture_of(comfy));
  const std::string picture = picture_of(comfy);
  CHECK(side(picture, 0) == 12);
  CHECK(side(picture, 1) == 8);
  CHECK(picture_of(ours) == picture);
}

TEST_CASE("the latent loop enlarges to the exact size and saves its steps", "[apps][latents]") {
  Work w;
  const std::string out = w.folder / "out.ppm";
  Finished r =
      run({"latent", w.picture, out, "--taesd", w.taesd, "--scale", "1.5", "--latent-steps", "2", "--refine",
           "noise", "--denoise", "0.1,0", "--save-steps", w.folder / "step", "--anchor", "1"});
  INFO(r.err);
  REQUIRE(r.code == 0);
  CHECK(r.out.find("encoded 2 and decoded 2 times") != std::string::npos);
  CHECK(side(slurp(out), 0) == 56);
  CHECK(side(slurp(out), 1) == 32);
  CHECK(std::filesystem::exists(w.folder / "step1.png"));
  CHECK(!std::filesystem::exists(w.folder / "step2.png"));
  r = run({"latent", w.picture, out, "--taesd", w.taesd, "--scale", "1.5", "--latent-steps", "2",
           "--faithful", "--step-mode", "geometric"});
  REQUIRE(r.code == 0);
  CHECK(r.out.find("48x24, encoded 3 and decoded 3 times") != std::string::npos);
}

TEST_CASE("mistakes about latents are one sentence and the right code", "[apps][latents]") {
  Work w;
  const std::string latent = w.folder / "l.safetensors", out = w.folder / "out.png";
  const auto fails = [](const std::vector<std::string>& arguments, int code, const char* words) {
    const Finished r = run(arguments);
    INFO(r.err);
    CHECK(r.code == code);
    CHECK(r.one_line_error());
    CHECK(r.err.find(words) != std::string::npos);
  };
  fails({"encode", w.picture, latent}, 1, "--vae FILE");
  fails({"encode", w.picture, latent, "--vae", w.vae, "--taesd", w.taesd}, 1, "both");
  fails({"encode", w.picture, out, "--vae", w.vae}, 1, ".safetensors");
  fails({"encode", w.picture, latent, "--vae", w.picture}, 3, "");
  fails({"encode", w.folder / "none.png", latent, "--vae", w.vae}, 6, "none.png");
  fails({"decode", w.taesd, out, "--vae", w.vae}, 3, "none called latent");
  fails({"decode", w.folder / "none.safetensors", out, "--vae", w.vae}, 6, "none.safetensors");
  fails({"latent", w.picture, out, "--taesd", w.taesd, "--latent-steps", "0"}, 1, "--latent-steps");
  fails({"latent", w.picture, out, "--taesd", w.taesd, "--denoise", "0.5"}, 1, "--refine");
  fails({"latent", w.picture, out, "--taesd", w.taesd, "--scale", "0.5", "--faithful"}, 1, "at least 1");
  fails({"decode", w.taesd, out, "--vae", w.vae, "--max-ram", "many"}, 1, "--max-ram");
  fails({"decode", w.taesd, out, "--vae", w.vae, "--depth", "32f"}, 1, "cannot hold");
  REQUIRE(run({"encode", w.picture, latent, "--vae", w.vae}).code == 0);
  fails({"decode", latent, out, "--vae", w.vae, "--max-ram", "1M"}, 5, "needs at least");
  const std::string whole = slurp(latent);
  for (size_t cut : {size_t(3), size_t(40), whole.size() - 1}) {
    spill(latent, whole.substr(0, cut));
    fails({"decode", latent, out, "--vae", w.vae}, 3, "l.safetensors");
  }
  CHECK(!std::filesystem::exists(out));
}

TEST_CASE("a damaged or hostile latent file is refused in one sentence", "[apps][latents]") {
  Work w;
  const std::string latent = w.folder / "l.safetensors", out = w.folder / "out.png";
  const auto file = [](const std::string& header, const std::string& data) {
    std::string bytes(8, 0);
    const uint64_t n = header.size();
    std::memcpy(bytes.data(), &n, 8);
    return bytes + header + data;
  };
  const auto floats = [](std::vector<float> v) {
    return std::string(reinterpret_cast<const char*>(v.data()), v.size() * 4);
  };
  const auto tensor = [](const char* dtype, const char* shape, int64_t bytes) {
    return std::string("{\"latent\":{\"dtype\":\"") + dtype + "\",\"shape\":" + shape +
           ",\"data_offsets\":[0," + std::to_string(bytes) + "]}}";
  };
  const auto refused = [&](const std::string& bytes, int code, const char* words) {
    spill(latent, bytes);
    const Finished r = run({"decode", latent, out, "--taesd", w.taesd});
    INFO(words << ": " << r.err);
    CHECK(r.code == code);
    CHECK(r.one_line_error());
    CHECK(r.err.find(words) != std::string::npos);
    CHECK(!std::filesystem::exists(out));
  };
  const float inf = std::numeric_limits<float>::infinity();
  refused(file(tensor("F32", "[1,4,1,1]", 16), floats({0, std::nanf(""), 0, 0})), 3, "infinity or NaN");
  refused(file(tensor("F32", "[1,4,1,1]", 16), floats({0, 0, 0, -inf})), 3, "infinity or NaN");
  refused(file(tensor("F32", "[1,3,1,1]", 12), floats({0, 0, 0})), 1, "3 channels");
  refused(file(tensor("F32", "[2,4,1,1]", 32), floats(std::vector<float>(8))), 3, "4 dimensions");
  refused(file(tensor("F32", "[4,1]", 16), floats(std::vector<float>(4))), 3, "2 dimensions");
  refused(file(tensor("F32", "[1,4,0,8]", 0), ""), 3, "l.safetensors");
  refused(file(tensor("I32", "[1,4,1,1]", 16), floats(std::vector<float>(4))), 3, "floating");
  // Sizes that the file does not hold, that wrap around, and that no picture has.
  refused(file(tensor("F32", "[1,4,65536,65536]", 16), floats(std::vector<float>(4))), 3, "l.safetensors");
  refused(file(tensor("F32", "[1,4,4294967296,4294967296]", 0), ""), 3, "l.safetensors");
  refused(file(tensor("F32", "[1,4,-1,-1]", 16), floats(std::vector<float>(4))), 3, "l.safetensors");
  refused(file(tensor("F16", "[1,1,1,100000]", 200000), std::string(200000, 0)), 3, "expected [1, channels");
  refused(file("{}", ""), 3, "no tensors");
  refused("", 3, "l.safetensors");
  refused(std::string(8, '\xff'), 3, "l.safetensors");
  // The size of the picture is only believed within the last latent pixel.
  const std::string huge =
      R"({"__metadata__":{"width":"9999999","height":"-5"},)" + tensor("F32", "[1,4,2,3]", 96).substr(1);
  spill(latent, file(huge, floats(std::vector<float>(24, 0.5f))));
  const Finished r = run({"decode", latent, out, "--taesd", w.taesd});
  CHECK(r.code == 0);
  CHECK(r.out.find("24x16") != std::string::npos);
}
