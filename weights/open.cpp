// open_weights: maps a file, finds out what it is, and hands it to its reader.
#include "weights/open.h"

#include <filesystem>

#include "kernels/error.h"
#include "weights/mapped_file.h"
#include "weights/ncnn.h"
#include "weights/pth.h"
#include "weights/safetensors.h"
#include "weights/sniff.h"
#include "weights/unwrap.h"

namespace ups {
namespace {

using Mapping = std::shared_ptr<const MappedFile>;

std::string sibling(const std::string& path, const char* extension) {
  return std::filesystem::path(path).replace_extension(extension).string();
}

bool is_file(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

// ncnn's .bin has no magic number of its own: it is known by the .param beside it.
bool is_ncnn_bin(const std::string& path) {
  if (std::filesystem::path(path).extension() != ".bin") return false;
  const std::string param = sibling(path, ".param");
  return is_file(param) && sniff(MappedFile::open(param)->bytes()).kind == FileKind::ncnn_param;
}

StateDict read_ncnn_pair(const Mapping& param, const Mapping& bin, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(param->bytes().data()), param->bytes().size());
  StateDict weights = read_ncnn(text, bin->bytes(), path);
  weights.keep(bin);
  return weights;
}

StateDict read_any(const std::string& path, const PartOf& part) {
  const Mapping file = MappedFile::open(path);
  const auto bytes = file->bytes();
  const Sniffed sniffed = sniff(bytes);
  // Any bytes may start an ncnn .bin, so its .param is believed before all but PyTorch's long magic numbers.
  if (!bytes.empty() && sniffed.kind != FileKind::pth_zip && sniffed.kind != FileKind::pth_legacy &&
      is_ncnn_bin(path))
    return read_ncnn_pair(MappedFile::open(sibling(path, ".param")), file, path);
  StateDict weights;
  switch (sniffed.kind) {
    case FileKind::safetensors:
      weights = strip_prefixes(read_safetensors(bytes, path));
      break;
    case FileKind::pth_zip:
      return read_pth_zip(bytes, path, part);
    case FileKind::pth_legacy:
      weights = read_pth_legacy(bytes, path);
      break;
    case FileKind::ncnn_param: {
      const std::string bin = sibling(path, ".bin");
      check(is_file(bin), Code::io, path, ": is half of an ncnn model; the other half, '", bin,
            "', is missing");
      return read_ncnn_pair(file, MappedFile::open(bin), path);
    }
    case FileKind::unsupported:
      // A damaged safetensors file gets its reader's message.
      if (!bytes.empty() && std::filesystem::path(path).extension() == ".safetensors" &&
          sniffed.explanation.find("not a weight file") != std::string::npos)
        read_safetensors(bytes, path);
      check(std::filesystem::path(path).extension() != ".bin" || bytes.empty(), Code::model, path, ": ",
            sniffed.explanation, " (an ncnn .bin needs its .param beside it)");
      fail(Code::model, path, ": ", sniffed.explanation);
  }
  weights.keep(file);
  return weights;
}

std::shared_ptr<const StateDict> share(StateDict weights, const std::string& name) {
  check(!weights.entries().empty(), Code::model, name, ": holds no tensors");
  return std::make_shared<const StateDict>(std::move(weights));
}

}  // namespace

std::shared_ptr<const StateDict> open_weights(const std::string& path, const PartOf& part) {
  return share(read_any(path, part), path);
}

std::shared_ptr<const StateDict> open_weights(std::span<const std::byte> safetensors,
                                              const std::string& name) {
  return share(strip_prefixes(read_safetensors(safetensors, name)), name);
}

}  // namespace ups
