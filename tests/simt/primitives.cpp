// Tensor core fragments, swizzles and reductions of the emulator against plain double loops, in layouts taken
// from the PTX ISA.
#include "kernels/device/copy.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/device/reduce.cuh"
#include "kernels/device/wgmma.cuh"
#include "tests/simt/emulator_test.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

Stream& stream() {
  static Stream s(devices().front());
  return s;
}

template <class T>
void random_halves(simt::Buffer<T>& b, Random& random) {
  for (size_t i = 0; i < b.size(); i++) b[i] = from_float<T>(random.normal());
}

// One warp: d [16, 8] = a [16, 16] * b [8, 16]^T, all row-major.
template <class T>
struct TileSmem {
  alignas(16) T a[16][16], b[8][16];
};
template <class T>
__global__ void one_tile(const T* a, const T* b, float* d) {
  auto& s = shared<TileSmem<T>>();
  const int lane = lane_index();
  copy_async<16>(&s.a[lane / 2][lane % 2 * 8], a + lane * 8);
  if (lane < 16) copy_async<16>(&s.b[lane / 2][lane % 2 * 8], b + lane * 8);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  uint32_t fa[4], fb[2];
  ldmatrix_x4(fa, &s.a[lane % 16][lane / 16 * 8]);
  ldmatrix_x2(fb, &s.b[lane % 8][lane / 8 % 2 * 8]);
  float acc[4] = {};
  mma_m16n8k16<T>(acc, fa, fb[0], fb[1]);
  for (int i = 0; i < 4; i++) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = acc[i];
}

template <class T>
void check_one_tile(Random& random) {
  simt::Buffer<T> a(16 * 16), b(8 * 16);
  simt::Buffer<float> d(16 * 8);
  random_halves(a, random), random_halves(b, random);
  launch(one_tile<T>, {.block = 32, .smem_bytes = sizeof(TileSmem<T>), .stream = &stream()}, a.data(),
         b.data(), d.data());
  double worst = 0;
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 8; n++) {
      double sum = 0;
      for (int k = 0; k < 16; k++) sum += double(to_float(a[m * 16 + k])) * to_float(b[n * 16 + k]);
      worst = std::max(worst, std::abs(sum - d[size_t(m * 8 + n)]));
    }
  CHECK(worst < 16 * 16 * 1.2e-7);  // 16 additions of values up to 16
}

__global__ void transposed(const half_t* in, half_t* out) {
  auto& s = shared<TileSmem<half_t>>();
  const int lane = lane_index();
  for (int i = lane; i < 256; i += 32) s.a[i / 16][i % 16] = in[i];
  __syncthreads();
  uint32_t r[4];
  // matrices (0, 0), (8, 0), (0, 8), (8, 8), each transposed
  ldmatrix_x4_trans(r, &s.a[lane % 16][lane / 16 * 8]);
  for (int i = 0; i < 4; i++) {
    const int row = i / 2 * 8 + lane / 4, column = i % 2 * 8 + lane % 4 * 2;
    out[row * 16 + column] = {uint16_t(r[i])};
    out[row * 16 + column + 1] = {uint16_t(r[i] >> 16)};
  }
}

__global__ void tf32_tile(const float* a, const float* b, float* d) {
  const int lane = lane_index(), group = lane / 4, pair = lane % 4;
  uint32_t fa[4], fb[2];
  for (int i = 0; i < 4; i++) fa[i] = host::to_bits(a[(group + i % 2 * 8) * 8 + pair + i / 2 * 4]);
  for (int i = 0; i < 2; i++) fb[i] = host::to_bits(b[group * 8 + pair + 4 * i]);
  float acc[4] = {};
  mma_m16n8k8_tf32(acc, fa, fb[0], fb[1]);
  for (int i = 0; i < 4; i++) d[(group + i / 2 * 8) * 8 + pair * 2 + i % 2] = acc[i];
}

__global__ void sums(const float* in, float* out) {
  out[threadIdx.x] = warp_sum(in[threadIdx.x]);
  out[128 + threadIdx.x] = warp_max(in[threadIdx.x]);
}

// One warpgroup: d [64, Cols] = a [64 pixels, c] * b [Cols, c]^T by TMA and wgmma, 64 channels at a time, one
// slot.
template <int Cols>
struct GemmSmem {
  alignas(1024) half_t a[64 * 64];
  alignas(1024) half_t b[Cols * 64];
  uint64_t full;
};
template <int Cols>
__global__ void gemm(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* d,
                     int chunks, bool wait) {
  auto& s = shared<GemmSmem<Cols>>();
  if (threadIdx.x == 0) mbarrier_init(&s.full, 1), mbarrier_init_fence();
  __syncthreads();
  float acc[Cols / 2];
  for (float& v : acc) v = 0;
  for (int chunk = 0; chunk < chunks; chunk++) {
    if (threadIdx.x == 0) {
      mbarrier_arrive_expect(&s.full, sizeof s.a + sizeof s.b);
      tensor_copy(s.a, a, chunk * 64, -1, -1, &s.full);
      tensor_copy(s.b, b, chunk * 64, 0, 0, &s.full);
    }
    mbarrier_wait(&s.full, unsigned(chunk));
    wgmma_fence();
    for (int k = 0; k < 4; k++)
      wgmma_m64k16<half_t, Cols>(acc, matrix_descriptor(s.a + 16 * k), matrix_descriptor(s.b + 16 * k));
    wgmma_commit();
    if (wait) wgmma_wait<0>();
    __syncthreads();
  }
  const int warp = warp_index(), lane = lane_index();
  for (int i = 0; i < Cols / 2; i++)
    d[(warp * 16 + lane / 4 + i / 2 % 2 * 8) * Cols + i / 4 * 8 + lane % 4 * 2 + i % 2] = acc[i];
}

