/* upscale: super-resolution in one library. Pixels in, pixels out.
 *
 *   ups_model* model;
 *   if (ups_model_open("x4plus.safetensors", NULL, &model)) puts(ups_last_error());
 *   ups_image lr = {pixels, 640, 480, 3, UPS_U8, 640 * 3};
 *   ups_image hr = {malloc(2560 * 1920 * 3), 2560, 1920, 3, UPS_U8, 2560 * 3};
 *   ups_upscale(model, &lr, &hr, NULL);
 *   ups_model_close(model);
 *
 * The library never prints, exits, aborts or touches an image file. Models are independent of each other;
 * one thread at a time may use a model. There are no globals but the per-thread error sentence and what wakes
 * devices.
 * C99; link with libupscale.a. */
#ifndef UPSCALE_H
#define UPSCALE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UPS_VERSION "0.1.0"

/* The command line tool exits with the same numbers (and 2 when some of several inputs failed). */
typedef enum {
  UPS_OK = 0,
  UPS_ERROR_USAGE = 1,      /* an argument out of its documented range */
  UPS_ERROR_MODEL = 3,      /* weight file damaged, hostile or of an unsupported architecture */
  UPS_ERROR_DEVICE = 4,     /* compute device missing or failed */
  UPS_ERROR_MEMORY = 5,     /* allocation failed or the stated limit would be exceeded */
  UPS_ERROR_IO = 6,         /* a file could not be read or written */
  UPS_ERROR_CANCELLED = 130 /* a callback asked to stop */
} ups_status;

/* One sentence about the last failure on this thread: who, got, expected, hint. Never NULL. */
const char* ups_last_error(void);
const char* ups_version(void);

typedef enum { UPS_U8 = 0, UPS_U16 = 1, UPS_F32 = 2 } ups_depth;

/* Interleaved pixels, 1..4 channels: gray, gray+alpha, RGB, RGBA. u16 is native-endian. f32 is nominally
 * 0..1. Alpha is straight (not premultiplied). stride_bytes: from one row to the next. */
typedef struct {
  void* data;
  int width, height, channels;
  ups_depth depth;
  ptrdiff_t stride_bytes;
} ups_image;

typedef enum {
  UPS_STEPS_NATIVE = 0,    /* as few network passes as reach the size, at most 3, then one resample */
  UPS_STEPS_SIMPLE = 1,    /* step k of N reaches 1 + k (f - 1) / N */
  UPS_STEPS_GEOMETRIC = 2, /* step k of N reaches f^(k / N) */
  UPS_STEPS_LOOPBACK = 3,  /* sizes along ups_loop's curve, or by the brightness of the picture */
  UPS_STEPS_ONCE = 4       /* one network pass, then one resample, which may enlarge */
} ups_step_mode;

typedef enum {
  UPS_FILTER_LANCZOS3 = 0,
  UPS_FILTER_BICUBIC = 1, /* a = -0.5, as Pillow */
  UPS_FILTER_MITCHELL = 2,
  UPS_FILTER_BILINEAR = 3,
  UPS_FILTER_BOX = 4,
  UPS_FILTER_NEAREST = 5,
  UPS_FILTER_AREA = 6,     /* mean of the covered area: OpenCV's INTER_AREA when shrinking */
  UPS_FILTER_LANCZOS4 = 7, /* OpenCV's INTER_LANCZOS4: 8 taps, aliases when shrinking */
  UPS_FILTER_CUBIC = 8     /* OpenCV's INTER_CUBIC, a = -0.75; aliases when shrinking */
} ups_filter;

/* In fp16 and bf16, a tile that comes out with a NaN or infinity, or all zero though its input is not, is
 * computed again in the next safer precision (fp16, bf16, then stored as fp32 and multiplied as tf32). */
