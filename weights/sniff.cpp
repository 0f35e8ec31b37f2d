// Magic numbers of weight files, and of the files people mistake for them.
#include "weights/sniff.h"

#include <string_view>

#include "weights/pth.h"

namespace ups {
namespace {

struct Magic {
  size_t offset;
  std::string_view bytes;
  const char* explanation;
};
using namespace std::string_view_literals;
constexpr Magic kKnown[] = {
    {0, "version https://git-lfs"sv,
     "is a Git LFS pointer, not the weights (run 'git lfs pull', or download it)"},
    {257, "ustar"sv,
     "is a tar archive, perhaps a checkpoint of PyTorch before 0.4; save it again with a newer one"},
    {0, "ptrt"sv, "is a TensorRT engine, which is tied to one GPU; expected the weights it was built from"},
    {0, "ftrt"sv, "is a TensorRT engine, which is tied to one GPU; expected the weights it was built from"},
    {0, "\xdd\x85\x76\x00"sv, "is a binary ncnn .param.bin, expected the text .param"},
    {0, "GGUF"sv, "is a GGUF file, which this library does not read"},
    {0, "\x89HDF"sv, "is an HDF5 file (Keras?), which this library does not read"},
    {0, "\x1f\x8b"sv, "is compressed with gzip; unpack it first"},
    {0, "7z\xbc\xaf"sv, "is a 7-Zip archive; unpack it first"},
    {0, "Rar!"sv, "is a RAR archive; unpack it first"},
    {0, "\x89PNG"sv, "is a PNG image, expected weights"},
    {0, "\xff\xd8\xff"sv, "is a JPEG image, expected weights"},
};

bool starts_with(std::string_view text, size_t offset, std::string_view magic) {
  return text.size() >= offset && text.substr(offset, magic.size()) == magic;
}

// ModelProto: field 1 (ir_version) as a small varint, then a field that exporters write next: the producer
// (2), the opset (8) or the graph (7), all length-delimited.
bool is_onnx(std::string_view text) {
  return text.size() > 3 && text[0] == '\x08' && text[1] > 0 && text[1] < 32 &&
         (text[2] == '\x12' || text[2] == '\x3a' || text[2] == '\x42');
}

}  // namespace

Sniffed sniff(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.empty()) return {FileKind::unsupported, "is empty (0 bytes; an interrupted download?)"};
  if (starts_with(text, 0, "PK\x03\x04")) return {FileKind::pth_zip, {}};
  if (is_pth_legacy(file)) return {FileKind::pth_legacy, {}};
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && starts_with(text, first, "7767517")) return {FileKind::ncnn_param, {}};
  for (const Magic& magic : kKnown)
    if (starts_with(text, magic.offset, magic.bytes)) return {FileKind::unsupported, magic.explanation};
  if (text.size() > 8 && text[8] == '{') return {FileKind::safetensors, {}};
  if (is_onnx(text))
    return {FileKind::unsupported,
            "is an ONNX model, which this library does not read; expected the .safetensors or .pth it was "
            "made from"};
  if (first != text.npos && text[first] == '<')
    return {FileKind::unsupported, "is a web page (HTML), not weights; the download link led to a page"};
  if (text[0] == '\x80' && text.size() > 1 && text[1] >= 2 && text[1] <= 5)
    return {FileKind::unsupported,
            "is a bare Python pickle, not a PyTorch checkpoint; expected the output of torch.save"};
  if (first != text.npos && text[first] == '{') return {FileKind::unsupported, "is a JSON text, not weights"};
  return {
      FileKind::unsupported,
      "is not a weight file this library knows; expected .safetensors, .pth, .pt, .ckpt or ncnn .param/.bin"};
}

}  // namespace ups
