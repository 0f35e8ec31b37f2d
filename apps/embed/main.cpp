// Build tool: converts the weight file that the binary will carry. embed_model IN OUT NAME LICENSE ORIGIN
#include <cstdio>

#include "upscale.h"

int main(int argc, char** argv) {
  if (argc != 6) return fputs("usage: embed_model IN OUT.safetensors NAME LICENSE ORIGIN\n", stderr), 1;
  ups_status status = ups_convert(argv[1], argv[2], argv[3], argv[4], argv[5]);
  if (status != UPS_OK) fprintf(stderr, "embed_model: %s\n", ups_last_error());
  return status;
}
