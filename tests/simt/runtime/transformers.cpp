// SwinIR, Swin2SR and HAT through runtime/backend_cuda.cpp, on emulated kernels or a GPU.
#include "tests/simt/runtime/golden_run.h"

using namespace ups;
using namespace ups::testing;

TEST_CASE("transformers through the CUDA backend give the picture of the reference",
          "[simt][backend][transformers]") {
  int round = 0;
  for (const GoldenNet& net : golden_nets("transformers")) {
    DYNAMIC_SECTION(net.name) {
      const auto io = open_weights(net.io);
      const std::string which = io->has("output1") ? "1" : "0";
      for (Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
        INFO("precision " << int(precision));
        take_schedule(round++);
        const double error = run_golden(net, precision, which).relative();
        // As on the CPU; in 16 bits fifty layers round twice each by half a unit, the worst pixel at 5 sigma.
        const double unit = precision == Precision::fp16 ? 0x1p-11 : 0x1p-8;
        CHECK(error <= (precision == Precision::fp32 ? 2e-5 : 29 * unit));
      }
      take_schedule(0);
    }
  }
}

TEST_CASE("transformer sublayers run whole in 16 bits and in parts in fp32",
          "[simt][backend][transformers]") {
  for (const GoldenNet& net : golden_nets("transformers")) {
    INFO(net.name);
    for (Precision precision : {Precision::fp16, Precision::fp32}) {
      Session session = open_on_device(net, precision);
      const int side = session.info().multiple_of;
      const std::string steps = session.backend().explain(session.prepare({side, side}));
      const auto has = [&](const char* step) { return steps.find(step) != std::string::npos; };
      const bool half = precision == Precision::fp16;
      CHECK(has("mlp_sublayer") == half);
      CHECK(has("attention_sublayer") == half);
      CHECK(has("window_attention") != half);
    }
  }
}

TEST_CASE("a transformer that overflows in fp16 is computed again in bf16", "[simt][backend][transformers]") {
  for (const GoldenNet& net : golden_nets("transformers")) {
    if (net.name != "swinir_classical_x2" && net.name != "swin2sr_classical_x2") continue;
    INFO(net.name);
    const auto io = open_weights(net.io);
    Planes lr = planes(*io, "input1");
    for (float& v : lr.v) v *= 1e6f;  // the first convolution is beyond the largest half, 65504
    Pool pool(1);
    Session exact(open_network(open_weights(net.weights)), make_cpu_backend(pool));
    const Planes reference = run_network(exact, lr);
    Session session = open_on_device(net, Precision::automatic);
    CHECK(outcome_of(session, lr, reference).relative() <= 29 * 0x1p-8);
  }
}

TEST_CASE("automatic precision avoids fp16 where a transformer's weights do not fit",
          "[simt][backend][transformers]") {
  for (const GoldenNet& net : golden_nets("transformers")) {
    if (net.name != "swinir_classical_x2") continue;
    const auto file = open_weights(net.weights);
    const auto enlarged = std::make_shared<StateDict>();
    enlarged->source = file->source;
    const std::string key = "layers.0.residual_group.blocks.0.mlp.fc1.weight";
    std::vector<float> large = file->floats(key);
    large[0] = 1e5f;
    for (const auto& [name, entry] : file->entries()) {
      Entry e = entry;
      if (name == key) e.element = Element::f32, e.bytes = std::as_bytes(std::span(large));
      enlarged->add(name, e);
    }
    enlarged->keep(file);
    Session safe(open_network(enlarged), make_cuda_backend(test_device(), Precision::automatic));
    CHECK_THAT(safe.backend().describe(), Catch::Contains("bf16"));
    Session normal = open_on_device(net, Precision::automatic);
    CHECK_THAT(normal.backend().describe(), Catch::Contains("fp16"));
    CHECK_THROWS_AS(Session(open_network(enlarged), make_cuda_backend(test_device(), Precision::fp16)),
                    Error);
  }
}
