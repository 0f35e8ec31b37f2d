/* include/upscale.h is C99, and libupscale.a serves a program written in C. */
#include <stdio.h>
#include <string.h>

#include "upscale.h"

static int failures = 0;

static void expect(int condition, const char* sentence) {
  if (condition) return;
  printf("FAILED: %s\n", sentence);
  failures++;
}

int main(void) {
  const char* missing = "no-such-folder/no-such-model.safetensors";
  unsigned char gray[2 * 2] = {10, 20, 30, 40}, enlarged[4 * 4] = {0};
  ups_image in = {0}, out = {0};
  ups_model* model = NULL;
  ups_options options = {0};

  printf("upscale %s\n", ups_version());
  expect(strcmp(ups_version(), UPS_VERSION) == 0, "the library is as old as the header");

  expect(ups_last_error() != NULL, "there is always a last error");
  expect(ups_model_open(missing, NULL, &model) == UPS_ERROR_IO, "a missing file is an input/output error");
  expect(model == NULL, "a model that did not open is NULL");
  expect(strstr(ups_last_error(), missing) != NULL, "the sentence names the file");
  printf("%s\n", ups_last_error());
  ups_model_close(NULL);

  options.size = sizeof options;
  options.threads = 1;
  expect(ups_model_open(NULL, &options, &model) == UPS_ERROR_USAGE, "no path is a usage error");

  in.data = gray, in.width = 2, in.height = 2, in.channels = 1, in.depth = UPS_U8, in.stride_bytes = 2;
  out.data = enlarged, out.width = 4, out.height = 4, out.channels = 1, out.depth = UPS_U8,
  out.stride_bytes = 4;
  expect(ups_resize(&in, &out, UPS_FILTER_NEAREST) == UPS_OK, "resampling works");
  expect(enlarged[0] == 10 && enlarged[1] == 10 && enlarged[15] == 40, "nearest copies pixels");

  printf("%d failures\n", failures);
  return failures != 0;
}
