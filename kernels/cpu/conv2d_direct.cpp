// Direct convolution: y[p, co] = sum over taps and ci of x[p + tap, ci] * w[tap, ci, co].
//
// A work item is a tile of output pixels. Its input patch is copied once, with zero padding, nearest
// upsampling and channel padding applied, so the inner loops know only pixel strides. Micro-kernel:
// P pixels x 2 vectors of output channels, broadcasting x. With at most four output channels ("dot") the
// lanes run over input channels instead and are summed at the end.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv2d_direct.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/conv2d_direct.h"
#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/statistics-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {

// 32 vector registers hold 12 x 2 sums, two weights and a broadcast; 16 hold 6 x 2.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kPx = 12;
#else
constexpr int kPx = 6;
#endif
constexpr int kPxStep = kPx / 3;

// sums[p][v] over k x k x cin at P pixels `px` floats apart; taps are `tap_px`, patch rows `row` floats
// apart.
template <int P, int NV>
HWY_NOINLINE void sums_cout(const float* x, int64_t px, int64_t tap_px, int64_t row, int k, int cin,
                            const float* HWY_RESTRICT w, float* HWY_RESTRICT out) {
  const D d;
  V acc[P][NV];
  for (int p = 0; p < P; p++)
    for (int v = 0; v < NV; v++) acc[p][v] = hn::Zero(d);
  for (int ky = 0; ky < k; ky++) {
    for (int kx = 0; kx < k; kx++) {
      const float* xp[(P + 3) / 4];  // few enough pointers for 16 integer registers
      for (int q = 0; q < (P + 3) / 4; q++) xp[q] = x + ky * row + kx * tap_px + 4 * q * px;
      for (int ci = 0; ci < cin; ci++) {
        V wv[NV];
        for (int v = 0; v < NV; v++) wv[v] = hn::Load(d, w + v * kLanes);
        w += NV * kLanes;
#pragma GCC unroll 16
        for (int p = 0; p < P; p++) {
          const V b = hn::Set(d, xp[p / 4][p % 4 * px]);
          for (int v = 0; v < NV; v++) acc[p][v] = hn::MulAdd(b, wv[v], acc[p][v]);
        }
        for (int q = 0; q < (P + 3) / 4; q++) xp[q]++;
      }
    }
  }
  for (int p = 0; p < P; p++)
    for (int v = 0; v < NV; v++) hn::Store(acc[p][v], d, out + (p * NV + v) * kLanes);
}

// out[p * kLanes + co] over k x k x cin_pad, w [k, k, cin_pad / kLanes, CO, kLanes].
template <int P, int CO>
HWY_NOINLINE void sums_dot(const float* x, int64_t px, int64_t tap_px, int64_t row, int k, int cin_pad,
                           const float* HWY_RESTRICT w, float* HWY_RESTRICT out) {
  const D d;
  V acc[P][CO];
  for (int p = 0; p < P; p++)
    for (int c = 0; c < CO; c++) acc[p][c] = hn::Zero(d);
  for (int ky = 0; ky < k; ky++) {
    for (int kx = 0; kx < k; kx++) {
      const float* xp = x + ky * row + kx * tap_px;
      for (int ci = 0; ci < cin_pad; ci += kLanes) {
        V wv[CO];
        for (int c = 0; c < CO; c++) wv[c] = hn::Load(d, w + c * kLanes);
        w += CO * kLanes;
        for (int p = 0; p < P; p++) {
          const V b = hn::LoadU(d, xp + p * px + ci);
          for (int c = 0; c < CO; c++) acc[p][c] = hn::MulAdd(b, wv[c], acc[p][c]);
        }
      }
    }
  }
  for (int p = 0; p < P; p++)
    for (int c = 0; c < CO; c++) out[p * kLanes + c] = hn::GetLane(hn::SumOfLanes(d, acc[p][c]));
}

using Sums = void (*)(const float*, int64_t, int64_t, int64_t, int, int, const float*, float*);

void load_patch(const DirectArgs& a, int y0, int rows, int x0, float* patch) {
  const int pad = a.pad;
  const int patch_h = (rows - 1) * a.stride + a.k;
  const int uh = a.h * a.up, uw = a.w * a.up;
  const int64_t row_floats = int64_t(a.patch_w) * a.cin_pad;
  for (int r = 0; r < patch_h; r++) {
    float* to = patch + r * row_floats;
    const int uy = y0 * a.stride - pad + r;
    if (uy < 0 || uy >= uh) {
      for (int64_t i = 0; i < row_floats; i++) to[i] = 0;
      continue;
    }
    const float* from = a.x + int64_t(uy / a.up) * a.x_row;
    for (int j = 0; j < a.patch_w; j++, to += a.cin_pad) {
      const int ux = x0 * a.stride - pad + j;
      const bool inside = ux >= 0 && ux < uw;
      if (inside) copy_floats(from + int64_t(ux / a.up) * a.x_px, to, a.cin);
      for (int c = inside ? a.cin : 0; c < a.cin_pad; c++) to[c] = 0;
    }
  }
}

