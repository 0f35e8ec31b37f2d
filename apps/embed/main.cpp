// Build tool: converts the weight file that the binary will carry. embed_model IN OUT NAME LICENSE ORIGIN
#include <cstdio>

#include "upscale.h"

int main(int argc, char** argv) {
  if (argc != 6) return fputs("usage: embed_model IN OUT.safetensors NAME LICENSE ORIGIN\n", stderr), 1;
  const char* metadata[] = {"name", argv[3], "license", argv[4], "origin", argv[5], nullptr};
  ups_status status = ups_convert(argv[1], argv[2], metadata);
  if (status != UPS_OK) fprintf(stderr, "embed_model: %s\n", ups_last_error());
  return status;
}
