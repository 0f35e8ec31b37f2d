// Hands each piece of work on, silently.
#include "apps/codecs/jxl_threads.h"

#include "apps/quiet_library.h"

namespace ups::apps {
namespace {

struct Piece {
  void* library;
  JxlParallelRunInit init;
  JxlParallelRunFunction work;
};

}  // namespace

JxlParallelRetCode JxlThreads::run(void* self, void* library, JxlParallelRunInit init,
                                   JxlParallelRunFunction work, uint32_t begin, uint32_t end) {
  Piece piece{library, init, work};
  const auto begun = [](void* p, size_t threads) {
    const Piece* piece = static_cast<Piece*>(p);
    return piece->init(piece->library, threads);
  };
  const auto quietly = [](void* p, uint32_t value, size_t thread) {
    const QuietLibrary quiet;
    const Piece* piece = static_cast<Piece*>(p);
    piece->work(piece->library, value, thread);
  };
  return JxlResizableParallelRunner(static_cast<JxlThreads*>(self)->runner_.get(), &piece, begun, quietly,
                                    begin, end);
}

}  // namespace ups::apps
