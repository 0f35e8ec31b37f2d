// Plan: a graph at one image size, resolved to a list of kernel calls inside one arena.
//
// The planner decides only where memory lives:
//   1. Concat placement. Largest concat first; its parts are written by their producers straight into
//      channel slices of one buffer. A part that outlives the concat keeps its own buffer and is copied once.
//   2. Liveness. Buffers get first-fit offsets in one arena, largest first.
//   3. Strips. The last operators (usually the upsampling tail, 16 times as many pixels as the trunk) run in
//      horizontal strips with rolling windows, so full-height high-resolution intermediates never exist.
//      A graph with statistics over the whole image (GroupNorm) or attention is cut at these into segments,
//      each in strips of its own; the statistics accumulate as the rows are made. Nothing is computed twice,
//      and the bits are those of the whole image.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "runtime/expand.h"

namespace ups {

struct PlanStep {
  Op<Tensor> op;
  int row_begin = 0, row_end = INT_MAX;  // output rows before the shuffle (kernels/cpu/run.h Rows)
  double flop = 0;                       // of these rows
};

struct Plan {
  Extent lr, hr;
  size_t arena_bytes = 0;
  Tensor x, y;                  // network input and output, f32, inside the arena
  std::vector<PlanStep> steps;  // tensors hold offsets into the arena until bind()
  double flop = 0;

  // For tests: which bytes are taken, between which operators (inclusive); copies into concats; operators
  // from strip_first_op on run in strips, -1: none.
  struct Buffer {
    size_t offset, bytes;
    int first_op, last_op;
  };
  std::vector<Buffer> buffers;
  int concat_copies = 0;
  int strip_first_op = -1;

  size_t segment_bytes = 0;  // of the options it was made with

  // Turns offsets into addresses in an arena of at least arena_bytes at `base`, 64-byte aligned.
  void bind(void* base);
};

// Which operators may put their output in the place of an operand that nobody reads later. Their kernels must
// read each element of it in the thread that writes the same element. Unless `none`, operators in strips may
// also write over rows of another buffer that all its readers have passed.
enum class InPlace : uint8_t {
  none,
  convolutions,  // over an addend
  all            // sublayers of transformers, too
};

struct PlanOptions {
  DType dtype = DType::f32;              // of every tensor, input and output included
  size_t strip_bytes = size_t(8) << 20;  // working set of one strip; 0: never use strips
  // The same for each segment of a graph with statistics of the whole image. Larger, because every strip
  // transforms the weights of wide convolutions anew.
  size_t segment_bytes = size_t(32) << 20;
  // Most operators of a segment; 0: any, and only graphs with statistics have segments. Short ones keep
  // windows small and what lies between them whole: for an arena that is a file.
  int segment_ops = 0;
  InPlace in_place = InPlace::none;
  // Pixels of more than 16 channels begin at multiples of this many elements. Kernels that move 16 bytes at a
  // time want 8 in 16 bits: 180 channels then take the room of 184.
  int pixel_multiple = 1;
  Whole whole{};  // composite operators that the backend runs whole
};

// The statistics that step i + 1 takes of the very rows that step i, a convolution, makes; or null. Backends
// may run the two as one.
const GroupStats<Tensor>* statistics_after(const Plan& plan, size_t i);

// lr must be a multiple of what the network requires. Throws Error{Code::model} when the graph has no output,
// Error{Code::memory} when sizes exceed 64-bit arithmetic or the address space.
Plan make_plan(const Graph& graph, Extent lr, const PlanOptions& options = {});

}  // namespace ups
