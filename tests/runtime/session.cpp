// What a session keeps ready, and what it does not when memory is short.
#include "runtime/session.h"

#include "kernels/cpu/pool.h"
#include "kernels/error.h"
#include "tests/runtime/nets.h"
#include "tests/runtime/wrapped_backend.h"

using namespace ups;
using namespace ups::testing;

namespace {

// Refuses the first plans to be bound.
class ShortOfMemory final : public WrappedBackend {
 public:
  ShortOfMemory(std::unique_ptr<Backend> inner, int refused)
      : WrappedBackend(std::move(inner)), refused_(refused) {}
  void bind(Plan& plan) override {
    check(refused_-- <= 0, Code::memory, "no room");
    WrappedBackend::bind(plan);
  }

 private:
  int refused_;
};

}  // namespace

TEST_CASE("a plan that got no memory is not ready the next time", "[runtime][session]") {
  UPS_RANDOM(random);
  Pool pool(1);
  Session session(one_conv(random, 3, 3), std::make_unique<ShortOfMemory>(make_cpu_backend(pool), 2));
  for (int i = 0; i < 2; i++) {
    CHECK_THROWS_WITH(session.prepare({4, 5}), "no room");
    CHECK_THROWS_AS(session.run(), Error);  // nothing is prepared
  }
  const Plan& plan = session.prepare({4, 5});
  for (int y = 0; y < 4; y++)
    for (int x = 0; x < 5; x++)
      for (int k = 0; k < 3; k++) plan.x.at(y, x)[k] = 0.5f;
  session.run();
  CHECK(std::isfinite(plan.y.at(3, 4)[2]));
}