void direct_tile(const DirectArgs& a, int item, float* patch) {
  const int y0 = a.row_begin + item / a.tiles_x * a.tile_h, x0 = item % a.tiles_x * a.tile_w;
  const int rows = a.row_end - y0 < a.tile_h ? a.row_end - y0 : a.tile_h;
  const int width = a.out_w - x0 < a.tile_w ? a.out_w - x0 : a.tile_w;
  load_patch(a, y0, rows, x0, patch);

  HWY_ALIGN float sums[kPx * 2 * kLanes];
  const int64_t tap_px = a.cin_pad, px = tap_px * a.stride, row = int64_t(a.patch_w) * a.cin_pad;
  if (a.dot) {
    constexpr int P = kPx == 12 ? 6 : 3;
    constexpr Sums kDot[4] = {sums_dot<P, 1>, sums_dot<P, 2>, sums_dot<P, 3>, sums_dot<P, 4>};
    HWY_ALIGN float line[(kMaxTileW + P) * kLanes] = {};
    for (int y = 0; y < rows; y++) {
      // A whole line before its epilogue: reading scalar stores back as vectors right away would stall.
      for (int p = 0; p < width; p += P)
        kDot[a.cout - 1](patch + y * a.stride * row + p * px, px, tap_px, row, a.k, a.cin_pad, a.panel,
                         line + p * kLanes);
      emit(a.epilogue, line, kLanes, y0 + y, x0, width, 0, a.cout);
    }
    return;
  }
  const int64_t kk = int64_t(a.k) * a.k * a.cin;
  for (int co = 0; co < a.cout; co += 2 * kLanes) {
    const float* panel = a.panel + co * kk;
    const int nv = a.cout - co > kLanes ? 2 : 1;
    const int count = a.cout - co < nv * kLanes ? a.cout - co : nv * kLanes;
    for (int y = 0; y < rows; y++) {
      for (int p = 0; p < width;) {
        const int left = width - p;
        const int n = left > 2 * kPxStep ? kPx : left > kPxStep ? 2 * kPxStep : kPxStep;
        const Sums f = n == kPx           ? (nv == 2 ? sums_cout<kPx, 2> : sums_cout<kPx, 1>)
                       : n == 2 * kPxStep ? (nv == 2 ? sums_cout<2 * kPxStep, 2> : sums_cout<2 * kPxStep, 1>)
                                          : (nv == 2 ? sums_cout<kPxStep, 2> : sums_cout<kPxStep, 1>);
        f(patch + y * a.stride * row + p * px, px, tap_px, row, a.k, a.cin, panel, sums);
        emit(a.epilogue, sums, nv * kLanes, y0 + y, x0 + p, left < n ? left : n, co, count);
        p += n;
      }
    }
    if (a.sums.at)
      for (int p = 0; p < width; p += kChunkColumns)
        take_chunk(a.sums, a.epilogue.y, a.epilogue.y_row, a.epilogue.y_px, y0, x0 + p, a.row_end, a.out_w,
                   co, count);
  }
}

// [block][k*k*cin][nv * kLanes], zero-padded; the last block has one vector if that suffices.
void direct_pack(const DirectArgs& a, int block) {
  const int64_t kk = int64_t(a.k) * a.k;
  if (a.dot) {
    float column[4];
    for (int64_t tap = 0; tap < kk; tap++) {
      for (int ci = 0; ci < a.cin_pad; ci++) {
        for (int c = 0; c < a.cout; c++) column[c] = 0;
        if (ci < a.cin) widen(a.weight, a.weight_f16, (tap * a.cin + ci) * a.cout, a.cout, column);
        float* to = a.panel + ((tap * a.cin_pad + ci / kLanes * kLanes) * a.cout) + ci % kLanes;
        for (int c = 0; c < a.cout; c++) to[c * kLanes] = column[c];
      }
    }
    return;
  }
  const int co = block * 2 * kLanes;
  const int nv = a.cout - co > kLanes ? 2 : 1;
  const int count = a.cout - co < nv * kLanes ? a.cout - co : nv * kLanes;
  float* to = a.panel + co * kk * a.cin;
  for (int64_t i = 0; i < kk * a.cin; i++, to += nv * kLanes) {
    widen(a.weight, a.weight_f16, i * a.cout + co, count, to);
    for (int c = count; c < nv * kLanes; c++) to[c] = 0;
  }
}

const DirectKernels* direct_table() {
  static constexpr DirectKernels table = {kLanes, kPxStep, direct_pack, direct_tile};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ups::cpu {

HWY_EXPORT(direct_table);
const DirectKernels& direct_kernels() { return *HWY_DYNAMIC_DISPATCH(direct_table)(); }

}  // namespace ups::cpu
#endif
