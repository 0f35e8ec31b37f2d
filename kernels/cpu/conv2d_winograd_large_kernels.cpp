// The per-ISA arithmetic of Winograd convolution with large tiles: transforms and products.
//
// Lanes run over channels everywhere. Each sum runs over ci in order, whatever the blocking: results do not
// depend on how tiles are split into parts or over threads.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv2d_winograd_large_kernels.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/conv2d_winograd_large.h"
#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/winograd-inl.h"
#include "kernels/cpu/winograd_large-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace large {

// Weights of NV vectors of output channels from co: g [ci][tap][NV vectors], zero beyond the last channel.
template <int NV>
void pack_weights(const WinogradArgs& a, int co, float* g) {
  const int bytes = a.weight_f16 ? 2 : 4, channels = a.cout / a.phases;
  const int count = a.cout - co < NV * kLanes ? a.cout - co : NV * kLanes;
  // Weights are read once per run of a network, from memory: nine streams that no hardware follows.
  constexpr int kRowsAhead = 6;
  const int64_t at = a.phases == 1 ? co : co % channels * a.phases + co / channels;
  const int span = a.phases * count * bytes;
  for (int ci = 0; ci < a.cin; ci++) {
    for (int tap = 0; tap < 9; tap++, g += NV * kLanes) {
      const int64_t row = (int64_t(tap) * a.cin + ci) * a.cout + at;
      const char* ahead = static_cast<const char*>(a.weight) + (row + int64_t(kRowsAhead) * a.cout) * bytes;
      for (int c = 0; c < span; c += 64) __builtin_prefetch(ahead + c);
      for (int c = count; c < NV * kLanes; c++) g[c] = 0;
      if (a.phases == 1)
        widen(a.weight, a.weight_f16, row, count, g);
      else
        widen_apart(a.weight, a.weight_f16, row, a.phases, count, g);
    }
  }
}

// Weights as they are, or packed: taps tap_step floats apart, input channels ci_step.
struct WeightsAt {
  const float* g;
  int64_t tap_step, ci_step;
};

// Row i of xi: u [xi][ci][NV vectors], u_xi floats apart.
template <int M, int NV>
HWY_NOINLINE void weights_row(const WeightsAt& w, int cin, int i, float* HWY_RESTRICT u, int64_t u_xi) {
  constexpr int kPairs = M / 2, kN = M + 2;
  constexpr const WinogradCoefficients<M>& c = Points<M>::c;
  const D d;
  const float* HWY_RESTRICT g = w.g;
  const int64_t tap_step = w.tap_step;
  for (int ci = 0; ci < cin; ci++, g += w.ci_step, u += NV * kLanes) {
#pragma GCC unroll 2
    for (int n = 0; n < NV; n++) {
      V r[3];
#pragma GCC unroll 3
      for (int j = 0; j < 3; j++) {
        const float* p = g + n * kLanes + j * tap_step;
        r[j] = weight_at<M>(d, i, hn::LoadU(d, p), hn::LoadU(d, p + 3 * tap_step),
                            hn::LoadU(d, p + 6 * tap_step));
      }
      float* to = u + n * kLanes;
      hn::Store(r[0], d, to);
      hn::Store(hn::Mul(r[2], hn::Set(d, c.g_inf)), d, to + (kN - 1) * u_xi);
#pragma GCC unroll 8
      for (int k = 0; k < kPairs; k++) {
        const V even = hn::MulAdd(r[0], hn::Set(d, c.g[k][0]), hn::Mul(r[2], hn::Set(d, c.g[k][2])));
        const V by = hn::Set(d, c.g[k][1]);
        hn::Store(hn::MulAdd(r[1], by, even), d, to + (2 * k + 1) * u_xi);
        hn::Store(hn::NegMulAdd(r[1], by, even), d, to + (2 * k + 2) * u_xi);
      }
    }
  }
}

// Rows and columns of a tile that there are; the others are zero.
struct Window {
  int top, bottom, left, right;
};

