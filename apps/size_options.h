// The options that say how large the result is and what fills its margins.
#pragma once

#include <string>

#include "apps/options.h"

namespace CLI {
class App;
}

namespace ups::apps {

struct SizeArguments {
  void declare(CLI::App& app);   // this object must outlive the parsing
  void apply(Options& o) const;  // throws Failure(kUsage); o.scale is set before

 private:
  std::string width_, height_, size_, fit_, gravity_, background_, long_side_, short_side_, max_side_,
      megapixels_, multiple_of_;
};

}  // namespace ups::apps
