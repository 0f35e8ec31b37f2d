// What DAT computes from its weights once: position biases, batch normalisation folded into convolutions,
// layers cut into those parts that the graph wants apart.
#pragma once

#include "arch/derived.h"
#include "kernels/tensor.h"
#include "weights/state_dict.h"

namespace ups {

// The window of the attention at `path`, from the relative positions it stores. Throws Error{Code::model}.
Extent dat_split(const StateDict& weights, const std::string& path);

// Of the block at `block`: attn.qkv -> attn.qk and attn.v; ffn.fc1 -> ffn.fc1.0 and .1, its halves; the batch
// normalisations of attn.dwconv, attn.channel_interaction and attn.spatial_interaction go into the
// convolutions before them; spatial: attn.attns.{0,1}.bias [heads, 2 h - 1, 2 w - 1] in the order of
// WindowAttention, windows `split` and its turn.
void derive_dat_block(Derived& derived, const Scope& block, int embed_dim, bool spatial, Extent split);

}  // namespace ups