typedef enum {
  UPS_PRECISION_AUTO = 0, /* fp16, or bf16 where a weight is beyond fp16 */
  UPS_PRECISION_FP32 = 1,
  UPS_PRECISION_FP16 = 2,
  UPS_PRECISION_BF16 = 3,
  UPS_PRECISION_TF32 = 4,     /* stored as fp32, multiplied with 10 bits of fraction on tensor cores */
  UPS_PRECISION_FP16_SUMS = 5 /* fp16, every 48 products summed in fp16: for GeForce, where that is faster */
} ups_precision;

/* What the numbers of an image are. */
typedef enum {
  UPS_KIND_COLOR = 0,  /* colours, and alpha in images of 2 and 4 channels */
  UPS_KIND_DATA = 1,   /* measurements, one per channel: the last one is no alpha */
  UPS_KIND_NORMAL = 2, /* directions v = 2 c - 1 in three channels, made unit vectors again; a 4th is data */
  UPS_KIND_MASK = 3    /* values of which no new one may arise: two gray values part where the network puts
                          the edge; anything else is repeated (nearest pixel) without the network */
} ups_kind;

/* Alpha that is the same everywhere is copied, whatever the mode. Otherwise pixels of alpha 0, whose colours
 * nobody has seen, take those around them before network and filters look at them. */
typedef enum {
  UPS_ALPHA_AUTO = 0,   /* as MODEL; with a network of scale 1 as FILTER */
  UPS_ALPHA_MODEL = 1,  /* computed by the network, as a gray image or its own 4th channel */
  UPS_ALPHA_FILTER = 2, /* resampled by `filter` */
  UPS_ALPHA_DROP = 3    /* left out: hr has one channel less than lr */
} ups_alpha;

typedef enum {
  UPS_BLEND_SMOOTH = 0, /* overlap thrown away outside, faded smoothly in its middle */
  UPS_BLEND_LINEAR = 1, /* as AUTOMATIC1111: each tile fades in over its first overlap_px (default 8) */
  UPS_BLEND_HARD = 2    /* as RealESRGANer: cut every tile_px, overlap_px / 2 (default 10) of context */
} ups_tile_blend;

enum { UPS_WRAP_X = 1, UPS_WRAP_Y = 2 }; /* the image goes on from its other side: seamless textures */

typedef enum {
  UPS_EASE_LINEAR = 0,
  UPS_EASE_IN_SINE = 1,
  UPS_EASE_OUT_SINE = 2,
  UPS_EASE_IN_OUT_SINE = 3,
  UPS_EASE_IN_CUBIC = 4,
  UPS_EASE_OUT_CUBIC = 5,
  UPS_EASE_IN_OUT_CUBIC = 6,
  UPS_EASE_IN_QUINT = 7, /* p^4, as the loopback scaler has it */
  UPS_EASE_OUT_QUINT = 8,
  UPS_EASE_IN_OUT_QUINT = 9,
  UPS_EASE_IN_CIRC = 10,
  UPS_EASE_OUT_CIRC = 11,
  UPS_EASE_IN_OUT_CIRC = 12
} ups_ease;

typedef enum {
  UPS_COLOUR_FIX_NONE = 0,
  UPS_COLOUR_FIX_LOWFREQ = 1, /* low frequencies of the input, high ones of the result */
  UPS_COLOUR_FIX_MEAN = 2,
  UPS_COLOUR_FIX_HISTOGRAM = 3
} ups_colour_fix;

/* What a run of several steps may do beside network passes; see docs/loops.md. All zero: nothing. */
typedef struct {
  size_t size;               /* sizeof(ups_loop) */
  int faithful;              /* sizes and passes exactly as the system a mode comes from; no alpha then */
  ups_ease ease;             /* of loopback */
  double adaptive;           /* of loopback: factor of the older brightness rule, 0..10; 0: by the curve */
  const ups_filter* filters; /* resampling after step 1, 2, ...; the last for all others */
  int filter_count;          /* 0: ups_options.filter */
  ups_colour_fix colour_fix; /* towards the input's colours, after every step */
  /* Pillow's enhancers and filters on the result at 8 bits, in this order. Factors: 0 and 1 change nothing,
   * below 0 is 0. */
  float sharpness, brightness, color, contrast;
  int detail, smooth, blur; /* how often, 0..100 */
  int contour;
  /* Of a model opened with mix_path, its twin that keeps noise: the strength 1 - mix is multiplied by this
   * after every step, within 0.1..1. 0 and 1: it stays. Other models refuse it. */
  double denoise_change;
} ups_loop;

