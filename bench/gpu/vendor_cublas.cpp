// The matmul peak, measured with cuBLAS.
#include <cublas_v2.h>

#include <random>

#include "bench/gpu/vendor.h"
#include "kernels/vendor/shared_library.h"

namespace ups::bench {

double matmul_peak_tflops(DType dtype, cuda::Stream& stream) {
  const cuda::SharedLibrary library("libcublas.so." + std::to_string(CUBLAS_VER_MAJOR));
  decltype(cublasCreate_v2)* create = nullptr;
  decltype(cublasDestroy_v2)* destroy = nullptr;
  decltype(cublasSetStream_v2)* set_stream = nullptr;
  decltype(cublasGemmEx_64)* gemm = nullptr;
  library.find(create, "cublasCreate_v2");
  library.find(destroy, "cublasDestroy_v2");
  library.find(set_stream, "cublasSetStream_v2");
  library.find(gemm, "cublasGemmEx_64");

  const int64_t n = 8192;
  const size_t bytes = size_t(n) * n * 2;
  std::mt19937 engine(1);
  std::vector<uint16_t> pattern(1 << 20);  // 0.5 .. 1 in magnitude, random signs and fractions
  for (uint16_t& v : pattern)
    v = dtype == DType::f16 ? uint16_t(0x3800 | (engine() & 0x83ff)) : uint16_t(0x3f00 | (engine() & 0x807f));
  cuda::DeviceMemory a(stream, bytes), b(stream, bytes), c(stream, bytes);
  for (cuda::DeviceMemory* m : {&a, &b})
    for (size_t at = 0; at < bytes; at += pattern.size() * 2)
      stream.upload(static_cast<char*>(m->data()) + at, pattern.data(), pattern.size() * 2);
  stream.synchronize();

  cublasHandle_t handle = nullptr;
  const auto verify = [](cublasStatus_t status, const char* doing) {
    check(status == CUBLAS_STATUS_SUCCESS, Code::device, "cuBLAS: ", doing, " failed with status ",
          int(status));
  };
  verify(create(&handle), "starting");
  verify(set_stream(handle, static_cast<cudaStream_t>(stream.handle())), "choosing the stream");
  const cudaDataType type = dtype == DType::f16 ? CUDA_R_16F : CUDA_R_16BF;
  const float one = 1, zero = 0;
  const auto multiply = [&](int) {
    verify(gemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, &one, a.data(), type, n, b.data(), type, n, &zero,
                c.data(), type, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
           "the product");
  };
  const Timing t = time_launches(stream, 1, 0.3, multiply, false);
  destroy(handle);
  return 2.0 * double(n * n * n) / t.ms * 1e-9;
}

}  // namespace ups::bench
