// Strip schedule: runs the last operators of a plan in horizontal strips, so that their intermediates are
// rolling windows of a few rows instead of whole images. Pure arithmetic on row numbers; nothing is
// recomputed.
#pragma once

#include <vector>

#include "runtime/placement.h"

namespace ups {

// Rows [begin, end) of operator `op`, counted before its pixel shuffle. Before running it, the windows listed
// in `shifts` move up.
struct StripRun {
  int op, begin, end;
};

struct StripShift {
  int buffer;     // a windowed buffer of the placement
  int first_row;  // image row its memory starts with from now on
  int keep_rows;  // rows [first_row, first_row + keep_rows) must be moved there
};

struct Strip {
  std::vector<StripShift> shifts;  // in any order, before the runs
  std::vector<StripRun> runs;
};

struct StripSchedule {
  std::vector<Strip> strips;
  std::vector<int> window_rows;  // by buffer: capacity in rows; 0: not windowed (whole image)
};

// Operators [first_op, end_op) in strips of about lr_rows input rows each. What they make and nobody else
// reads becomes a window. Returns an empty schedule when these operators cannot be strip-mined (one of them
// writes a slice of a concat buffer that later rows still read, or needs the whole of what another one
// makes).
StripSchedule schedule_strips(const Placement& placement, Extent lr, int first_op, int end_op, int lr_rows);

// Where strips must stop: the first operator of each segment of the graph, 0 first. Within a segment no
// operator needs the whole of what another one makes; a statistic and the keys of an attention end one.
std::vector<int> segment_starts(const Placement& placement);

}  // namespace ups
