// Lets an encoder start on an image whose rows are still being computed, top to bottom, by another thread.
// The image may hold fewer rows than it has: then the producer waits until the encoder has let go of earlier
// ones.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

namespace ups::apps {

class RowsReady {
 public:
  // The producer: returns once rows [0, rows) are no longer needed; false if nobody wants the image any more.
  bool claim(int rows) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return released_ >= rows || abandoned_; });
    return !abandoned_;
  }
  // The producer: rows [0, rows) are complete.
  void advance(int rows) {
    set([&] { ready_ = rows; });
  }
  // The producer writes no more; with an error, waiting readers get it. Must be called in any case.
  void end(std::exception_ptr error, double seconds) {
    set([&] { over_ = true, error_ = error, seconds_ = seconds; });
  }

  // The reader: returns once rows [0, rows) are complete. Rethrows the producer's error.
  void wait(int rows) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_ >= rows || over_; });
    if (error_) std::rethrow_exception(error_);
  }
  // The reader: will not look at rows [0, rows) again.
  void release(int rows) {
    set([&] { released_ = std::max(released_, rows); });
  }
  // The reader: will look at nothing again.
  void abandon() {
    set([&] { abandoned_ = true; });
  }
  // Returns once the producer has ended: only then may the pixels go.
  void wait_over() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return over_; });
  }
  double seconds() {  // that the producer took
    std::lock_guard lock(mutex_);
    return seconds_;
  }

 private:
  template <class F>
  void set(F change) {
    std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int ready_ = 0, released_ = 0;
  bool over_ = false, abandoned_ = false;
  std::exception_ptr error_;
  double seconds_ = 0;
};

// A member of Image behind its pixels, so that it is destroyed before them: it waits until nobody writes
// there.
struct RowsPending {
  std::shared_ptr<RowsReady> state;
  RowsPending() = default;
  RowsPending(RowsPending&&) = default;
  RowsPending& operator=(RowsPending&&) = default;
  ~RowsPending() {
    if (!state) return;
    state->abandon();
    state->wait_over();
  }
  void wait(int rows) const {
    if (state) state->wait(rows);
  }
  void release(int rows) const {
    if (state) state->release(rows);
  }
};

}  // namespace ups::apps
