// The per-ISA arithmetic of Winograd F(4x4, 3x3): weight, input and output transforms, and the products.
//
// Lanes run over channels everywhere, so no step transposes: V is stored with plain vector stores and the
// products broadcast from it. Each sum runs over ci in order, whatever the blocking: results do not depend on
// how tiles are split into blocks or over threads.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv2d_winograd_kernels.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/conv2d_winograd.h"
#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/statistics-inl.h"
#include "kernels/cpu/winograd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

constexpr int kTileStep = kTiles / 3;

constexpr float kS = 0.70710678118654752f;  // sqrt(1/2)
constexpr float kT = 1.41421356237309505f;  // sqrt(2)

// G: rows 1 0 0; (-2 -2s -1)/3; (-2 2s -1)/3; (1 t 2)/6; (1 -t 2)/6; 0 0 1.
HWY_INLINE void weight_1d(D d, V g0, V g1, V g2, V* u) {
  const V e = hn::MulAdd(g0, hn::Set(d, -2.0f / 3), hn::Mul(g2, hn::Set(d, -1.0f / 3)));
  const V f = hn::Mul(g1, hn::Set(d, kT / 3));
  const V p = hn::MulAdd(g0, hn::Set(d, 1.0f / 6), hn::Mul(g2, hn::Set(d, 1.0f / 3)));
  const V q = hn::Mul(g1, hn::Set(d, kT / 6));
  u[0] = g0, u[1] = hn::Sub(e, f), u[2] = hn::Add(e, f), u[3] = hn::Add(p, q), u[4] = hn::Sub(p, q),
  u[5] = g2;
}

// B^T: rows 1 0 -5/2 0 1 0; 0 -2s -2 s 1 0; 0 2s -2 -s 1 0; 0 -t/2 -1/2 t 1 0; 0 t/2 -1/2 -t 1 0; 0 1 0 -5/2
// 0 1.
HWY_INLINE void input_1d(D d, V d0, V d1, V d2, V d3, V d4, V d5, V* v) {
  const V s = hn::Set(d, kS), t = hn::Set(d, kT), two = hn::Set(d, 2), half = hn::Set(d, 0.5f);
  const V five = hn::Set(d, 2.5f);
  const V a = hn::NegMulAdd(two, d2, d4), b = hn::NegMulAdd(two, d1, d3);
  const V c = hn::NegMulAdd(half, d2, d4), e = hn::NegMulAdd(half, d1, d3);
  v[0] = hn::NegMulAdd(five, d2, hn::Add(d0, d4));
  v[1] = hn::MulAdd(s, b, a), v[2] = hn::NegMulAdd(s, b, a);
  v[3] = hn::MulAdd(t, e, c), v[4] = hn::NegMulAdd(t, e, c);
  v[5] = hn::NegMulAdd(five, d3, hn::Add(d1, d5));
}

// A^T: rows 1 1 1 1 1 0; 0 s -s t -t 0; 0 1/2 1/2 2 2 0; 0 s/2 -s/2 2t -2t 1.
HWY_INLINE void output_1d(D d, V m0, V m1, V m2, V m3, V m4, V m5, V* y) {
  const V p = hn::Add(m1, m2), q = hn::Sub(m1, m2), r = hn::Add(m3, m4), z = hn::Sub(m3, m4);
  y[0] = hn::Add(hn::Add(m0, p), r);
  y[1] = hn::MulAdd(q, hn::Set(d, kS), hn::Mul(z, hn::Set(d, kT)));
  y[2] = hn::MulAdd(p, hn::Set(d, 0.5f), hn::Add(r, r));
  y[3] = hn::MulAdd(z, hn::Set(d, 2 * kT), hn::MulAdd(q, hn::Set(d, kS / 2), m5));
}

