// Keeps a library from writing to the user's terminal: libjxl 0.7 prints the source lines a damaged file
// fails at.
#pragma once

namespace ups::apps {

// While one lives, what this thread prints to the C stream stderr is dropped; other threads go on printing.
// Without effect where stderr cannot be replaced (C libraries other than glibc).
class QuietLibrary {
 public:
  QuietLibrary();
  ~QuietLibrary();
  QuietLibrary(const QuietLibrary&) = delete;
  QuietLibrary& operator=(const QuietLibrary&) = delete;
};

}  // namespace ups::apps