// One vector of channels of one tile. row, col: offsets of its rows and columns.
template <int M, bool kWhole>
HWY_INLINE void input_tile(const float* x, const int64_t* row, const int64_t* col, const Window& there,
                           float* v, int64_t v_xi) {
  constexpr int kN = M + 2;
  const D d;
  HWY_ALIGN float half[kN * kN * kLanes];
  V in[kN], out[kN];
  for (int i = 0; i < kN; i++) {
    const float* p = x + row[i];
    const bool none = !kWhole && (i < there.top || i >= there.bottom);
#pragma GCC unroll 10
    for (int j = 0; j < kN; j++) {
      if (kWhole || (!none && j >= there.left && j < there.right))
        in[j] = hn::LoadU(d, p + col[j]);
      else
        in[j] = hn::Zero(d);
    }
    input_1d<M>(d, in, out);
#pragma GCC unroll 10
    for (int j = 0; j < kN; j++) hn::Store(out[j], d, half + (i * kN + j) * kLanes);
  }
  for (int j = 0; j < kN; j++) {
#pragma GCC unroll 10
    for (int i = 0; i < kN; i++) in[i] = hn::Load(d, half + (i * kN + j) * kLanes);
    input_1d<M>(d, in, out);
#pragma GCC unroll 10
    for (int i = 0; i < kN; i++) hn::StoreU(out[i], d, v + (i * kN + j) * v_xi);
  }
}

template <int M>
void input(const WinogradArgs& a, int first, int count, float* v, float* patch) {
  constexpr int kN = M + 2;
  const int padded = round_up(a.cin, kLanes), w = a.w * a.up;
  for (int t = 0; t < count; t++, v += a.v_tile) {
    const int tile = first + t;
    const int y = (a.tile_row + tile / a.tiles_x) * M - 1, x = tile % a.tiles_x * M - 1;
    const Window there = {std::max(0, a.in_begin - y), std::min(kN, a.in_end - y), std::max(0, -x),
                          std::min(kN, w - x)};
    const float* from = a.x;
    int64_t row[kN], col[kN];
    for (int i = 0; i < kN; i++) {
      row[i] = int64_t(source(y + i, a.up)) * a.x_row;
      col[i] = int64_t(source(x + i, a.up)) * a.x_px;
    }
    if (padded != a.cin) {
      for (int i = 0; i < kN; i++)
        for (int j = 0; j < kN; j++) {
          float* to = patch + (i * kN + j) * padded;
          const bool inside = i >= there.top && i < there.bottom && j >= there.left && j < there.right;
          if (inside) copy_floats(from + row[i] + col[j], to, a.cin);
          for (int c = inside ? a.cin : 0; c < padded; c++) to[c] = 0;
        }
      for (int i = 0; i < kN; i++) row[i] = int64_t(i) * kN * padded, col[i] = int64_t(i) * padded;
      from = patch;
    }
    const bool whole =
        padded != a.cin || (there.top == 0 && there.bottom == kN && there.left == 0 && there.right == kN);
    for (int c = 0; c < padded; c += kLanes)
      if (whole)
        input_tile<M, true>(from + c, row, col, there, v + c, a.v_xi);
      else
        input_tile<M, false>(from + c, row, col, there, v + c, a.v_xi);
  }
}

// m[tile][NV vectors] = sum over ci of v[tile][ci] * u[ci][NV vectors] for P tiles. Asks for the V behind.
template <int P, int NV>
HWY_NOINLINE void products(const float* v, int64_t px, const float* HWY_RESTRICT u, int cin,
                           float* HWY_RESTRICT m) {
  const D d;
  V acc[P][NV];
#pragma GCC unroll 16
  for (int p = 0; p < P; p++)
    for (int n = 0; n < NV; n++) acc[p][n] = hn::Zero(d);
  const float* vp[(P + 3) / 4];  // few enough pointers for 16 integer registers
  for (int q = 0; q < (P + 3) / 4; q++) vp[q] = v + 4 * q * px;
  const float* ahead = v + P * px;
  for (int ci = 0; ci < cin; ci++) {
    V w[NV];
    for (int n = 0; n < NV; n++) w[n] = hn::Load(d, u + n * kLanes);
    u += NV * kLanes;
    __builtin_prefetch(ahead);
    ahead += 16;
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
      const V b = hn::Set(d, vp[p / 4][p % 4 * px]);
      for (int n = 0; n < NV; n++) acc[p][n] = hn::MulAdd(b, w[n], acc[p][n]);
    }
    for (int q = 0; q < (P + 3) / 4; q++) vp[q]++;
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; p++)
    for (int n = 0; n < NV; n++) hn::Store(acc[p][n], d, m + (p * NV + n) * kLanes);
}