void winograd_weights(const WinogradArgs& a, int item) {
  const D d;
  const int chunks = ceil_div(a.cin, kWeightRows), block = item / chunks;
  const int co = a.co_begin + block * 2 * kLanes;
  const int nv = a.co_end - co > kLanes ? 2 : 1;
  const int count = a.co_end - co < nv * kLanes ? a.co_end - co : nv * kLanes;
  const int ci0 = item % chunks * kWeightRows, ci1 = ci0 + kWeightRows < a.cin ? ci0 + kWeightRows : a.cin;
  HWY_ALIGN float g[9][2 * kLanes] = {};
  const int channels = a.cout / a.phases;
  // Weights are read once per run of a network, from memory: nine streams that no hardware follows.
  const int bytes = a.weight_f16 ? 2 : 4;
  constexpr int kRowsAhead = 6;
  for (int ci = ci0; ci < ci1; ci++) {
    for (int tap = 0; tap < 9; tap++) {
      const char* ahead = static_cast<const char*>(a.weight) +
                          ((int64_t(tap) * a.cin + ci + kRowsAhead) * a.cout + co) * bytes;
      for (int c = 0; c < count * bytes; c += 64) __builtin_prefetch(ahead + c);
      const int64_t row = (int64_t(tap) * a.cin + ci) * a.cout;
      if (a.phases == 1)
        widen(a.weight, a.weight_f16, row + co, count, g[tap]);
      else
        widen_apart(a.weight, a.weight_f16, row + co % channels * a.phases + co / channels, a.phases, count,
                    g[tap]);
    }
    for (int n = 0; n < nv; n++) {
      float* to = a.u + block * a.u_block + int64_t(ci) * nv * kLanes + n * kLanes;
      V rows[6][3], u[6];
      for (int j = 0; j < 3; j++) {
        weight_1d(d, hn::Load(d, g[j] + n * kLanes), hn::Load(d, g[3 + j] + n * kLanes),
                  hn::Load(d, g[6 + j] + n * kLanes), u);
        for (int i = 0; i < 6; i++) rows[i][j] = u[i];
      }
      for (int i = 0; i < 6; i++) {
        weight_1d(d, rows[i][0], rows[i][1], rows[i][2], u);
        for (int j = 0; j < 6; j++) hn::Store(u[j], d, to + (i * 6 + j) * a.u_xi);
      }
    }
  }
}

// One vector of channels of one tile. row, col: offsets of the six rows and columns.
HWY_INLINE void input_tile(D d, const float* x, const int64_t* row, const int64_t* col, float* v,
                           int64_t v_xi) {
  HWY_ALIGN float half[36 * kLanes];
  V o[6];
  for (int i = 0; i < 6; i++) {
    const float* p = x + row[i];
    input_1d(d, hn::LoadU(d, p + col[0]), hn::LoadU(d, p + col[1]), hn::LoadU(d, p + col[2]),
             hn::LoadU(d, p + col[3]), hn::LoadU(d, p + col[4]), hn::LoadU(d, p + col[5]), o);
    for (int j = 0; j < 6; j++) hn::Store(o[j], d, half + (i * 6 + j) * kLanes);
  }
  for (int j = 0; j < 6; j++) {
    const float* h = half + j * kLanes;
    input_1d(d, hn::Load(d, h), hn::Load(d, h + 6 * kLanes), hn::Load(d, h + 12 * kLanes),
             hn::Load(d, h + 18 * kLanes), hn::Load(d, h + 24 * kLanes), hn::Load(d, h + 30 * kLanes), o);
    for (int i = 0; i < 6; i++) hn::StoreU(o[i], d, v + (i * 6 + j) * v_xi);
  }
}

