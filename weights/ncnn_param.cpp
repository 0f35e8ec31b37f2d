// The .param grammar: magic, counts, then one layer per line with "id=value" parameters. Arrays are written
// "-233NN=len,v,..." (id NN) by older tools and "NN=v,v" by newer ones, strings are quoted.
#include "weights/ncnn_param.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kernels/error.h"

namespace ups::ncnn {
namespace {

constexpr int kArrayBase = -23300;
constexpr size_t kMaxArray = 65536;

class Line {
 public:
  Line(std::string_view text, int number, const std::string& who) : text_(text), number_(number), who_(who) {}

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    check(ok, Code::model, who_, ": line ", number_, " ", parts...);
  }
  // The next word, empty at the end of the line. Blanks inside quotes do not separate.
  std::string_view word() {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (at_ < text_.size() && blank(text_[at_])) ++at_;
    const size_t first = at_;
    for (bool quoted = false; at_ < text_.size() && (quoted || !blank(text_[at_])); ++at_)
      quoted ^= text_[at_] == '"';
    return text_.substr(first, at_ - first);
  }
  std::string text(const char* what) {
    const std::string_view w = word();
    require(!w.empty(), "ends before ", what);
    return std::string(w);
  }
  int integer(std::string_view w, const char* what) const {
    int value = 0;
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
    require(error == std::errc{} && end == w.data() + w.size(), "has '", w.substr(0, 40), "' as ", what,
            ", expected an integer");
    return value;
  }
  int count(const char* what, int most) {
    const int value = integer(word(), what);
    require(value >= 0 && value <= most, "has ", value, " as ", what, ", expected 0 to ", most);
    return value;
  }
  double real(std::string_view w) const {
    double value = 0;
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
    require(error == std::errc{} && end == w.data() + w.size() && std::isfinite(value), "has the value '",
            w.substr(0, 40), "', expected a number");
    return value;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  int number_;
  const std::string& who_;
};

void parse_parameter(Layer& layer, std::string_view w, const Line& line) {
  const size_t equals = w.find('=');
  line.require(equals != std::string_view::npos, "has '", w.substr(0, 40), "', expected id=value");
  int id = line.integer(w.substr(0, equals), "a parameter id");
  std::string_view rest = w.substr(equals + 1);
  const bool old_array = id <= kArrayBase;
  if (old_array) id = kArrayBase - id;
  line.require(id >= 0 && id < 64, "has the parameter id ", id, ", expected 0 to 63");
  if (!rest.empty() && rest.front() == '"') {
    line.require(rest.size() >= 2 && rest.back() == '"', "has a string without its closing quote");
    layer.strings[id] = rest.substr(1, rest.size() - 2);
    return;
  }
  std::vector<double> values;
  for (size_t comma = 0; comma != std::string_view::npos;) {
    comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    if (item.empty() && comma == std::string_view::npos && !values.empty())
      break;  // "id=v,": one-element array
    line.require(values.size() < kMaxArray, "has an array of more than ", kMaxArray, " values");
    values.push_back(line.real(item));
    if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
  }
  if (old_array) {
    line.require(values[0] == double(values.size() - 1), "has an array of ", values.size() - 1,
                 " values that claims ", values[0]);
    values.erase(values.begin());
  }
  const bool is_array = old_array || w.find(',') != std::string_view::npos;
  (is_array ? layer.arrays : layer.values)[id] = std::move(values);
}

}  // namespace

double Layer::real(int id, double otherwise) const {
  const auto found = values.find(id);
  return found == values.end() || found->second.empty() ? otherwise : found->second[0];
}

int Layer::integer(int id, int otherwise) const {
  const double value = real(id, otherwise);
  check(value == std::floor(value) && std::abs(value) <= 2147483647.0, Code::model, "ncnn: ", described(),
        " has parameter ", id, " = ", value, ", expected an integer");
  return int(value);
}

std::vector<Layer> parse_param(std::string_view text, const std::string& who) {
  std::vector<Layer> layers;
  int number = 0, stage = 0, expected = 0;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    Line line(text.substr(0, newline), ++number, who);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    const std::string_view first = line.word();
    if (first.empty()) continue;
    if (stage == 0) {
      line.require(first == "7767517", "has '", first.substr(0, 40), "', expected the ncnn magic 7767517");
      stage = 1;
    } else if (stage == 1) {
      expected = line.integer(first, "the number of layers");
      line.require(expected > 0, "has ", expected, " layers");
      stage = 2;
    } else {
      Layer layer;
      layer.type = first;
      layer.name = line.text("the layer's name");
      const int inputs = line.count("the number of inputs", 4096);
      const int outputs = line.count("the number of outputs", 4096);
      for (int i = 0; i < inputs; ++i) layer.inputs.push_back(line.text("its input blobs"));
      for (int i = 0; i < outputs; ++i) layer.outputs.push_back(line.text("its output blobs"));
      for (std::string_view w = line.word(); !w.empty(); w = line.word()) parse_parameter(layer, w, line);
      layers.push_back(std::move(layer));
    }
  }
  check(stage == 2, Code::model, who, ": is not a complete ncnn .param file (it ends in the heading)");
  check(layers.size() == size_t(expected), Code::model, who, ": has ", layers.size(),
        " layers, its heading says ", expected, " (truncated file?)");
  return layers;
}

}  // namespace ups::ncnn