using Products = void (*)(const float*, int64_t, const float*, int, float*);
template <int NV>
HWY_INLINE Products products_of(int tiles) {
  static constexpr Products kSmall[] = {products<1, NV>, products<2, NV>, products<3, NV>,
                                        products<4, NV>, products<5, NV>, products<6, NV>};
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
  static constexpr Products kMore[] = {products<7, NV>,  products<8, NV>,  products<9, NV>,
                                       products<10, NV>, products<11, NV>, products<12, NV>};
  if (tiles > 6) return kMore[tiles - 7];
#endif
  return kSmall[tiles - 1];
}

// The first half of the output transform: A^T along each row of products.
template <int M>
HWY_INLINE void output_rows(const float* m, int64_t m_xi, float* half) {
  constexpr int kN = M + 2;
  const D d;
  V in[kN], out[M];
  for (int i = 0; i < kN; i++) {
#pragma GCC unroll 10
    for (int j = 0; j < kN; j++) in[j] = hn::Load(d, m + (i * kN + j) * m_xi);
    output_1d<M>(d, in, out);
#pragma GCC unroll 8
    for (int j = 0; j < M; j++) hn::Store(out[j], d, half + (i * M + j) * kLanes);
  }
}

// Column j of the second half.
template <int M>
HWY_INLINE void output_column(const float* half, int j, V* out) {
  constexpr int kN = M + 2;
  const D d;
  V in[kN];
#pragma GCC unroll 10
  for (int i = 0; i < kN; i++) in[i] = hn::Load(d, half + (i * M + j) * kLanes);
  output_1d<M>(d, in, out);
}

// One vector of channels of a tile: sums of its pixels, `stride` floats apart.
template <int M>
HWY_NOINLINE void output_sums(const float* m, int64_t m_xi, float* pixels, int stride) {
  const D d;
  HWY_ALIGN float half[(M + 2) * M * kLanes];
  output_rows<M>(m, m_xi, half);
  V o[M];
  for (int j = 0; j < M; j++) {
    output_column<M>(half, j, o);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) hn::Store(o[i], d, pixels + (i * M + j) * stride);
  }
}

// A tile with its epilogue in registers; the same operations in the same order as emit_act.
template <int M, int NV, Act A, bool kWhole>
HWY_NOINLINE void output_tile(const Epilogue& e, const float* m, int64_t m_xi, int y, int x, int co,
                              const Window& there) {
  const D d;
  HWY_ALIGN float half[(M + 2) * M * kLanes];
  const bool scaled = e.scale != 1;
  const V scale = hn::Set(d, e.scale);
  for (int n = 0; n < NV; n++, co += kLanes) {
    output_rows<M>(m + n * kLanes, m_xi, half);
    const V bias = hn::LoadU(d, e.bias + co);
    const V slope = e.slopes ? hn::LoadU(d, e.slopes + co) : hn::Set(d, e.slope);
    for (int j = 0; j < (kWhole ? M : there.right); j++) {
      V o[M];
      output_column<M>(half, j, o);
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) {
        o[i] = hn::Add(o[i], bias);
        if (!e.act_last) o[i] = activate<A>(d, o[i], slope);
        if (scaled) o[i] = hn::Mul(o[i], scale);
      }
      for (int k = 0; k < e.adds; k++) {
        const float* add = e.add[k].data + y * e.add[k].row + (x + j) * e.add[k].px + co;
        const V by = hn::Set(d, e.add[k].scale);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++)
          if (kWhole || (i >= there.top && i < there.bottom))
            o[i] = hn::MulAdd(hn::LoadU(d, add + i * e.add[k].row), by, o[i]);
      }
      if (e.act_last) {
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) o[i] = activate<A>(d, o[i], slope);
      }
      float* out = e.y + y * e.y_row + (x + j) * e.y_px + co;
#pragma GCC unroll 8
      for (int i = 0; i < M; i++)
        if (kWhole || (i >= there.top && i < there.bottom)) hn::StoreU(o[i], d, out + i * e.y_row);
    }
  }
}

template <int M, int NV, Act A>
HWY_INLINE void output_part(const Epilogue& e, const float* m, int64_t m_xi, int y, int x, int co,
                            const Window& there) {
  if (there.top == 0 && there.bottom == M && there.right == M)
    output_tile<M, NV, A, true>(e, m, m_xi, y, x, co, there);
  else
    output_tile<M, NV, A, false>(e, m, m_xi, y, x, co, there);
}