void winograd_input(const WinogradArgs& a, int first, int count, int c0, int c1, float* v, float* patch) {
  const D d;
  const int channels = c1 - c0, padded = round_up(channels, kLanes);
  for (int t = 0; t < count; t++) {
    const int tile = first + t;
    const int y = (a.tile_row + tile / a.tiles_x) * 4 - 1, x = tile % a.tiles_x * 4 - 1;
    const int w = a.w * a.up;
    const float* from = a.x + c0;
    int64_t row[6], col[6];
    if (padded == channels && y >= a.in_begin && y + 6 <= a.in_end && x >= 0 && x + 6 <= w) {
      for (int i = 0; i < 6; i++) row[i] = int64_t(source(y + i, a.up)) * a.x_row;
      for (int j = 0; j < 6; j++) col[j] = int64_t(source(x + j, a.up)) * a.x_px;
      if (x + 10 <= w) {  // the next tile, while this one is transformed
        const float* next = from + col[5] + a.x_px;
        for (int i = 0; i < 6; i++)
          for (int j = 0; j < 4 / a.up; j++)
            for (int c = 0; c < channels; c += 16) hwy::Prefetch(next + row[i] + j * a.x_px + c);
      }
    } else {  // zero padding
      for (int i = 0; i < 6; i++) {
        row[i] = int64_t(i) * 6 * padded, col[i] = int64_t(i) * padded;
        for (int j = 0; j < 6; j++) {
          float* to = patch + (i * 6 + j) * padded;
          int c = 0;
          if (y + i >= a.in_begin && y + i < a.in_end && x + j >= 0 && x + j < w) {
            copy_floats(from + int64_t(source(y + i, a.up)) * a.x_row + int64_t(source(x + j, a.up)) * a.x_px,
                        to, channels);
            c = channels;
          }
          for (; c < padded; c++) to[c] = 0;
        }
      }
      from = patch;
    }
    float* to = v + t * a.v_tile + c0;
    for (int c = 0; c < padded; c += kLanes) input_tile(d, from + c, row, col, to + c, a.v_xi);
  }
}

// m[tile][NV vectors] = sum over ci of v[tile][ci] * u[ci][NV vectors] for P tiles.
template <int P, int NV>
HWY_NOINLINE void products(const float* v, int64_t px, const float* HWY_RESTRICT u, int cin,
                           float* HWY_RESTRICT m) {
  const D d;
  V acc[P][NV];
  for (int p = 0; p < P; p++)
    for (int n = 0; n < NV; n++) acc[p][n] = hn::Zero(d);
  const float* vp[(P + 3) / 4];  // few enough pointers for 16 integer registers
  for (int q = 0; q < (P + 3) / 4; q++) vp[q] = v + 4 * q * px;
  for (int ci = 0; ci < cin; ci++) {
    V w[NV];
    for (int n = 0; n < NV; n++) w[n] = hn::Load(d, u + n * kLanes);
    u += NV * kLanes;
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
      const V b = hn::Set(d, vp[p / 4][p % 4 * px]);
      for (int n = 0; n < NV; n++) acc[p][n] = hn::MulAdd(b, w[n], acc[p][n]);
    }
    for (int q = 0; q < (P + 3) / 4; q++) vp[q]++;
  }
  for (int p = 0; p < P; p++)
    for (int n = 0; n < NV; n++) hn::Store(acc[p][n], d, m + (p * NV + n) * kLanes);
}

// The first half of the output transform: A^T along each of the six rows of products.
HWY_INLINE void output_rows(D d, const float* m, int64_t m_xi, float* half) {
  V o[4];
  for (int i = 0; i < 6; i++) {
    const float* r = m + i * 6 * m_xi;
    output_1d(d, hn::Load(d, r), hn::Load(d, r + m_xi), hn::Load(d, r + 2 * m_xi), hn::Load(d, r + 3 * m_xi),
              hn::Load(d, r + 4 * m_xi), hn::Load(d, r + 5 * m_xi), o);
    for (int j = 0; j < 4; j++) hn::Store(o[j], d, half + (i * 4 + j) * kLanes);
  }
}

// Column j of the second half.
HWY_INLINE void output_column(D d, const float* half, int j, V* o) {
  const float* h = half + j * kLanes;
  output_1d(d, hn::Load(d, h), hn::Load(d, h + 4 * kLanes), hn::Load(d, h + 8 * kLanes),
            hn::Load(d, h + 12 * kLanes), hn::Load(d, h + 16 * kLanes), hn::Load(d, h + 20 * kLanes), o);
}

