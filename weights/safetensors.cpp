// The safetensors reader: a strict state machine over JSON events, then a check that the tensors tile the
// buffer exactly. Events rather than a document, so duplicate keys and odd nesting are seen as they come.
#include "weights/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/error.h"
#include "weights/element.h"

namespace ups {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;    // the reference reader's limit
constexpr uint64_t kMaxInteger = uint64_t(1) << 48;  // the reference schema's limit

struct Header {
  std::string key, dtype;
  std::vector<uint64_t> shape, offsets;
};

// Accepts exactly {"name": {"dtype": s, "shape": [u...], "data_offsets": [u, u]}, "__metadata__": {s: s}}.
class HeaderReader {
 public:
  using json = nlohmann::json;
  HeaderReader(const std::string& file) : file_(file) {}

  std::vector<Header> tensors;
  std::map<std::string, std::string> metadata;

  bool start_object(size_t) {
    if (state_ == State::begin) return to(State::names);
    if (state_ == State::name) {
      members_ = 0;
      return to(key_ == "__metadata__" ? State::metadata : State::members);
    }
    return unexpected("an object");
  }
  bool key(std::string& text) {
    switch (state_) {
      case State::names:
        if (!names_.insert(text).second)
          fail(Code::model, file_, ": key '", text, "' appears twice in the header");
        key_ = text;
        if (key_ != "__metadata__") tensors.push_back({key_, {}, {}, {}});
        return to(State::name);
      case State::metadata:
        if (metadata.count(text)) fail(Code::model, file_, ": __metadata__ key '", text, "' appears twice");
        metadata_key_ = text;
        return to(State::metadata_value);
      case State::members:
        return member(text);
      default:
        return unexpected("a key");
    }
  }
  bool end_object() {
    switch (state_) {
      case State::members:
        if (members_ != kAllMembers)
          fail(Code::model, file_, ": weight '", key_, "' lacks one of dtype, shape, data_offsets");
        return to(State::names);
      case State::metadata:
        return to(State::names);
      case State::names:
        return to(State::end);
      default:
        return unexpected("the end of an object");
    }
  }
  bool start_array(size_t) {
    if (state_ == State::shape) return to(State::shape_values);
    if (state_ == State::offsets) return to(State::offset_values);
    return unexpected("an array");
  }
  bool end_array() {
    if (state_ == State::offset_values && tensors.back().offsets.size() != 2)
      fail(Code::model, file_, ": weight '", key_, "' has ", tensors.back().offsets.size(),
           " data_offsets, expected 2");
    return to(State::members);
  }
  bool string(std::string& text) {
    if (state_ == State::dtype) {
      tensors.back().dtype = text;
      return to(State::members);
    }
    if (state_ == State::metadata_value) {
      metadata.emplace(metadata_key_, text);
      return to(State::metadata);
    }
    return unexpected("a string");
  }
  bool number_unsigned(uint64_t value) {
    if (value > kMaxInteger)
      fail(Code::model, file_, ": weight '", key_, "' has the integer ", value, ", which is beyond 2^48");
    if (state_ == State::shape_values) {
      if (tensors.back().shape.size() >= 64)
        fail(Code::model, file_, ": weight '", key_, "' has more than 64 dimensions");
      tensors.back().shape.push_back(value);
    } else if (state_ == State::offset_values) {
      if (tensors.back().offsets.size() >= 2)
        fail(Code::model, file_, ": weight '", key_, "' has more than 2 data_offsets");
      tensors.back().offsets.push_back(value);
    } else {
      return unexpected("a number");
    }
    return true;
  }
  bool number_integer(int64_t) { return unexpected("a negative number"); }
  bool number_float(double, const std::string& text) {
    return unexpected("the number " + text.substr(0, 40) + ", which is not an integer,");
  }
  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool binary(json::binary_t&) { return unexpected("binary"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    fail(Code::model, file_, ": the header is not valid JSON at byte ", position, " (", error.what(), ")");
  }

 private:
  enum class State {
    begin,
    names,
    name,
    members,
    dtype,
    shape,
    shape_values,
    offsets,
    offset_values,
    metadata,
    metadata_value,
    end
  };
  static constexpr int kAllMembers = 7;

  bool to(State next) {
    state_ = next;
    return true;
  }
  bool member(const std::string& text) {
    const auto [bit, next] = text == "dtype"          ? std::pair{1, State::dtype}
                             : text == "shape"        ? std::pair{2, State::shape}
                             : text == "data_offsets" ? std::pair{4, State::offsets}
                                                      : std::pair{0, State::end};
    if (bit == 0) fail(Code::model, file_, ": weight '", key_, "' has the unknown member '", text, "'");
    if (members_ & bit) fail(Code::model, file_, ": weight '", key_, "' has the member '", text, "' twice");
    members_ |= bit;
    return to(next);
  }
  [[noreturn]] bool unexpected(const std::string& what) {
    const char* wanted = state_ == State::dtype            ? "a dtype string"
                         : state_ == State::shape          ? "an array of sizes"
                         : state_ == State::shape_values   ? "a non-negative integer in shape"
                         : state_ == State::offsets        ? "an array of two offsets"
                         : state_ == State::offset_values  ? "a non-negative integer in data_offsets"
                         : state_ == State::metadata_value ? "a string in __metadata__"
                         : state_ == State::name           ? "an object"
                                                           : "the end of the header";
    fail(Code::model, file_, ": the header has ", what, " where ", wanted, " is expected (at '", key_, "')");
  }

  const std::string& file_;
  State state_ = State::begin;
  std::set<std::string> names_;
  std::string key_, metadata_key_;
  int members_ = 0;
};

int dtype_bits(std::string_view name) {
  static constexpr std::pair<std::string_view, int> kBits[] = {
      {"BOOL", 8}, {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},
      {"F4", 4},   {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
      {"U16", 16}, {"F16", 16},        {"BF16", 16},       {"I32", 32},    {"U32", 32},    {"F32", 32},
      {"C64", 64}, {"F64", 64},        {"I64", 64},        {"U64", 64}};
  for (const auto& [spelling, bits] : kBits)
    if (spelling == name) return bits;
  return 0;
}

}  // namespace

StateDict read_safetensors(std::span<const std::byte> file, const std::string& name) {
  check(file.size() >= 8, Code::model, name, ": has ", file.size(),
        " bytes, a safetensors file has at least 8 (truncated download?)");
  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | uint64_t(file[size_t(i)]);
  check(header_bytes <= kMaxHeaderBytes, Code::model, name, ": header length ", header_bytes,
        " is beyond the limit of ", kMaxHeaderBytes, " bytes");
  check(header_bytes <= file.size() - 8, Code::model, name, ": header length ", header_bytes,
        " is beyond the end of the file of ", file.size(), " bytes (truncated download?)");
  const auto* text = reinterpret_cast<const char*>(file.data()) + 8;
  check(header_bytes > 0 && text[0] == '{', Code::model, name, ": the header does not start with '{'");

  HeaderReader reader(name);
  nlohmann::json::sax_parse(text, text + header_bytes, &reader);

  const std::span<const std::byte> buffer = file.subspan(8 + size_t(header_bytes));
  std::vector<Header>& tensors = reader.tensors;
  std::sort(tensors.begin(), tensors.end(), [](const Header& a, const Header& b) {
    return std::tie(a.offsets[0], a.offsets[1]) < std::tie(b.offsets[0], b.offsets[1]);
  });
  StateDict weights;
  weights.source = name;
  weights.metadata = std::move(reader.metadata);
  uint64_t end = 0;
  for (Header& t : tensors) {
    const uint64_t first = t.offsets[0], last = t.offsets[1];
    const int bits = dtype_bits(t.dtype);
    check(bits, Code::model, name, ": weight '", t.key, "' has the unknown dtype '", t.dtype.substr(0, 40),
          "'");
    std::vector<int64_t> shape(t.shape.begin(), t.shape.end());
    const std::optional<int64_t> bytes = checked_bytes(shape, bits);
    check(bytes.has_value(), Code::model, name, ": weight '", t.key, "' has shape ", shape_text(shape),
          ", whose size overflows or is not a whole number of bytes");
    check(first <= last && last <= buffer.size(), Code::model, name, ": weight '", t.key,
          "' has data_offsets [", first, ", ", last, "] outside the buffer of ", buffer.size(),
          " bytes (truncated download?)");
    check(last - first == uint64_t(*bytes), Code::model, name, ": weight '", t.key, "' spans ", last - first,
          " bytes, but shape ", shape_text(shape), " of ", t.dtype, " takes ", *bytes);
    check(first >= end, Code::model, name, ": weight '", t.key, "' overlaps the tensor before it at offset ",
          first);
    check(first == end, Code::model, name, ": there is a hole of ", first - end, " bytes before weight '",
          t.key, "'");
    end = last;
    const std::optional<Element> element = element_from_name(t.dtype);
    check(element.has_value(), Code::model, name, ": weight '", t.key, "' has dtype ", t.dtype,
          ", expected F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL");
    weights.add(std::move(t.key),
                Entry{*element, std::move(shape), buffer.subspan(size_t(first), size_t(last - first))});
  }
  check(end == buffer.size(), Code::model, name, ": ", buffer.size() - end,
        " bytes after the last tensor belong to none");
  return weights;
}

}  // namespace ups
