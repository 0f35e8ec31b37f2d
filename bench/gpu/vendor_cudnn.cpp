// Convolutions by cuDNN's graph API: every engine configuration that its heuristics propose is timed.
#include <cudnn.h>
#include <cudnn_graph.h>

#include <cmath>
#include <random>
#include <vector>

#include "bench/gpu/shared_library.h"
#include "bench/gpu/vendor.h"

namespace ups::bench {
namespace {

// The functions of the library that are used here.
struct Api {
  decltype(cudnnGetVersion)* version;
  decltype(cudnnGetErrorString)* error_string;
  decltype(cudnnCreate)* create;
  decltype(cudnnDestroy)* destroy;
  decltype(cudnnSetStream)* set_stream;
  decltype(cudnnBackendCreateDescriptor)* create_descriptor;
  decltype(cudnnBackendDestroyDescriptor)* destroy_descriptor;
  decltype(cudnnBackendFinalize)* finalize;
  decltype(cudnnBackendSetAttribute)* set;
  decltype(cudnnBackendGetAttribute)* get;
  decltype(cudnnBackendExecute)* execute;

  explicit Api(const SharedLibrary& library) {
    library.find(version, "cudnnGetVersion");
    library.find(error_string, "cudnnGetErrorString");
    library.find(create, "cudnnCreate");
    library.find(destroy, "cudnnDestroy");
    library.find(set_stream, "cudnnSetStream");
    library.find(create_descriptor, "cudnnBackendCreateDescriptor");
    library.find(destroy_descriptor, "cudnnBackendDestroyDescriptor");
    library.find(finalize, "cudnnBackendFinalize");
    library.find(set, "cudnnBackendSetAttribute");
    library.find(get, "cudnnBackendGetAttribute");
    library.find(execute, "cudnnBackendExecute");
  }
  void verify(cudnnStatus_t status, const char* doing) const {
    check(status == CUDNN_STATUS_SUCCESS, Code::device, "cuDNN: ", doing, " failed: ", error_string(status));
  }
};

// A descriptor of the graph API: attributes, then finalize().
class Descriptor {
 public:
  Descriptor(const Api& api, cudnnBackendDescriptorType_t type) : api_(&api) {
    api.verify(api.create_descriptor(type, &handle_), "making a descriptor");
  }
  ~Descriptor() {
    if (handle_) api_->destroy_descriptor(handle_);
  }
  Descriptor(Descriptor&& other) noexcept
      : api_(other.api_), handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  cudnnBackendDescriptor_t handle() const { return handle_; }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::vector<T>& values) {
    api_->verify(api_->set(handle_, name, type, int64_t(values.size()), values.data()),
                 "setting an attribute");
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& other) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::vector<cudnnBackendDescriptor_t>{other.handle_});
  }
  void finalize(const char* what) { api_->verify(api_->finalize(handle_), what); }

 private:
  const Api* api_;
  cudnnBackendDescriptor_t handle_ = nullptr;
};

class Cudnn final : public Vendor {
 public:
  Cudnn() : library_("libcudnn.so.9"), api_(library_) { api_.verify(api_.create(&handle_), "starting"); }
  ~Cudnn() override { api_.destroy(handle_); }
  std::string version() const override {
    const size_t v = api_.version();
    return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
  }
  VendorTiming conv2d(const ConvShape& s, DType dtype, cuda::Stream& stream, double seconds) override;

 private:
  Descriptor tensor(int64_t id, cudnnDataType_t type, std::vector<int64_t> nchw) const;
  std::vector<Descriptor> configurations(const Descriptor& graph) const;
  std::string engine_name(const Descriptor& configuration) const;

  SharedLibrary library_;
  Api api_;
  cudnnHandle_t handle_ = nullptr;
};

// Dense, channels last.
Descriptor Cudnn::tensor(int64_t id, cudnnDataType_t type, std::vector<int64_t> nchw) const {
  const int64_t c = nchw[1], h = nchw[2], w = nchw[3];
  Descriptor d(api_, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector<cudnnDataType_t>{type});
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, nchw);
  d.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, std::vector<int64_t>{h * w * c, 1, w * c, c});
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, std::vector<int64_t>{id});
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::vector<int64_t>{256});
  d.finalize("describing a tensor");
  return d;
}

