// Group statistics of an image while its rows are made. No std header (ODR: see targets.h).
//
// The unit is a chunk of 4 rows by 16 columns. Its sums are taken in f32, by channel, of differences from its
// first pixel, because squares of numbers far from zero would cancel; always in one order, whoever takes
// them: the convolution that has just stored the pixels, or GroupStats on its own. Chunks add up in double,
// from left to right, these rows of chunks from top to bottom. So the bits depend neither on threads nor on
// strips, which begin at multiples of 4 rows, nor on which of the two it was.
#pragma once

#include <stdint.h>

#include "kernels/ops.h"

namespace ups::cpu {

constexpr int kChunkRows = 4, kChunkColumns = 16;

// Sums of the chunks of some rows of an image.
struct ChunkSums {
  // [rows of chunks][across][3][c]: first pixel, sums, sums of squares; null: not wanted
  float* at = nullptr;
  int first = 0;   // row of chunks at `at`
  int across = 0;  // chunks in a row
  int c = 0;       // channels, padded to whole vectors

  // From channel `co` of the chunk that holds pixel (y, x).
  constexpr float* of(int y, int x, int co) const {
    return at + (int64_t(y / kChunkRows - first) * across + x / kChunkColumns) * 3 * c + co;
  }
};

struct Context;
struct Rows;

// Throws Error{Code::device} unless the operands fit together and rows are multiples of kChunkRows.
void check_group_stats(const GroupStats<Tensor>& op, Rows rows);
// Floats of memory that statistics of these rows take.
int64_t statistics_floats(const GroupStats<Tensor>& op, Rows rows, int threads);
// `room`: statistics_floats(), aligned to 64 bytes.
ChunkSums chunk_sums(const GroupStats<Tensor>& op, Rows rows, float* room);
// All chunks of these rows are there: adds them to op.y.
void add_statistics(const GroupStats<Tensor>& op, Rows rows, const ChunkSums& sums, Context& context);

}  // namespace ups::cpu
