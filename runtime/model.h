// What a model is: facts, a way to build its graph, and the families that can be recognised.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/graph.h"
#include "weights/state_dict.h"

namespace ups {

// Facts read from tensor names and shapes. Receptive field, parameters and FLOP come from the graph.
struct Info {
  std::string family;        // "ESRGAN"
  std::string variant;       // a few words: "Real-ESRGAN RRDBNet, new keys"
  int scale = 1;             // of the network: HR side / LR side
  int down = 1;              // or LR side / HR side: an encoder
  double default_scale = 0;  // what to deliver when no scale is asked; 0: `scale` (metadata "default_scale")
  int in_c = 3, out_c = 3;
  int multiple_of = 1;  // LR sides the network accepts: multiples of this; others are padded by reflection
  std::vector<std::pair<std::string, int>> hyper;  // {"num_feat", 64}, ... in the paper's order and words
};

struct Network {
  Info info;
  std::function<Value(Graph&, Value lr)> build;
  std::shared_ptr<const StateDict> weights;  // the file, or what open() made of it for build()
  int64_t parameters = 0;                    // learned numbers of the file; 0: those the graph uses
};

struct Family {
  const char* id;                    // "ESRGAN"
  const char* summary;               // one line for the list of supported networks
  bool (*detect)(const StateDict&);  // no false negatives; order of families() resolves false positives
  Network (*open)(std::shared_ptr<const StateDict>);
};

// In detection order. Defined in arch/registry.cpp: an explicit list, because static libraries drop
// self-registering objects.
std::span<const Family* const> families();

// Recognises the architecture and reads its hyper-parameters. Throws Error{Code::model} listing what is
// supported and the first keys seen when nothing matches.
Network open_network(std::shared_ptr<const StateDict> weights);

}  // namespace ups
