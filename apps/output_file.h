// A file that appears only when it is complete: written under a temporary name in the target folder, renamed
// by commit(), removed when the object dies without it. "-" is the standard output, which gets all of it
// then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ups::apps {

class OutputFile {
 public:
  OutputFile() = default;
  // Creates the temporary now, so that a missing or read-only folder is found before any computing.
  // Throws Failure(kIo).
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;

  void write(const void* data, size_t bytes);  // throws Failure(kIo)
  // At an offset, for formats that go back; not to be mixed with write. Throws Failure(kIo).
  void write_at(uint64_t offset, const void* data, size_t bytes);
  size_t read_at(uint64_t offset, void* data, size_t bytes);  // fewer at the end of the file
  std::string written();                                      // all of it so far
  void commit();                                              // throws Failure(kIo)
  const std::string& path() const { return path_; }

 private:
  void discard() noexcept;
  std::string path_, temporary_;
  int fd_ = -1;
};

// Call it first: otherwise a picture would be opened under the number of a standard stream that was closed,
// and messages go into it.
void fill_closed_streams();

// Makes a folder and those above it where they are missing; "": none. Throws Failure(kIo).
void make_folder(const std::string& folder);

// Absolute and without links, as far as the path exists: one text for each place.
std::string absolute_path(const std::string& path);

// A whole file, or the standard input for "-"; throws Failure(kIo) when it cannot be read, is a folder, or is
// larger than max_bytes.
std::string read_file(const std::string& path, int64_t max_bytes);

}  // namespace ups::apps
