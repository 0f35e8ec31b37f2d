// The text of `upscale --help`. Every option named here is tested to be accepted.
#include "apps/options.h"

namespace ups::apps {

const char* help_text() {
  return R"(upscale - super-resolution for images

Usage:
  upscale IN OUT [options]             one image
  upscale IN... FOLDER [options]       several images or a folder of images into a folder
  upscale info FILE|ALIAS [--json]     what a weight file is
  upscale convert IN OUT.safetensors   .pth or ncnn weights to safetensors
  upscale models                       known models and whether they are here
  upscale fetch ALIAS|all              download, verify and convert a known model

Files:
  -i, --input PATH        input file or folder, may be repeated
  -o, --output PATH       output file or folder; an existing file is replaced
  -f, --format EXT        png, jpg, webp, tif, bmp, tga, ppm, pgm or pfm; default: OUT's extension, png in a
                          folder. All of these and GIF are read; WebP and TIFF if the build has them
      --quality N         1..100 of JPEG (95) and WebP (90); where a format has no alpha it is laid over white
      --lossless          WebP without loss
      --depth D           8, 16 (PNG, TIFF, PPM) or 32f (TIFF, PFM); default: the input's where it fits
      --png-level N       0 (stored) .. 12 (smallest), default 1
  -R, --recursive         folders with their sub-folders, mirrored in the output folder
      --suffix S          added to the names in an output folder
      --name PATTERN      their names from {stem}, {ext}, {model}, {scale} and {index}, e.g. "{stem}_{model}"
      --meta WHAT         profile, EXIF, XMP and text: keep (default), strip or icc-only
      --dpi N             resolution to note in the file; default: as the source says
      --skip-existing     leave outputs that exist alone
      --overwrite         replace outputs that exist (the default)

Model and size:
  -m, --model M           weight file or alias (fast); see `upscale models`
  -s, --scale F           total factor, fractions allowed; default: the model's own
      --width N, --height N   an exact size; one side alone keeps the aspect
      --size WxH          both sides, met as --fit says
      --fit MODE          inside (default): the largest that fits; outside: the smallest that covers; fill: stretched;
                          cover: cropped to WxH; contain: padded to WxH
      --gravity WHERE     what cover keeps and where contain puts the picture: center, north, north-east ...
      --background C      of padding and below lost transparency: #rrggbb, black, white, gray, red, green, blue
      --long-side N, --short-side N, --megapixels F   sizes for pictures of any orientation
      --max-side N        a limit on the longer side
      --multiple-of N     round both sides to a multiple; the picture is stretched by less than N pixels
      --steps N           reach it in N network steps, 1..64 (1)
      --step-mode MODE    simple, geometric or native; default native for one step, else geometric
      --save-steps PREFIX write PREFIX1.png, PREFIX2.png ... after each step but the last
      --filter F          resampling to the exact size: lanczos3, bicubic, mitchell, bilinear, box, nearest

Resources:
  -t, --tile N            tile side in input pixels; auto or 0: from the memory budget; none: one piece
      --overlap N         overlap of neighbouring tiles in input pixels
      --max-ram SIZE      memory to stay within, e.g. 500M or 2G
  -j, --threads N         CPU threads; the form LOAD:PROC:SAVE is read as PROC
  -g, --gpu WHERE         auto (the first GPU, else the CPU), cpu or -1, an index or part of a device's name
      --precision P       auto, fp32, fp16 or bf16 activations on a GPU; the CPU always computes in fp32
      --list-devices      print what -g can name

Messages:
      --dry-run           print sizes, tiles, memory and a time estimate, compute nothing
      --progress MODE     auto (a bar on a terminal), none, json (lines on stderr)
  -v, --verbose           say more
  -q, --quiet             errors only
  -h, --help              this text
  -V, --version           version

Exit codes: 0 done, 1 usage, 2 some of several inputs failed, 3 model, 4 device, 5 memory, 6 file, 130 cancelled.
)";
}

}  // namespace ups::apps