// One vector of channels of a tile: sums of its 16 pixels, NV vectors apart.
template <int NV>
HWY_NOINLINE void output_sums(const float* m, int64_t m_xi, float* pixels) {
  const D d;
  HWY_ALIGN float half[24 * kLanes];
  output_rows(d, m, m_xi, half);
  V o[4];
  for (int j = 0; j < 4; j++) {
    output_column(d, half, j, o);
    for (int i = 0; i < 4; i++) hn::Store(o[i], d, pixels + (i * 4 + j) * NV * kLanes);
  }
}

// A whole tile with its epilogue in registers; the same operations in the same order as emit_act.
template <int NV, Act A>
HWY_NOINLINE void output_tile(const Epilogue& e, const float* m, int64_t m_xi, int y, int x, int co) {
  const D d;
  HWY_ALIGN float half[24 * kLanes];
  const bool scaled = e.scale != 1;
  const V scale = hn::Set(d, e.scale);
  for (int n = 0; n < NV; n++, co += kLanes) {
    output_rows(d, m + n * kLanes, m_xi, half);
    const V bias = hn::LoadU(d, e.bias + co);
    const V slope = e.slopes ? hn::LoadU(d, e.slopes + co) : hn::Set(d, e.slope);
    for (int j = 0; j < 4; j++) {
      V o[4];
      output_column(d, half, j, o);
      for (int i = 0; i < 4; i++) {
        o[i] = hn::Add(o[i], bias);
        if (!e.act_last) o[i] = activate<A>(d, o[i], slope);
        if (scaled) o[i] = hn::Mul(o[i], scale);
      }
      for (int k = 0; k < e.adds; k++) {
        const float* add = e.add[k].data + y * e.add[k].row + (x + j) * e.add[k].px + co;
        const V by = hn::Set(d, e.add[k].scale);
        for (int i = 0; i < 4; i++) o[i] = hn::MulAdd(hn::LoadU(d, add + i * e.add[k].row), by, o[i]);
      }
      if (e.act_last)
        for (int i = 0; i < 4; i++) o[i] = activate<A>(d, o[i], slope);
      float* out = e.y + y * e.y_row + (x + j) * e.y_px + co;
      for (int i = 0; i < 4; i++) hn::StoreU(o[i], d, out + i * e.y_row);
    }
  }
}

// Asks for the output pixels of a tile ahead of their stores, which otherwise wait for L3: the image is
// larger than L2, and storing part of a line reads it first.
constexpr int kAhead = 2;
HWY_INLINE void prefetch_output(const WinogradArgs& a, int tile, int co, int channels) {
  const int y = (a.tile_row + tile / a.tiles_x) * 4, x = tile % a.tiles_x * 4;
  if (x + 4 > a.out_w || y < a.row_begin || y + 4 > a.row_end) return;
  const float* out = a.epilogue.y + y * a.epilogue.y_row + x * a.epilogue.y_px + co;
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      for (int c = 0; c < channels; c += 16)
        __builtin_prefetch(out + i * a.epilogue.y_row + j * a.epilogue.y_px + c, 1, 3);
}

// The statistics of the chunk that ends with this tile.
void chunk_statistics(const WinogradArgs& a, int tile, int co, int channels) {
  const int y = (a.tile_row + tile / a.tiles_x) * 4;
  const int x = (tile % a.tiles_x - (kChunkTiles - 1)) * 4;
  const Epilogue& e = a.epilogue;
  take_chunk(a.sums, e.y, e.y_row, e.y_px, y, x, a.row_end, a.out_w, co, channels);
}

