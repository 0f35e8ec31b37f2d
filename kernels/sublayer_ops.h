// The vocabulary, part three: the two halves of a transformer layer (conventions: kernels/ops.h).
//
// Each is a composition of operators of kernels/ops.h. A backend with a kernel for the whole says so when
// plans are made (runtime/plan.h); for any other the planner puts the parts in its place, which parts()
// names.
#pragma once

#include "kernels/ops.h"

namespace ups {

// Where a layer normalises: in front of what it computes (Swin), behind it (Swin v2), or not at all.
enum class NormAt : uint8_t { none, before, after };

// y = residual + proj(attention(qkv(LN(x))))     NormAt::before
// y = residual + LN(proj(attention(qkv(x))))     NormAt::after
// y = residual + proj(attention(qkv(x)))         NormAt::none
//   x, residual, y [h, w, c]; qkv: linear c -> 3 * heads * d, proj: linear heads * d -> c
//   attention: WindowAttention of all channels, with the fields of the same names.
template <class T>
struct AttentionSublayer {
  static constexpr const char* kName = "attention_sublayer";
  static constexpr bool kComposite = true;
  T x{}, residual{}, y{};
  NormAt norm_at = NormAt::before;
  Weight norm{}, qkv{}, bias{}, proj{};
  float eps = 1e-5f;
  Extent window{8, 8}, keys{8, 8}, shift{};
  int heads = 1, d = 1;
  float scale = 1;
  bool cosine = false;
  template <class F>
  void operands(F&& f) {
    f(x, false), f(residual, false), f(y, true);
  }
  template <class U, class F>
  AttentionSublayer<U> map(F&& f) const {
    return {f(x), f(residual), f(y), norm_at, norm,  qkv, bias,  proj,
            eps,  window,      keys, shift,   heads, d,   scale, cosine};
  }
  template <class F>
  void weights(F&& f) {
    f(norm), f(qkv), f(bias), f(proj);
  }
  RowUse rows() const { return {.whole = true}; }  // windows wrap around the image
  double flop() const {
    return 2.0 * qkv.cout * qkv.cin + 2.0 * proj.cout * proj.cin + 4.0 * keys.h * keys.w * heads * d;
  }
  // emit(part) for each part in order; room(c) names a new image of c channels, as large as x.
  template <class Room, class Emit>
  void parts(Room&& room, Emit&& emit) const {
    T in = x;
    if (norm_at == NormAt::before) {
      in = room(qkv.cin);
      emit(LayerNorm<T>{x, {}, in, norm, eps});
    }
    const T projections = room(qkv.cout), attended = room(heads * d);
    emit(Conv2d<T>{.x = in, .y = projections, .w = qkv});
    emit(WindowAttention<T>{projections, attended, bias, window, keys, shift, heads, d, 0, scale, cosine, 1});
    if (norm_at != NormAt::after) {
      emit(Conv2d<T>{.x = attended, .y = y, .w = proj, .add = {residual, 1, 1}});
      return;
    }
    const T projected = room(proj.cout);
    emit(Conv2d<T>{.x = attended, .y = projected, .w = proj});
    emit(LayerNorm<T>{projected, residual, y, norm, eps});
  }
};

// y = x + fc2(gelu(fc1(LN(x)))) + add.scale * add.t     NormAt::before
// y = x + LN(fc2(gelu(fc1(x))))                         NormAt::after, without add
//   x, y [h, w, c]; fc1: linear c -> hidden, fc2: linear hidden -> c; add.group is 1
template <class T>
struct MlpSublayer {
  static constexpr const char* kName = "mlp_sublayer";
  static constexpr bool kComposite = true;
  T x{}, y{};
  NormAt norm_at = NormAt::before;
  Weight norm{}, fc1{}, fc2{};
  float eps = 1e-5f;
  Addend<T> add{};
  template <class F>
  void operands(F&& f) {
    f(x, false), f(add.t, false), f(y, true);
  }
  template <class U, class F>
  MlpSublayer<U> map(F&& f) const {
    return {f(x), f(y), norm_at, norm, fc1, fc2, eps, {f(add.t), add.scale, add.group}};
  }
  template <class F>
  void weights(F&& f) {
    f(norm), f(fc1), f(fc2);
  }
  RowUse rows() const { return {}; }
  double flop() const { return 2.0 * fc1.cout * fc1.cin + 2.0 * fc2.cout * fc2.cin; }
  // As AttentionSublayer::parts.
  template <class Room, class Emit>
  void parts(Room&& room, Emit&& emit) const {
    T in = x;
    if (norm_at == NormAt::before) {
      in = room(fc1.cin);
      emit(LayerNorm<T>{x, {}, in, norm, eps});
    }
    const T hidden = room(fc1.cout);
    emit(Conv2d<T>{.x = in, .y = hidden, .w = fc1, .act = Act::gelu});
    if (norm_at != NormAt::after) {
      emit(Conv2d<T>{.x = hidden, .y = y, .w = fc2, .add = {x, 1, 1}, .add2 = add});
      return;
    }
    const T projected = room(fc2.cout);
    emit(Conv2d<T>{.x = hidden, .y = projected, .w = fc2});
    emit(LayerNorm<T>{projected, x, y, norm, eps});
  }
};

}  // namespace ups
