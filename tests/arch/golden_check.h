// What the golden networks of every family are put to: the picture of the reference, on every ISA; refusals.
#pragma once

#include <iostream>

#include "kernels/cpu/isa.h"
#include "kernels/error.h"
#include "tests/arch/golden_net.h"

namespace ups::testing {

// What open_network() says of weights it cannot use; "accepted" of others.
inline std::string refusal(const std::shared_ptr<StateDict>& weights) {
  try {
    open_network(weights);
  } catch (const Error& e) {
    CHECK(e.code == Code::model);
    return e.what();
  }
  return "accepted";
}

// Every picture of every net, by 1 and 3 threads on every ISA, within `bound` of the reference relative to
// its largest value (to 1 if that is smaller). each_session may check more of a Session. UPS_PRINT_ERRORS
// prints.
template <class EachSession>
void check_pictures(const std::vector<GoldenNet>& nets, double bound, const EachSession& each_session) {
  for (int threads : {1, 3})
    for (const std::string& isa : cpu::isa_available()) {
      cpu::isa_force(isa);
      Pool pool(threads);
      for (const GoldenNet& net : nets) {
        const auto io = open_weights(net.io);
        Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
        each_session(session);
        for (int i = 0; io->has("input" + std::to_string(i)); i++) {
          INFO(net.name << " picture " << i << ", " << threads << " threads, " << isa);
          const Planes reference = planes(*io, "output" + std::to_string(i));
          const Planes hr = run_network(session, planes(*io, "input" + std::to_string(i)));
          REQUIRE(hr.v.size() == reference.v.size());
          double largest = 0, worst = 0;
          bool finite = true;
          for (size_t k = 0; k < hr.v.size(); k++) {
            finite = finite && std::isfinite(hr.v[k]);
            largest = std::max(largest, std::fabs(double(reference.v[k])));
            worst = std::max(worst, std::fabs(double(hr.v[k]) - reference.v[k]));
          }
          CHECK(finite);
          CHECK(worst <= bound * std::max(1.0, largest));
          if (std::getenv("UPS_PRINT_ERRORS") && threads == 1)
            std::cout << net.name << ' ' << isa << ' ' << i << ' ' << worst << '\n';
        }
      }
    }
  cpu::isa_force(cpu::isa_available().front());
}

}  // namespace ups::testing
