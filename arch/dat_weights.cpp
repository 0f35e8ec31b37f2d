// Weight transformations of DAT.
#include "arch/dat_weights.h"

#include <cmath>

#include "kernels/error.h"

namespace ups {

namespace {

constexpr double kEps = 1e-5;  // of both normalisations

std::vector<float> read(const StateDict& w, const std::string& key, int64_t count) {
  check(w.at(key).count() == count, Code::model, w.source, ": weight '", key, "' has ", w.at(key).count(),
        " values, expected ", count);
  return w.floats(key);
}

void check_rows(const StateDict& w, const std::string& key, int64_t rows) {
  check(w.at(key).shape.size() == 2 && w.dim(key, 0) == rows, Code::model, w.source, ": weight '", key,
        "' has ", w.dim(key, 0), " rows, expected ", rows);
}

// Rows [0, at) of the layer `from` become the layer `first`, the rest `second`.
void cut(Derived& derived, const std::string& from, int64_t at, const std::string& first,
         const std::string& second) {
  const StateDict& file = derived.file();
  const std::string weight = from + ".weight", bias = from + ".bias";
  const int64_t rows = file.dim(weight, 0), columns = file.dim(weight, 1);
  const std::vector<float> w = read(file, weight, rows * columns);
  derived.set(first + ".weight", {at, columns}, {w.begin(), w.begin() + at * columns});
  derived.set(second + ".weight", {rows - at, columns}, {w.begin() + at * columns, w.end()});
  derived.drop(weight);
  if (!file.has(bias)) return;
  const std::vector<float> b = read(file, bias, rows);
  derived.set(first + ".bias", {at}, {b.begin(), b.begin() + at});
  derived.set(second + ".bias", {rows - at}, {b.begin() + at, b.end()});
  derived.drop(bias);
}

// conv followed by the batch normalisation `norm`, as one convolution.
void fold(Derived& derived, const Scope& conv, const Scope& norm) {
  const StateDict& file = derived.file();
  const std::string weight = conv.path() + ".weight", bias = conv.path() + ".bias";
  const Entry& entry = file.at(weight);
  check(entry.shape.size() == 4, Code::model, file.source, ": weight '", weight, "' is no convolution");
  const int64_t rows = entry.shape[0], columns = entry.count() / std::max<int64_t>(1, rows);
  std::vector<float> w = file.floats(weight), b = read(file, bias, rows);
  const auto vector = [&](const char* leaf) { return read(file, norm.path() + leaf, rows); };
  const auto gamma = vector(".weight"), beta = vector(".bias"), mean = vector(".running_mean"),
             variance = vector(".running_var");
  for (int64_t r = 0; r < rows; r++) {
    const double scale = gamma[r] / std::sqrt(double(variance[r]) + kEps);
    for (int64_t c = 0; c < columns; c++) w[r * columns + c] = float(w[r * columns + c] * scale);
    b[r] = float((double(b[r]) - mean[r]) * scale + beta[r]);
  }
  derived.set(weight, entry.shape, std::move(w));
  derived.set(bias, {rows}, std::move(b));
  derived.drop(norm.path() + ".weight"), derived.drop(norm.path() + ".bias");
}

// y = W x + b
std::vector<double> linear(const StateDict& w, const std::string& at, const std::vector<double>& x) {
  const int64_t columns = int64_t(x.size()), rows = w.dim(at + ".weight", 0);
  const std::vector<float> weight = read(w, at + ".weight", rows * columns),
                           bias = read(w, at + ".bias", rows);
  std::vector<double> y(bias.begin(), bias.end());
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) y[r] += weight[r * columns + c] * x[c];
  return y;
}

// Linear(ReLU(LayerNorm(x)))
std::vector<double> position_layer(const StateDict& w, const std::string& at, std::vector<double> x) {
  const int64_t n = int64_t(x.size());
  const std::vector<float> gamma = read(w, at + ".0.weight", n), beta = read(w, at + ".0.bias", n);
  double mean = 0, variance = 0;
  for (double v : x) mean += v / double(n);
  for (double v : x) variance += (v - mean) * (v - mean) / double(n);
  for (int64_t i = 0; i < n; i++)
    x[i] = std::max(0.0, (x[i] - mean) / std::sqrt(variance + kEps) * gamma[i] + beta[i]);
  return linear(w, at + ".2", x);
}

// The dynamic position bias: a small network on the offset of query and key in pixels.
void derive_bias(Derived& derived, const Scope& attn, Extent window) {
  const StateDict& file = derived.file();
  const std::string pos = (attn / "pos").path();
  const int64_t heads = file.dim(pos + ".pos3.2.weight", 0);
  const int h = 2 * window.h - 1, w = 2 * window.w - 1;
  check(heads >= 1 && heads <= 1024, Code::model, file.source, ": '", pos, "' has ", heads, " heads");
  derived.expect_room(heads * h * w);
  std::vector<float> table(size_t(heads) * h * w);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      // The table's place (y, x) is that of key minus query; the file's offset is query minus key.
      std::vector<double> v =
          linear(file, pos + ".pos_proj", {double(window.h - 1 - y), double(window.w - 1 - x)});
      for (const char* layer : {".pos1", ".pos2", ".pos3"}) v = position_layer(file, pos + layer, v);
      check(int64_t(v.size()) == heads, Code::model, file.source, ": '", pos, "' gives ", v.size(), " heads");
      for (int64_t n = 0; n < heads; n++) table[size_t((n * h + y) * w + x)] = float(v[n]);
    }
  derived.set((attn / "bias").path(), {heads, h, w}, std::move(table));
  for (const auto& [key, entry] : file.entries())
    if (key.rfind(pos + ".", 0) == 0) derived.drop(key);
}

}  // namespace