template <int Cols>
void check_gemm(Random& random) {
  const int c = 136, chunks = 3;  // the last chunk has 8 channels; the first row and column lie outside
  simt::Buffer<half_t> a(7 * 7 * c), b{size_t(Cols * c)};
  simt::Buffer<float> d(64 * Cols);
  random_halves(a, random), random_halves(b, random);
  const Tensor ta{a.data(), DType::f16, 1, 7, 7, c, 0, 7 * c, c},
      tb{b.data(), DType::f16, 1, 1, Cols, c, 0, Cols * c, c};
  const TensorMap ma = make_tensor_map(ta, 8, 8), mb = make_tensor_map(tb, 1, Cols);
  for_each_schedule([&](simt::Schedule) {
    launch(gemm<Cols>, {.block = 128, .smem_bytes = sizeof(GemmSmem<Cols>), .stream = &stream()}, ma, mb,
           d.data(), chunks, true);
    double worst = 0;
    for (int m = 0; m < 64; m++)
      for (int n = 0; n < Cols; n++) {
        double sum = 0;
        const int y = m / 8 - 1, x = m % 8 - 1;
        if (y >= 0 && x >= 0)
          for (int k = 0; k < c; k++)
            sum += double(to_float(a[size_t((y * 7 + x) * c + k)])) * to_float(b[size_t(n * c + k)]);
        const double error = std::abs(sum - d[size_t(m * Cols + n)]);
        worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
      }
    CHECK(worst < 136 * 3 * 1.2e-7);
    launch(gemm<Cols>, {.block = 128, .smem_bytes = sizeof(GemmSmem<Cols>), .stream = &stream()}, ma, mb,
           d.data(), chunks, false);
    CHECK(std::isnan(d[9]));  // nobody waited for the products
  });
}

}  // namespace

TEST_CASE("ldmatrix and mma.m16n8k16 multiply f16 and bf16 tiles", "[simt][mma]") {
  UPS_RANDOM(random);
  for_each_schedule([&](simt::Schedule) {
    check_one_tile<half_t>(random);
    check_one_tile<bf16_t>(random);
  });
}

TEST_CASE("ldmatrix.trans transposes 8x8 matrices", "[simt][mma]") {
  simt::Buffer<half_t> in(256), out(256);
  for (size_t i = 0; i < 256; i++) in[i] = {uint16_t(i)};
  launch(transposed, {.block = 32, .smem_bytes = sizeof(TileSmem<half_t>), .stream = &stream()}, in.data(),
         out.data());
  bool same = true;
  for (int y = 0; y < 16; y++)
    for (int x = 0; x < 16; x++) same = same && out[size_t(y * 16 + x)].bits == in[size_t(x * 16 + y)].bits;
  CHECK(same);
}

TEST_CASE("mma.m16n8k8 multiplies tf32 tiles", "[simt][mma]") {
  UPS_RANDOM(random);
  simt::Buffer<float> a(16 * 8), b(8 * 8), d(16 * 8);
  for (size_t i = 0; i < a.size(); i++) a[i] = random.normal();
  for (size_t i = 0; i < b.size(); i++) b[i] = random.normal();
  launch(tf32_tile, {.block = 32, .stream = &stream()}, a.data(), b.data(), d.data());
  double worst = 0;
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 8; n++) {
      double sum = 0;
      for (int k = 0; k < 8; k++)
        sum += double(host::tf32(host::to_bits(a[m * 8 + k]))) * host::tf32(host::to_bits(b[n * 8 + k]));
      worst = std::max(worst, std::abs(sum - d[size_t(m * 8 + n)]));
    }
  CHECK(worst < 8 * 8 * 1.2e-7);
}

TEST_CASE("sums and maxima of warps equal plain loops", "[simt][reduce]") {
  UPS_RANDOM(random);
  simt::Buffer<float> in(128), out(256);
  for_each_schedule([&](simt::Schedule) {
    for (int i = 0; i < 128; i++) in[i] = random.normal();
    launch(sums, {.block = 128, .stream = &stream()}, in.data(), out.data());
    bool same = true;
    for (int i = 0; i < 128; i++) {
      double sum = 0;
      float most = -INFINITY;
      for (int j = i / 32 * 32; j < i / 32 * 32 + 32; j++) sum += in[j], most = std::max(most, in[j]);
      same = same && std::abs(out[i] - sum) < 32 * 1e-6 && out[128 + i] == most;
    }
    CHECK(same);
  });
}

TEST_CASE("TMA boxes and wgmma multiply; without a wait the accumulators are undefined", "[simt][hopper]") {
  UPS_RANDOM(random);
  check_gemm<32>(random);
  check_gemm<64>(random);
}

TEST_CASE("half and bfloat16 conversions round trip, and round to nearest even", "[simt][device]") {
  bool same = true;
  for (int i = 0; i < 65536; i++) {
    const float h = to_float(half_t{uint16_t(i)}), b = to_float(bf16_t{uint16_t(i)});
    if (!std::isnan(h)) same = same && from_float<half_t>(h).bits == i;
    if (!std::isnan(b)) same = same && from_float<bf16_t>(b).bits == i;
  }
  CHECK(same);
  CHECK(from_float<half_t>(65519.0f).bits == 0x7bff);
  CHECK(from_float<half_t>(65520.0f).bits == 0x7c00);
  CHECK(from_float<half_t>(2049.0f).bits == from_float<half_t>(2048.0f).bits);
  CHECK(from_float<half_t>(2051.0f).bits == from_float<half_t>(2052.0f).bits);
  CHECK(from_float<half_t>(1e-8f).bits == 0);
  CHECK(from_float<half_t>(-3e-8f).bits == 0x8001);
}
