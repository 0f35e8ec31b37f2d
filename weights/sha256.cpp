// SHA-256 of bytes and files, by Mbed TLS. The function is called mbedtls_sha256_ret before version 3.
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#include <array>

#include "kernels/error.h"
#include "weights/mapped_file.h"
#include "weights/open.h"

namespace ups {

std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, 32> digest{};
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
  const int status = mbedtls_sha256(data, bytes.size(), digest.data(), 0);
#else
  const int status = mbedtls_sha256_ret(data, bytes.size(), digest.data(), 0);
#endif
  check(status == 0, Code::device, "sha256: the digest failed with status ", status);
  std::string text;
  for (unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string sha256_file(const std::string& path) { return sha256_hex(MappedFile::open(path)->bytes()); }

}  // namespace ups
