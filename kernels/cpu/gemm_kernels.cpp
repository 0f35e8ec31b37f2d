// The matrix product of linear layers, per ISA.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// after it
#include <hwy/cache_control.h>

#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/gemm-inl.h"
#include "kernels/cpu/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace ups::cpu {
namespace HWY_NAMESPACE {
namespace {

// Zero-padded; the last panel has one vector if that suffices.
void gemm_pack(const GemmArgs& a, int block) {
  const int co = block * 2 * kLanes;
  const int nv = a.cout - co > kLanes ? 2 : 1;
  const int count = a.cout - co < nv * kLanes ? a.cout - co : nv * kLanes;
  float* to = a.panel + int64_t(co) * a.cin;
  for (int i = 0; i < a.cin; i++, to += nv * kLanes) {
    widen(a.weight, a.weight_f16, int64_t(i) * a.cout + co, count, to);
    for (int c = count; c < nv * kLanes; c++) to[c] = 0;
  }
}

// Asks for n pixels of c channels, px floats apart.
void prefetch(const float* p, int64_t px, int c, int n) {
  for (int i = 0; i < n; i++, p += px)
    for (int k = 0; k < c; k += 16) hwy::Prefetch(p + k);
}

void gemm_pixels(const GemmArgs& a, const float* x, int64_t x_px, int y, int x0, int n, float* room) {
  // What the panels will touch again and again, before the first product needs it.
  if (a.epilogue.shuffle == 1) {
    prefetch(a.epilogue.y + y * a.epilogue.y_row + x0 * a.epilogue.y_px, a.epilogue.y_px, a.cout, n);
    for (int i = 0; i < a.epilogue.adds; i++) {
      const Epilogue::Add& add = a.epilogue.add[i];
      prefetch(add.data + y * add.row + x0 * add.px, add.px, a.cout / add.group, n);
    }
  }
  prefetch(x + a.ahead * x_px, x_px, a.cin, n);
  // A register tile computes more rows than are left at the end: from copies, so that nothing beyond is read.
  const int whole = n / gemm::kRows * gemm::kRows;
  float* sums = room;
  float* copies = room + gemm::kRows * 2 * kLanes;
  for (int p = whole; p < n; p++) copy_floats(x + p * x_px, copies + int64_t(p - whole) * a.cin, a.cin);

  for (int co = 0; co < a.cout; co += 2 * kLanes) {
    const int nv = a.cout - co > kLanes ? 2 : 1;
    const int count = a.cout - co < nv * kLanes ? a.cout - co : nv * kLanes;
    const float* panel = a.panel + int64_t(co) * a.cin;
    for (int p = 0; p < n;) {
      const int rows = gemm::rows_for(n - p), used = n - p < rows ? n - p : rows;
      const gemm::Tile tile = gemm::tile_for(rows, nv);
      if (p < whole)
        tile(x + p * x_px, x_px, a.cin, panel, sums, nv * kLanes);
      else
        tile(copies + int64_t(p - whole) * a.cin, a.cin, a.cin, panel, sums, nv * kLanes);
      emit(a.epilogue, sums, nv * kLanes, y, x0 + p, used, co, count);
      p += used;
    }
  }
}

}  // namespace

const GemmKernels* gemm_table() {
  static constexpr GemmKernels table = {kLanes, gemm::kRows, gemm_pack, gemm_pixels};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ups::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ups::cpu {

HWY_EXPORT(gemm_table);
const GemmKernels& gemm_kernels() { return *HWY_DYNAMIC_DISPATCH(gemm_table)(); }

}  // namespace ups::cpu
#endif
