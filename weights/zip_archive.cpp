// ZipArchive over libzip.
#include "weights/zip_archive.h"

#include <zip.h>

#include <memory>

#include "kernels/error.h"

namespace ups {
namespace {

struct ErrorState {
  zip_error_t error;
  ErrorState() { zip_error_init(&error); }
  ~ErrorState() { zip_error_fini(&error); }
  const char* text() { return zip_error_strerror(&error); }
};

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> file, const std::string& name) : name_(name) {
  ErrorState state;
  zip_source_t* source = zip_source_buffer_create(file.data(), file.size(), 0, &state.error);
  check(source, Code::memory, name, ": cannot be opened as a zip archive: ", state.text());
  archive_ = zip_open_from_source(source, ZIP_RDONLY, &state.error);
  if (!archive_) {
    zip_source_free(source);
    fail(Code::model, name, ": is not a readable zip archive: ", state.text(), " (truncated download?)");
  }
  std::unique_ptr<zip, void (*)(zip*)> guard(archive_, zip_discard);  // until the checks have passed
  archive_ = nullptr;
  uint64_t total = 0;
  const zip_int64_t count = zip_get_num_entries(guard.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    check(zip_stat_index(guard.get(), zip_uint64_t(i), ZIP_FL_ENC_RAW, &stat) == 0, Code::model, name,
          ": zip entry ", i, " cannot be read: ", zip_strerror(guard.get()));
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    check((stat.valid & kNeeded) == kNeeded, Code::model, name, ": zip entry ", i, " lacks a name or size");
    const std::string path = stat.name;
    const std::string shown = path.substr(0, 100);
    const bool stored = stat.comp_method == ZIP_CM_STORE &&
                        (!(stat.valid & ZIP_STAT_ENCRYPTION_METHOD) || stat.encryption_method == ZIP_EM_NONE);
    check(!stored || stat.size == stat.comp_size, Code::model, name, ": zip entry '", shown, "' claims ",
          stat.size, " bytes but stores ", stat.comp_size);
    check(stat.comp_size <= file.size() && total <= file.size() - stat.comp_size, Code::model, name,
          ": zip entry '", shown, "' claims ", stat.comp_size, " bytes, more than the file of ", file.size(),
          " bytes can hold");
    total += stat.comp_size;
    check(entries_.emplace(path, Entry{zip_uint64_t(i), stat.size, stored}).second, Code::model, name,
          ": zip entry '", shown, "' appears twice");
  }
  archive_ = guard.release();
}

ZipArchive::~ZipArchive() {
  if (archive_) zip_discard(archive_);
}

const ZipArchive::Entry* ZipArchive::find(const std::string& path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<std::byte> ZipArchive::read(const std::string& path) const {
  const Entry* entry = find(path);
  check(entry, Code::model, name_, ": zip entry '", path, "' is missing");
  check(entry->stored, Code::model, name_, ": zip entry '", path,
        "' is compressed or encrypted, expected stored entries as torch.save writes them");
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen_index(archive_, entry->index, 0),
                                                               zip_fclose);
  check(file != nullptr, Code::model, name_, ": zip entry '", path,
        "' cannot be read: ", zip_strerror(archive_));
  std::vector<std::byte> bytes(entry->bytes);
  size_t done = 0;
  for (;;) {
    // One byte past the end is asked for, because libzip compares the checksum when it meets the end.
    std::byte beyond{};
    const bool full = done == bytes.size();
    const zip_int64_t n = full ? zip_fread(file.get(), &beyond, 1)
                               : zip_fread(file.get(), bytes.data() + done, bytes.size() - done);
    check(n >= 0, Code::model, name_, ": zip entry '", path, "' is damaged: ", zip_file_strerror(file.get()));
    if (n == 0) break;
    check(!full, Code::model, name_, ": zip entry '", path, "' holds more than its ", bytes.size(), " bytes");
    done += size_t(n);
  }
  check(done == bytes.size(), Code::model, name_, ": zip entry '", path, "' holds ", done,
        " bytes, expected ", bytes.size());
  return bytes;
}

}  // namespace ups