std::vector<Descriptor> Cudnn::configurations(const Descriptor& graph) const {
  std::vector<Descriptor> all;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    Descriptor heuristic(api_, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE,
                  std::vector<cudnnBackendHeurMode_t>{mode});
    if (api_.finalize(heuristic.handle()) != CUDNN_STATUS_SUCCESS) continue;
    int64_t count = 0;
    if (api_.get(heuristic.handle(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count,
                 nullptr) != CUDNN_STATUS_SUCCESS)
      continue;
    std::vector<Descriptor> found;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (int64_t i = 0; i < std::min<int64_t>(count, 24); i++) {
      found.emplace_back(api_, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
      handles.push_back(found.back().handle());
    }
    int64_t got = 0;
    if (handles.empty() ||
        api_.get(heuristic.handle(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                 int64_t(handles.size()), &got, handles.data()) != CUDNN_STATUS_SUCCESS)
      continue;
    for (int64_t i = 0; i < got && i < int64_t(found.size()); i++) all.push_back(std::move(found[size_t(i)]));
  }
  return all;
}

std::string Cudnn::engine_name(const Descriptor& configuration) const {
  Descriptor engine(api_, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t handle = engine.handle();
  int64_t count = 0, index = -1;
  if (api_.get(configuration.handle(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
               &handle) != CUDNN_STATUS_SUCCESS ||
      api_.get(handle, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &index) !=
          CUDNN_STATUS_SUCCESS)
    return "?";
  return std::to_string(index);
}

VendorTiming Cudnn::conv2d(const ConvShape& s, DType dtype, cuda::Stream& stream, double seconds) {
  const cudnnDataType_t type = dtype == DType::f16    ? CUDNN_DATA_HALF
                               : dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16
                                                      : CUDNN_DATA_FLOAT;
  api_.verify(api_.set_stream(handle_, static_cast<cudaStream_t>(stream.handle())), "choosing the stream");
  const int64_t h = s.h * s.up, w = s.w * s.up, out_h = s.grid_h(), out_w = s.grid_w();
  const Descriptor x = tensor(1, type, {1, s.cin, h, w}), filter = tensor(2, type, {s.cout, s.cin, s.k, s.k}),
                   y = tensor(3, type, {1, s.cout, out_h, out_w});

  Descriptor conv(api_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const std::vector<int64_t> pad(2, s.stride > 1 ? 0 : s.k / 2), pad_end(2, s.k / 2), ones(2, 1),
      strides(2, s.stride);
  conv.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::vector<int64_t>{2});
  conv.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
           std::vector<cudnnDataType_t>{CUDNN_DATA_FLOAT});
  conv.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE,
           std::vector<cudnnConvolutionMode_t>{CUDNN_CROSS_CORRELATION});
  conv.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, pad);
  conv.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, pad_end);
  conv.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, ones);
  conv.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, strides);
  conv.finalize("describing the convolution");

  Descriptor operation(api_, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, filter);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, std::vector<float>{1});
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, std::vector<float>{0});
  operation.finalize("describing the operation");

  Descriptor graph(api_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  const std::vector<cudnnHandle_t> handle{handle_};
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // earlier versions need them
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
  graph.finalize("describing the graph");

  // Buffers larger than the cache, of random numbers.
  const size_t x_bytes = size_t(s.cin * h * w) * size_t(dtype_bytes(dtype)),
               y_bytes = size_t(s.cout * out_h * out_w) * size_t(dtype_bytes(dtype));
  const int sets = std::clamp(int(size_t(stream.device().l2_bytes) * 3 / (x_bytes + y_bytes)) + 1, 2, 16);
  std::mt19937 engine(1);
  std::vector<uint32_t> pattern(1 << 18);  // about 0.5 .. 2 in magnitude in each format
  for (uint32_t& v : pattern)
    v = dtype == DType::f16    ? 0x38003800 | (engine() & 0x87ff87ff)
        : dtype == DType::bf16 ? 0x3f003f00 | (engine() & 0x80ff80ff)
                               : 0x3f000000 | (engine() & 0x80ffffff);
  std::vector<cuda::DeviceMemory> xs, ys;
  for (int i = 0; i < sets; i++) {
    xs.emplace_back(stream, x_bytes), ys.emplace_back(stream, y_bytes);
    for (size_t at = 0; at < x_bytes; at += pattern.size() * 4)
      stream.upload(static_cast<char*>(xs.back().data()) + at, pattern.data(),
                    std::min(pattern.size() * 4, x_bytes - at));
  }
  const size_t filter_bytes = size_t(s.cout) * s.cin * s.k * s.k * size_t(dtype_bytes(dtype));
  cuda::DeviceMemory filters(stream, filter_bytes);
  for (size_t at = 0; at < filter_bytes; at += pattern.size() * 4)
    stream.upload(static_cast<char*>(filters.data()) + at, pattern.data(),
                  std::min(pattern.size() * 4, filter_bytes - at));
  stream.synchronize();

  VendorTiming best;
  std::string last_failure = "no engine proposed";
  const double until = now_s() + 20 * seconds;  // of trying engines
  for (const Descriptor& configuration : configurations(graph)) {
    if (best.tried && now_s() > until) break;
    try {
      Descriptor plan(api_, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
      plan.finalize("preparing an engine");
      int64_t workspace_bytes = 0, count = 0;
      api_.verify(api_.get(plan.handle(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                           &count, &workspace_bytes),
                  "asking for the workspace");
      if (workspace_bytes > int64_t(4) << 30) continue;
      cuda::DeviceMemory workspace(stream, size_t(std::max<int64_t>(workspace_bytes, 256)));
      std::vector<Descriptor> packs;
      for (int i = 0; i < sets; i++) {
        packs.emplace_back(api_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        Descriptor& pack = packs.back();
        pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::vector<int64_t>{1, 2, 3});
        pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                 std::vector<void*>{xs[size_t(i)].data(), filters.data(), ys[size_t(i)].data()});
        pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
                 std::vector<void*>{workspace.data()});
        pack.finalize("binding buffers");
      }
      const auto run = [&](int i) {
        api_.verify(api_.execute(handle_, plan.handle(), packs[size_t(i % sets)].handle()),
                    "running an engine");
      };
      // A short look first; the full time only for what may win.
      Timing t = time_launches(stream, sets, 0.01, run, false);
      if (best.tried == 0 || t.ms < best.timing.ms * 1.05)
        t = time_launches(stream, sets, seconds, run, false);
      best.tried++;
      if (best.timing.samples == 0 || t.ms < best.timing.ms)
        best.timing = t, best.engine = engine_name(configuration);
    } catch (const Error& e) {
      last_failure = e.what();  // engines that the heuristics propose need not run
    }
  }
#pragma GCC diagnostic pop
  check(best.tried > 0, Code::device, last_failure);
  return best;
}

}  // namespace

std::unique_ptr<Vendor> make_vendor(std::string* why) {
  try {
    return std::make_unique<Cudnn>();
  } catch (const Error& e) {
    *why = e.what();
    return nullptr;
  }
}

}  // namespace ups::bench