/* All zero (or NULL where a pointer to it is taken) means the defaults. Set `size` to sizeof(ups_options):
 * fields added later are read as zero from a caller compiled before them. */
typedef struct {
  size_t size;
  int threads;             /* 0: all cores */
  double scale;            /* total factor; 0: the model's own. Output is round(w*scale) x round(h*scale), but
                            for ups_loop.faithful */
  int steps;               /* network steps to reach it; 0: 1, as NATIVE and ONCE must have */
  ups_step_mode step_mode; /* how the steps are spaced */
  ups_filter filter;       /* resampler between steps and to the exact size */
  int tile_px;             /* LR tile side; 0: chosen from the memory budget; -1: never tile */
  int overlap_px;          /* LR overlap of neighbouring tiles; 0: default, -1: none */
  int64_t max_memory_bytes; /* budget for weights and tiles; 0: 264 MiB, on a GPU 70 % of its memory */
  /* Called often with 0..1 from the calling thread; non-zero return cancels. */
  int (*progress)(void* user, double done);
  /* After each step but the last (step = 1..steps-1), with an f32 image valid during the call. Non-zero
   * cancels. */
  int (*step_done)(void* user, int step, int steps, const ups_image* image);
  /* If set, ups_upscale delivers output rows [y, y + rows) here in order, top to bottom, instead of storing
   * them: hr->data is ignored. `data` has hr's format with packed rows. Non-zero cancels. */
  int (*rows)(void* user, int y, int rows, const void* data);
  void* user;
  const char* device; /* NULL or "auto": the first GPU, else the CPU; "cpu"; an index; a name, or a part of
                       one that no other kind of GPU has */
  ups_precision precision; /* of activations on a GPU; the CPU always computes in fp32 */
  int width, height;       /* the exact output size, both or neither; replaces scale */
  ups_kind kind;
  ups_alpha alpha; /* for UPS_KIND_COLOR */
  int wrap;        /* UPS_WRAP_X, UPS_WRAP_Y or both: network, tiles and resampler wrap */
  int tta;         /* 0, 1, 2, 4 or 8: mean over as many mirrored and turned forms; time times tta */
  double blend;    /* 0..1: share of the source, resampled, in the result */
  ups_tile_blend tile_blend; /* how neighbouring tiles are joined */
  const char* mix_path; /* a second weight file of the same shape: weights (1 - mix) * model + mix * it */
  double mix;           /* 0..1 */
  const ups_loop* loop; /* NULL: network passes and resampling only */
} ups_options;

typedef struct ups_model ups_model;

/* Optional: begins to make the device of `device` (as in ups_options) ready on a thread of its own and
 * returns at once. A GPU takes some 0.2 s, which ups_model_open otherwise waits for. What fails is said
 * there. */
void ups_wake_device(const char* device);

/* path: .safetensors, .pth/.pt/.ckpt or ncnn .param/.bin. The architecture is found from tensor names and
 * shapes. Of the options, threads, device, precision, mix_path and mix are used here, and only here. */
ups_status ups_model_open(const char* path, const ups_options* options, ups_model** out);
/* A safetensors file in memory that outlives the model. `name` is used in messages. */
ups_status ups_model_open_memory(const void* data, size_t size, const char* name, const ups_options* options,
                                 ups_model** out);
void ups_model_close(ups_model* model);

/* The compute devices as JSON (valid until the next call on this thread): {"devices": [{"id", "name"}],
 * "note"}, the CPU last; note says why no GPU can be used, or is "". */