Extent dat_split(const StateDict& w, const std::string& path) {
  const std::string key = path + ".rpe_biases";
  const int64_t rows = w.dim(key, 0);
  check(rows >= 1 && rows < 65536, Code::model, w.source, ": '", key, "' has ", rows,
        " offsets, expected those of a window");
  const std::vector<float> offsets = read(w, key, rows * 2);
  const float y = offsets[offsets.size() - 2], x = offsets.back();  // the largest: window - 1
  check(y >= 0 && x >= 0 && y < 128 && x < 128 && y == std::floor(y) && x == std::floor(x) &&
            rows == (2 * int64_t(y) + 1) * (2 * int64_t(x) + 1),
        Code::model, w.source, ": '", key, "' has ", rows, " offsets up to ", y, ", ", x,
        ", expected those of a window");
  const Extent split{int(y) + 1, int(x) + 1};
  check(std::max(split.h, split.w) % std::min(split.h, split.w) == 0, Code::model, w.source,
        ": DAT: windows of ", split.w, "x", split.h, " do not tile the same image upright and lying");
  return split;
}

void derive_dat_block(Derived& derived, const Scope& block, int embed_dim, bool spatial, Extent split) {
  const StateDict& file = derived.file();
  const Scope attn = block / "attn", ffn = block / "ffn";
  const std::string qkv = (attn / "qkv").path(), fc1 = (ffn / "fc1").path();
  check_rows(file, qkv + ".weight", 3 * embed_dim);
  const int64_t hidden = file.dim(fc1 + ".weight", 0);
  check_rows(file, fc1 + ".weight", hidden / 2 * 2);
  cut(derived, qkv, 2 * embed_dim, (attn / "qk").path(), (attn / "v").path());
  cut(derived, fc1, hidden / 2, (ffn / "fc1" / 0).path(), (ffn / "fc1" / 1).path());
  fold(derived, attn / "dwconv" / 0, attn / "dwconv" / 1);
  fold(derived, attn / "channel_interaction" / 1, attn / "channel_interaction" / 2);
  fold(derived, attn / "spatial_interaction" / 0, attn / "spatial_interaction" / 1);
  if (!spatial) return;
  derive_bias(derived, attn / "attns" / 0, split);
  derive_bias(derived, attn / "attns" / 1, {split.w, split.h});
}

}  // namespace ups
