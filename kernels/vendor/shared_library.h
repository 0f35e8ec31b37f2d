// A shared library opened at run time.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "kernels/error.h"

namespace ups::cuda {

// Kept open for the life of the process. Throws Error{Code::device} with the loader's reasons.
class SharedLibrary {
 public:
  explicit SharedLibrary(const std::string& name) : name_(name) {
    const char* setting = std::getenv("UPS_VENDOR_PATH");
    std::istringstream folders(setting ? setting : "");
    for (std::string folder; !handle_ && std::getline(folders, folder, ':');)
      if (!folder.empty()) handle_ = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!handle_) handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!handle_) fail(Code::device, dlerror());
  }
  template <class Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    check(function, Code::device, name_, " has no ", name);
  }

 private:
  std::string name_;
  void* handle_ = nullptr;
};

}  // namespace ups::cuda
