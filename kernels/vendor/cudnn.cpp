// cudnn.h
#include "kernels/vendor/cudnn.h"

#include <cudnn.h>
#include <cudnn_graph.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "kernels/vendor/shared_library.h"

namespace ups::cuda {
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

class Library final : public Cudnn {
 public:
  Library() : library_("libcudnn.so.9"), api_(library_) { api_.verify(api_.create(&handle_), "starting"); }
  std::string version() const override {
    const size_t v = api_.version();
    return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
  }
  void for_each_plan(const VendorConv& shape, const std::function<bool(std::unique_ptr<CudnnPlan>)>& use,
                     std::string* why) override;

  const Api& api() const { return api_; }
  cudnnHandle_t handle() const { return handle_; }

 private:
  Descriptor tensor(int64_t id, cudnnDataType_t type, const std::vector<int64_t>& nchw,
                    const std::vector<int64_t>& strides) const;
  std::vector<Descriptor> configurations(const Descriptor& graph) const;
  std::string engine_name(const Descriptor& configuration) const;

  SharedLibrary library_;
  Api api_;
  cudnnHandle_t handle_ = nullptr;
};

class Plan final : public CudnnPlan {
 public:
  Plan(const Library& library, const Descriptor& configuration, std::string engine)
      : library_(&library),
        plan_(library.api(), CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR),
        engine_(std::move(engine)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // earlier versions need it
    plan_.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE,
              std::vector<cudnnHandle_t>{library.handle()});
#pragma GCC diagnostic pop
    plan_.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    plan_.finalize("preparing an engine");
    int64_t bytes = 0, count = 0;
    library.api().verify(library.api().get(plan_.handle(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                           CUDNN_TYPE_INT64, 1, &count, &bytes),
                         "asking for the workspace");
    workspace_bytes_ = size_t(std::max<int64_t>(bytes, 256));
  }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  std::string engine() const override { return engine_; }
  int bind(const VendorConv& operands, void* workspace) override {
    Descriptor pack(library_->api(), CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::vector<int64_t>{1, 2, 3});
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
             std::vector<void*>{operands.x.data, const_cast<void*>(operands.filters), operands.y.data});
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, std::vector<void*>{workspace});
    pack.finalize("binding buffers");
    packs_.push_back(std::move(pack));
    return int(packs_.size()) - 1;
  }
  void run(int bound, Stream& stream) override {
    const Api& api = library_->api();
    api.verify(api.set_stream(library_->handle(), static_cast<cudaStream_t>(stream.handle())),
               "choosing the stream");
    api.verify(api.execute(library_->handle(), plan_.handle(), packs_[size_t(bound)].handle()),
               "running an engine");
  }

 private:
  const Library* library_;
  Descriptor plan_;
  std::string engine_;
  size_t workspace_bytes_ = 0;
  std::vector<Descriptor> packs_;
};

Descriptor Library::tensor(int64_t id, cudnnDataType_t type, const std::vector<int64_t>& nchw,
                           const std::vector<int64_t>& strides) const {
  Descriptor d(api_, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector<cudnnDataType_t>{type});
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, nchw);
  d.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides);
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, std::vector<int64_t>{id});
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::vector<int64_t>{16});
  d.finalize("describing a tensor");
  return d;
}

std::vector<Descriptor> Library::configurations(const Descriptor& graph) const {
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

std::string Library::engine_name(const Descriptor& configuration) const {
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

void Library::for_each_plan(const VendorConv& s, const std::function<bool(std::unique_ptr<CudnnPlan>)>& use,
                            std::string* why) {
  const cudnnDataType_t type = s.x.dtype == DType::f16    ? CUDNN_DATA_HALF
                               : s.x.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16
                                                          : CUDNN_DATA_FLOAT;
  const auto image = [&](int64_t id, const Tensor& t) {
    return tensor(id, type, {1, t.c, t.h, t.w}, {t.h * t.row, 1, t.row, t.px});
  };
  const int64_t cin = s.x.c, k = s.k;
  const Descriptor x = image(1, s.x), y = image(3, s.y),
                   filter = tensor(2, type, {s.y.c, cin, k, k}, {k * k * cin, 1, k * cin, cin});

  Descriptor conv(api_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const std::vector<int64_t> pad(2, s.stride > 1 ? 0 : k / 2), pad_end(2, k / 2), ones(2, 1),
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
#pragma GCC diagnostic pop
  *why = "no engine proposed";
  for (const Descriptor& configuration : configurations(graph)) {
    try {
      if (!use(std::make_unique<Plan>(*this, configuration, engine_name(configuration)))) return;
    } catch (const Error& e) {
      *why = e.what();  // engines that the heuristics propose need not run
    }
  }
}

}  // namespace

Cudnn& Cudnn::get() {
  static auto* const library = new Library;  // outlives everything that may still run at exit
  return *library;
}

}  // namespace ups::cuda
