// The flag that Ctrl-C raises.
#include "apps/cancel.h"

#include <signal.h>

#include <atomic>

#include "apps/failure.h"

namespace ups::apps {
namespace {

std::atomic<bool> g_cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // required inside a signal handler

void on_signal(int) { g_cancelled.store(true); }

}  // namespace

void install_cancel_handler() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESETHAND;
  sigemptyset(&action.sa_mask);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    sigaction(s, nullptr, &old);
    if (old.sa_handler != SIG_IGN) sigaction(s, &action, nullptr);  // nohup stays nohup
  }
  for (int s : {SIGPIPE, SIGXFSZ}) signal(s, SIG_IGN);  // a closed pipe and a full quota are write errors
}

bool cancelled() { return g_cancelled.load(std::memory_order_relaxed); }

void throw_if_cancelled() {
  if (cancelled()) throw Failure(kCancelled, "cancelled");
}

}  // namespace ups::apps
