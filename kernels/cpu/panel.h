// Panels: a few pixels side by side, [channels][width], through whole sublayers of a transformer. Per-ISA
// entry points of what loads, normalises, multiplies and stores them. Pointers to panels are aligned to 64
// bytes, their rows hold whole widths.
#pragma once

#include <stdint.h>

namespace ups::cpu {

// Weights [cin][cout] of a linear layer. Packed: per register tile of outputs [cin][rows of the tile]; of
// layers that take Strassen's algorithm, the seven factors (panel_kernels.cpp) so, of half the outputs and
// inputs.
struct PanelWeights {
  const void* weight = nullptr;
  bool f16 = false;
  int cin = 0, cout = 0;
  const float* packed = nullptr;
  const float* bias = nullptr;  // [cout]
  bool gelu = false;            // behind the bias
  // Where an eighth of the products saved is more than the sums cost.
  bool strassen() const { return cin >= 128 && cout >= 128 && cin % 2 == 0 && cout % 2 == 0; }
  int inputs() const { return strassen() ? cin / 2 : cin; }  // that pack() counts
  int64_t packed_floats() const { return strassen() ? int64_t(cin) * cout / 4 * 7 : int64_t(cin) * cout; }
};

// A linear layer's input and output for two panels.
struct PanelPair {
  const float* x[2];
  float* out[2];  // [output * out_row + pixel]
  int64_t out_row;
  float* sums;  // for 2 * cin pixels of x
};

struct PanelStore {
  int n = 0, c = 0;                        // pixels, channels
  float* const* y = nullptr;               // of each pixel
  const float* const* residual = nullptr;  // of each pixel, or null
  const float* const* add = nullptr;
  float add_scale = 1;
};

struct PanelKernels {
  int width, rows;  // pixels of a panel, outputs of a register tile
  void (*pack)(const PanelWeights&, float* packed, int begin, int end);  // some of the inputs
  // panel[channel * row + pixel] for `n` pixels, a multiple of the width.
  void (*load)(const float* const* px, int n, int c, float* panel, int64_t row);
  // Asks for n pixels of c channels that load or store will touch.
  void (*fetch)(const float* const* px, int n, int c);
  // Layer normalisation over the channels of each pixel; to may be the panel.
  void (*normalise)(const float* panel, float* to, int c, const float* gamma, const float* beta, float eps);
  // panel += other
  void (*add)(float* panel, const float* other, int c);
  void (*linear)(const PanelWeights&, const PanelPair&);
  // y = panel (+ residual) (+ add_scale * add). Reads rows up to the next multiple of 16.
  void (*store)(const PanelStore&, const float* panel);
};
const PanelKernels& panel_kernels();

}  // namespace ups::cpu