ups_status ups_list_devices(const char** json);

/* Facts about an open model as a JSON object (UTF-8, valid until the model is closed). Keys, all present:
 *   architecture, variant, scale (network), default_scale (what scale = 0 gives), in_channels, out_channels,
 *   hyperparameters {name: value}, parameters, flop_per_pixel, bytes_per_pixel, receptive_field_px,
 *   whole_image_statistics (true: some layer averages over all pixels, so that each tile uses its own means),
 *   multiple_of, dtype, name, license, origin, source_sha256 (the last four "" when unknown),
 *   device, device_note (why "auto" did not take a GPU; else ""). */
const char* ups_model_info(const ups_model* model);

/* The size ups_upscale will produce. */
ups_status ups_output_size(const ups_model* model, int width, int height, const ups_options* options,
                           int* out_width, int* out_height);

/* What ups_upscale would do, without doing it, as JSON (valid until the next call on this model):
 *   input [w, h], output [w, h], sizes_at_most (true where sizes follow from the pictures on the way),
 *   steps [{target [w, h], crop [w, h] (if its middle is cut out), passes [{network [w, h] (input of the
 *   pass), tile [w, h], fade_px [x, y], tiles}]}], kernels {kernel: calls in one tile of the first pass},
 *   peak_bytes (all the library allocates, weights included; not lr and hr), flop, estimated_seconds (from a
 *   small timed run), device.
 * lr->data may be NULL; if it is not, alpha and masks are looked at. */
ups_status ups_plan(ups_model* model, const ups_image* lr, const ups_options* options, const char** json);

/* Upscales lr into hr, whose width and height must be those of ups_output_size and whose channels must
 * equal lr's (but see UPS_ALPHA_DROP). The depths may differ. lr and hr must not overlap. */
ups_status ups_upscale(ups_model* model, const ups_image* lr, ups_image* hr, const ups_options* options);

/* Classical resampling, antialiased, any sizes; the resampler ups_upscale uses. With 2 or 4 channels, colours
 * count by their alpha. */
ups_status ups_resize(const ups_image* in, ups_image* out, ups_filter filter);

typedef enum { UPS_SHARPEN_NONE = 0, UPS_SHARPEN_LAB = 1, UPS_SHARPEN_UNSHARP = 2 } ups_sharpen_kind;
typedef enum { UPS_DITHER_NONE = 0, UPS_DITHER_ORDERED = 1, UPS_DITHER_FLOYD_STEINBERG = 2 } ups_dither;

/* What is done to a picture before it is stored, in this order; see docs/pipeline.md. All zero: it is only
 * converted to the depth asked for. */
typedef struct {
  size_t size;                       /* sizeof(ups_finish) */
  int picture_width, picture_height; /* resampled to; 0: as it comes */
  ups_filter filter;
  int width, height; /* of the result; 0: as the picture */
  int x, y; /* of the picture in the result: below 0 it is cut off, above 0 padded (padding comes last) */
  /* LAB, as libvips, on lightness 0..100: d is what a blur of `sigma` (0.01..20 px) takes away. It is added
   * back with slope m1 for |d| < x1 and m2 beyond, at most y2 up and y3 down. libvips' defaults are 0.5, 2,
   * 10, 20, 0, 3. */
  ups_sharpen_kind sharpen;
  double sigma, x1, y2, y3, m1, m2;
  /* UNSHARP: v + amount d on each colour where |d| > threshold (0..1). */
  double amount, threshold;
  /* Factors, 0 and 1 change nothing, below 0 is 0: v brightness, (v - 0.5) contrast + 0.5, luma + (v - luma)
   * saturation. */
  float brightness, contrast, saturation;
  float background[4]; /* of padding: RGB (its luma in gray pictures), alpha */
  ups_dither dither;   /* to 8 or 16 bits */
} ups_finish;

/* Finishes a picture that arrives row by row, in a window of a few rows. */
typedef struct ups_finisher ups_finisher;

