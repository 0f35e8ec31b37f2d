// Whatever was thrown, as a sentence and an exit code.
#include "apps/failure.h"

#include <new>
#include <system_error>

namespace ups::apps {

Failure failure_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Failure& e) {
    return e;
  } catch (const std::bad_alloc&) {
    return {kMemory, "not enough memory (use a smaller --tile, or --max-ram below what there is)"};
  } catch (const std::system_error& e) {
    if (e.code() == std::errc::resource_unavailable_try_again)  // what std::thread throws
      return {kMemory, "not enough memory for another thread, or too many of them"};
    return {kDevice, std::string("internal error: ") + e.what()};
  } catch (const std::exception& e) {
    return {kDevice, std::string("internal error: ") + e.what()};
  }
}

}  // namespace ups::apps