// Output transform and epilogue of the tiles whose products lie at m. channels: of e.cout from co.
template <int M, int NV>
void store_tiles(const WinogradArgs& a, const Epilogue& e, int first, int count, int co, int channels,
                 const float* m, int64_t m_xi) {
  bool plain = channels == NV * kLanes && e.shuffle == 1;  // pixels store as whole vectors
  for (int i = 0; i < e.adds; i++) plain = plain && e.add[i].group == 1;
  for (int t = 0; t < count; t++, m += NV * kLanes) {
    const int tile = first + t;
    const int y = (a.tile_row + tile / a.tiles_x) * M, x = tile % a.tiles_x * M;
    const Window there = {std::max(0, a.row_begin - y), std::min(M, a.row_end - y), 0,
                          std::min(M, a.out_w - x)};
    if (plain) {
      if (e.act == Act::none) {
        output_part<M, NV, Act::none>(e, m, m_xi, y, x, co, there);
        continue;
      } else if (e.act == Act::relu) {
        output_part<M, NV, Act::relu>(e, m, m_xi, y, x, co, there);
        continue;
      } else if (e.act == Act::lrelu || e.act == Act::prelu) {
        output_part<M, NV, Act::lrelu>(e, m, m_xi, y, x, co, there);
        continue;
      }
    }
    HWY_ALIGN float pixels[M * M * NV * kLanes];
    for (int n = 0; n < NV; n++) output_sums<M>(m + n * kLanes, m_xi, pixels + n * kLanes, NV * kLanes);
    for (int i = there.top; i < there.bottom; i++)
      emit(e, pixels + i * M * NV * kLanes, NV * kLanes, y + i, x, there.right, co, channels);
  }
}

template <int M, int NV>
void output_block(const WinogradArgs& a, int first, int count, int co, const float* v, float* room) {
  constexpr int kN = M + 2;
  const int64_t u_xi = int64_t(a.cin) * NV * kLanes + kXiGap, m_xi = int64_t(count) * NV * kLanes + kXiGap;
  float* u = room + int64_t(9) * a.cin * NV * kLanes;
  float* m = u + kN * u_xi;
  // Each row of xi reads the weights again. Those of few channels stay in cache as they are; those of many
  // lie so far apart that they share few of its sets.
  WeightsAt g = {static_cast<const float*>(a.weight) + co, int64_t(a.cin) * a.cout, a.cout};
  constexpr int kFew = 128;
  if (a.weight_f16 || a.phases > 1 || a.cout > kFew || a.cout - co < NV * kLanes) {
    pack_weights<NV>(a, co, room);
    g = {room, NV * kLanes, 9 * NV * kLanes};
  }
  const int groups = ceil_div(count, kTiles);  // as equal as can be
  for (int i = 0; i < kN; i++) {
    weights_row<M, NV>(g, a.cin, i, u, u_xi);
    for (int j = 0; j < kN; j++) {
      const int xi = i * kN + j;
      for (int k = 0; k < groups; k++) {
        const int t = count * k / groups, tiles = count * (k + 1) / groups - t;
        products_of<NV>(tiles)(v + xi * a.v_xi + t * a.v_tile, a.v_tile, u + j * u_xi, a.cin,
                               m + xi * m_xi + t * NV * kLanes);
      }
    }
  }
  if (a.phases > 1) {
    Epilogue e = a.epilogue;
    const int channels = a.cout / a.phases;
    aim_phase(e, co / channels, channels);
    store_tiles<M, NV>(a, e, first, count, co % channels, NV * kLanes, m, m_xi);
  } else {
    const int channels = a.cout - co < NV * kLanes ? a.cout - co : NV * kLanes;
    store_tiles<M, NV>(a, a.epilogue, first, count, co, channels, m, m_xi);
  }
}

template <int M>
void output(const WinogradArgs& a, int first, int count, int co, const float* v, float* room) {
  if (a.cout - co > kLanes)
    output_block<M, 2>(a, first, count, co, v, room);
  else
    output_block<M, 1>(a, first, count, co, v, room);
}

}  // namespace large

const LargeWinogradKernels* large_winograd_table(int tile) {
  static constexpr LargeWinogradKernels six = {kLanes, large::input<6>, large::output<6>};
  static constexpr LargeWinogradKernels eight = {kLanes, large::input<8>, large::output<8>};
  return tile == 6 ? &six : &eight;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ups::cpu {

HWY_EXPORT(large_winograd_table);
const LargeWinogradKernels& large_winograd_kernels(int tile) {
  return *HWY_DYNAMIC_DISPATCH(large_winograd_table)(tile);
}

}  // namespace ups::cpu
#endif