/* Only in's size and channels are read. `out` gets the size, channels and depth of the result; set its depth
 * before. Rows of the result go to `rows` as in ups_options, in order. model: whose threads are used, NULL
 * for own ones; it must outlive the finisher. */
ups_status ups_finisher_open(ups_model* model, const ups_image* in, const ups_finish* finish, ups_image* out,
                             int (*rows)(void* user, int y, int rows, const void* data), void* user,
                             ups_finisher** finisher);
/* The next rows, packed f32 of in's width and channels. */
ups_status ups_finisher_push(ups_finisher* finisher, int rows, const float* data);
int64_t ups_finisher_bytes(const ups_finisher* finisher); /* memory it holds */
void ups_finisher_close(ups_finisher* finisher);

/* Pillow's filters on an 8-bit picture, in place, bit for bit; alpha is not changed. */
typedef enum {
  UPS_PICTURE_SHARPNESS = 0, /* a: factor */
  UPS_PICTURE_BRIGHTNESS = 1,
  UPS_PICTURE_COLOR = 2,
  UPS_PICTURE_CONTRAST = 3,
  UPS_PICTURE_SMOOTH = 4,
  UPS_PICTURE_DETAIL = 5,
  UPS_PICTURE_BLUR = 6,
  UPS_PICTURE_CONTOUR = 7,
  UPS_PICTURE_UNSHARP_MASK = 8 /* a: radius 0..100, b: percent, c: threshold 0..255 */
} ups_picture_filter;
ups_status ups_filter_picture(ups_image* picture, ups_picture_filter filter, double a, double b, double c);

/* Converts any readable weight file to safetensors. Architecture, scale and source SHA-256 go to the
 * metadata, and so do the given pairs: key, value, key, value, ..., NULL (or just NULL). Known keys: name,
 * license, origin, and what tensors cannot tell: act ("relu" or "leakyrelu" of a Compact network without
 * slopes), scale ("3" of an old-style ESRGAN x3, whose keys are those of x2). */
ups_status ups_convert(const char* in, const char* out_safetensors, const char* const* metadata);

/* --- Autoencoders: the VAE of Stable Diffusion, SDXL, SD3 and FLUX.1 (AutoencoderKL), and TAESD --- */

/* A latent [channels, height, width], planar, as diffusion models use it: (z - shift) * scaling, with the
 * scaling and shift of the autoencoder it is used with.
 * picture_*: the size of what it was made from, when decoding would give a few pixels more; 0: unknown.
 * file_*: what the file it was read from states as scaling and shift; 0: nothing. For information: `data` has
 * been converted. */
typedef struct {
  int channels, height, width;
  float* data;
  int picture_width, picture_height;
  double file_scaling, file_shift;
} ups_latent;

typedef enum {
  UPS_REFINE_NONE = 0,    /* latents stay as they are */
  UPS_REFINE_NOISE = 1,   /* + denoise * normal noise, seed + 2 * step */
  UPS_REFINE_LOW_PASS = 2 /* what is coarse becomes that of the source by the share `denoise` */
} ups_refiner;

typedef enum {
  UPS_VAE_EXACT = 0,        /* the whole picture at once, in strips that fit the memory: no tiles */
  UPS_VAE_FEATHER = 1,      /* ComfyUI's tiles, faded over their overlap; each has statistics of its own */
  UPS_VAE_MEAN_OF_THREE = 2 /* the mean of three of these, of different tile shapes, as its tiled nodes do */
} ups_vae_tiling;

