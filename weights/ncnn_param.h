// The text half of an ncnn model (.param): layers, the blobs that connect them, and their parameters.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ups::ncnn {

struct Layer {
  std::string type, name;
  std::vector<std::string> inputs, outputs;
  std::map<int, std::vector<double>> values;  // scalars have one value; absent means the default
  std::map<int, std::vector<double>> arrays;  // keys as written in the new notation (0, 1, ...)
  std::map<int, std::string> strings;

  double real(int id, double otherwise) const;
  // Throws Error{Code::model} when the value is not a whole number of 32 bits.
  int integer(int id, int otherwise) const;
  // "Convolution 'Conv_0'" for messages.
  std::string described() const { return type + " '" + name + "'"; }
};

// Parses the text of a .param file. Throws Error{Code::model} with the line number.
std::vector<Layer> parse_param(std::string_view text, const std::string& who);

}  // namespace ups::ncnn
