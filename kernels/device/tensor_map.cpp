// tensor_map.h over the CUDA driver, which is found at run time. Not yet run on hardware.
#include "kernels/device/tensor_map.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>

#include "kernels/error.h"

namespace ups::cuda {
namespace {

using Encode = decltype(cuTensorMapEncodeTiled);

Encode* find_encode() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t status =
      cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result);
#endif
  cudaGetLastError();
  check(status == cudaSuccess && result == cudaDriverEntryPointSuccess && found, Code::device,
        "CUDA: the driver has no cuTensorMapEncodeTiled, expected one of CUDA 12 or later");
  return reinterpret_cast<Encode*>(found);
}

}  // namespace

TensorMap make_tensor_map(const Tensor& t, int box_h, int box_w, int box_c) {
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) && alignof(TensorMap) >= alignof(CUtensorMap));
  static Encode* const encode = find_encode();
  CUtensorMap map;
  const cuuint64_t extent[3] = {cuuint64_t(t.c), cuuint64_t(t.w), cuuint64_t(t.h)};
  const cuuint64_t strides[2] = {cuuint64_t(t.px) * 2, cuuint64_t(t.row) * 2};
  const cuuint32_t box[3] = {cuuint32_t(box_c), cuuint32_t(box_w), cuuint32_t(box_h)}, steps[3] = {1, 1, 1};
  const CUresult status =
      encode(&map, t.dtype == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
             3, t.data, extent, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             box_c == 16 ? CU_TENSOR_MAP_SWIZZLE_32B : CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  check(status == CUDA_SUCCESS, Code::device, "CUDA: describing an image [", t.h, ", ", t.w, ", ", t.c,
        "] to the copy engine failed: error ", int(status));
  TensorMap result;
  std::memcpy(&result, &map, sizeof map);
  return result;
}

}  // namespace ups::cuda