/* All zero means the defaults; set `size` to sizeof(ups_vae_options). */
typedef struct {
  size_t size;
  int threads;        /* 0: all cores. For ups_vae_open, as device, precision, second_path, scaling, shift */
  const char* device; /* as in ups_options */
  ups_precision precision; /* on a GPU; AUTO: fp16 for TAESD, bf16 for AutoencoderKL */
  const char* second_path; /* TAESD's other half, where the release has a file for each */
  double scaling, shift;   /* 0, 0: from the file's metadata or the rest of a checkpoint; else assumed */
  /* For weights and intermediates; 0: no limit, or on a GPU what it has. Beyond it a temporary file serves,
   * or on a GPU smaller strips and then memory of the host. */
  int64_t max_memory_bytes;
  int crop;   /* pictures are cropped to multiples of 8 around the centre; 0: padded by reflection */
  int sample; /* 1: encode a sample, by Philox4x32-10 with `seed`; 0: the mean */
  uint64_t seed;
  /* ups_vae_upscale: steps of resizing, encoding, refining and decoding. */
  double scale;            /* total factor; 0: 2 */
  int steps;               /* 0: 3 */
  ups_step_mode step_mode; /* UPS_STEPS_SIMPLE or, as NATIVE, its default, or UPS_STEPS_GEOMETRIC */
  int faithful;        /* 1: sizes, cropping and encode/decode pairs of Impact Pack's IterativeImageUpscale;
                          0: sizes from the picture, the exact size at the end, no needless pair */
  ups_filter filter;   /* the resampler between decode and encode, or after `upscaler` */
  ups_model* upscaler; /* NULL, or a network that enlarges in every step */
  ups_refiner refiner;
  double denoise, denoise_end; /* of the first and of the last step, 0..1 */
  double anchor; /* 0..1: how far each decoded picture gets back the coarse colours it had before */
  int (*progress)(void* user, double done);
  int (*step_done)(void* user, int step, int steps, const ups_image* image); /* f32 RGB */
  void* user;
  ups_vae_tiling tiling; /* of ups_vae_encode and ups_vae_decode */
  int tile_px;           /* side of a tile in the picture; 0: 512 */
  int overlap_px;        /* 0: 64 to encode, 128 to decode */
} ups_vae_options;

typedef struct ups_vae ups_vae;

/* path: AutoencoderKL in LDM or diffusers keys, also within a checkpoint of a whole model, of which only its
 * own tensors are read; or TAESD. */
ups_status ups_vae_open(const char* path, const ups_vae_options* options, ups_vae** out);
void ups_vae_close(ups_vae* vae);
/* JSON (valid until the next such call, or the vae is closed): family, keys, latent_channels, factor,
 * scaling, shift, scaling_from ("option", "metadata", "checkpoint", "assumed" or ""), encoder, decoder
 * (whether it has them), device, encodes, decodes (runs so far), working_bytes (of the last), spilled
 * (whether that used a file). */
const char* ups_vae_info(ups_vae* vae);
/* The latent is the library's: ups_latent_free. Alpha is not looked at. */
ups_status ups_vae_encode(ups_vae* vae, const ups_image* in, const ups_vae_options* options,
                          ups_latent** out);
/* The size ups_vae_decode produces. */
ups_status ups_vae_decoded_size(const ups_vae* vae, const ups_latent* latent, int* width, int* height);
/* out: three channels. */
ups_status ups_vae_decode(ups_vae* vae, const ups_latent* latent, ups_image* out,
                          const ups_vae_options* options);
/* in -> out of ups_vae_upscaled_size and in's channels; alpha is resampled. */
ups_status ups_vae_upscaled_size(const ups_vae* vae, int width, int height, const ups_vae_options* options,
                                 int* out_width, int* out_height);
ups_status ups_vae_upscale(ups_vae* vae, const ups_image* in, ups_image* out, const ups_vae_options* options);

/* safetensors with one tensor [1, c, h, w]: "latent", or as diffusers and ComfyUI name it. */
ups_status ups_latent_read(const ups_vae* vae, const char* path, ups_latent** out);
ups_status ups_latent_write(const ups_vae* vae, const char* path, const ups_latent* latent);
void ups_latent_free(ups_latent* latent);

/* SHA-256 of a file as 64 hex digits and a terminating zero. */
ups_status ups_sha256_file(const char* path, char out[65]);

#ifdef __cplusplus
}
#endif
#endif