template <int NV>
HWY_NOINLINE void output_block(const WinogradArgs& a, int first, int count, int co, const float* v,
                               const float* u, float* m) {
  const int64_t m_xi = int64_t(round_up(count, kTileStep)) * NV * kLanes + kXiGap;
  for (int xi = 0; xi < kWinogradXi; xi++) {
    const float* vx = v + xi * a.v_xi;
    const float* ux = u + xi * a.u_xi;
    for (int t = 0; t < count;) {
      const int left = count - t;
      float* to = m + xi * m_xi + t * NV * kLanes;
      if (left > 2 * kTileStep)
        products<kTiles, NV>(vx + t * a.v_tile, a.v_tile, ux, a.cin, to), t += kTiles;
      else if (left > kTileStep)
        products<2 * kTileStep, NV>(vx + t * a.v_tile, a.v_tile, ux, a.cin, to), t += 2 * kTileStep;
      else
        products<kTileStep, NV>(vx + t * a.v_tile, a.v_tile, ux, a.cin, to), t += kTileStep;
    }
  }
  const int channels = a.co_end - co < NV * kLanes ? a.co_end - co : NV * kLanes;
  bool plain = channels == NV * kLanes && a.epilogue.shuffle == 1;  // pixels store as whole vectors
  for (int i = 0; i < a.epilogue.adds; i++) plain = plain && a.epilogue.add[i].group == 1;
  for (int t = 0; t < count; t++) {
    const int tile = first + t;
    const int y = (a.tile_row + tile / a.tiles_x) * 4, x = tile % a.tiles_x * 4;
    const float* mt = m + t * NV * kLanes;
    // The pixels of the last tiles are complete, and still in L1.
    if (a.sums.at && t > 0 && t % kChunkTiles == 0) chunk_statistics(a, tile - 1, co, channels);
    if (plain && t + kAhead < count) prefetch_output(a, first + t + kAhead, co, NV * kLanes);
    if (plain && x + 4 <= a.out_w && y >= a.row_begin && y + 4 <= a.row_end) {
      const Act act = a.epilogue.act;
      if (act == Act::none) {
        output_tile<NV, Act::none>(a.epilogue, mt, m_xi, y, x, co);
        continue;
      } else if (act == Act::relu) {
        output_tile<NV, Act::relu>(a.epilogue, mt, m_xi, y, x, co);
        continue;
      } else if (act == Act::lrelu || act == Act::prelu) {
        output_tile<NV, Act::lrelu>(a.epilogue, mt, m_xi, y, x, co);
        continue;
      }
    }
    HWY_ALIGN float pixels[16 * NV * kLanes];
    for (int n = 0; n < NV; n++) output_sums<NV>(mt + n * kLanes, m_xi, pixels + n * kLanes);
    const int n = a.out_w - x < 4 ? a.out_w - x : 4;
    for (int i = 0; i < 4; i++)
      if (y + i >= a.row_begin && y + i < a.row_end)
        emit(a.epilogue, pixels + i * 4 * NV * kLanes, NV * kLanes, y + i, x, n, co, channels);
  }
  if (a.sums.at) chunk_statistics(a, first + count - 1, co, channels);
}

// Output channels of one phase: an ordinary convolution to every r-th pixel.
void output_phase(WinogradArgs a, int first, int count, int co, const float* v, const float* u, float* m) {
  const int channels = a.cout / a.phases;
  aim_phase(a.epilogue, co / channels, channels);
  a.co_end = channels;
  output_block<2>(a, first, count, co % channels, v, u, m);
}

void winograd_output(const WinogradArgs& a, int first, int count, const float* v, float* m) {
  for (int co = a.co_begin, block = 0; co < a.co_end; co += 2 * kLanes, block++) {
    if (a.phases > 1)
      output_phase(a, first, count, co, v, a.u + block * a.u_block, m);
    else if (a.co_end - co > kLanes)
      output_block<2>(a, first, count, co, v, a.u + block * a.u_block, m);
    else
      output_block<1>(a, first, count, co, v, a.u + block * a.u_block, m);
  }
}

const WinogradKernels* winograd_table() {
  static constexpr WinogradKernels table = {kLanes, kTileStep, winograd_weights, winograd_input,
                                            winograd_output};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ups::cpu {

HWY_EXPORT(winograd_table);
const WinogradKernels& winograd_kernels() { return *HWY_DYNAMIC_DISPATCH(winograd_table)(); }

}  // namespace ups::cpu
#endif
