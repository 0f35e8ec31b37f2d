// The rows of a PNG, filtered and compressed on all cores, as pieces of one zlib stream.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "apps/codecs/image_io.h"

namespace ups::apps {

struct PngStrip {
  std::vector<uint8_t> deflated;  // the last one ends the stream
  size_t raw_bytes = 0;           // filtered rows, before compression
  uint32_t adler = 1;             // Adler-32 of them
};

// Rows of a strip, for rows of row_bytes bytes.
int png_strip_rows(size_t row_bytes, int height);

// Workers take strips in order and run a few strips per thread ahead of whoever takes them, so that memory
// stays bounded. Rows that nobody needs any more are released (Image::pending).
class PngStrips {
 public:
  // level: 0 to 12, libdeflate's. threads: 0 for all cores.
  PngStrips(const Image& image, int level, int threads);
  ~PngStrips();
  int count() const { return int(done_.size()); }
  // Strip i = 0, 1, ..., once it is ready. Throws what a worker threw.
  PngStrip take(int i);

 private:
  void stop();
  void work();
  void encode_strips();
  int next();  // the strip to encode; -1: no more
  void taken(int strip);

  const Image& image_;
  const int level_, rows_;
  int ahead_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;  // for what follows
  std::condition_variable changed_;
  std::vector<std::unique_ptr<PngStrip>> done_;
  int next_ = 0, written_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::vector<bool> read_;  // strips whose rows are in their thread's memory
  int all_read_ = 0;        // the first that is not
};

}  // namespace ups::apps
