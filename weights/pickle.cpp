// The pickle virtual machine: opcodes of protocols 2 to 5 that PyTorch and Python write for plain data.
#include "weights/pickle.h"

#include <bit>
#include <unordered_map>

#include "kernels/error.h"
#include "weights/pickle_cursor.h"
#include "weights/pickle_global.h"
#include "weights/pickle_torch.h"

namespace ups::pickle {
namespace {

// A checkpoint with optimizer state has some 1e5 opcodes. The limits bound memory at a few hundred MB.
constexpr size_t kMaxOpcodes = size_t(1) << 22;
constexpr size_t kMaxMarks = 1000;
constexpr size_t kMaxMemo = size_t(1) << 22;

class Machine : private Cursor {
 public:
  using Cursor::Cursor;

  Pickle run() {
    for (size_t count = 0;; ++count) {
      require(count < kMaxOpcodes, "has more than 4194304 opcodes");
      const auto op = static_cast<unsigned char>(take(1)[0]);
      if (op == '.') break;
      step(op);
    }
    require(stack_.size() == 1 && marks_.empty(), "ends with a stack that does not hold exactly one value");
    out_.root = stack_.back();
    out_.consumed = position();
    return std::move(out_);
  }

 private:
  // Stack.
  Id push(Node node) {
    out_.nodes.push_back(std::move(node));
    stack_.push_back(Id(out_.nodes.size() - 1));
    return stack_.back();
  }
  Node& top() {
    require(stack_.size() > floor(), "uses a value from an empty stack");
    return out_.nodes[stack_.back()];
  }
  Id pop() {
    top();
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  std::vector<Id> pop_to_mark() {
    require(!marks_.empty(), "lacks a MARK");
    std::vector<Id> items(stack_.begin() + std::ptrdiff_t(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<Id> pop_n(size_t n) {
    require(stack_.size() - floor() >= n, "uses a value from an empty stack");
    std::vector<Id> items(stack_.end() - std::ptrdiff_t(n), stack_.end());
    stack_.resize(stack_.size() - n);
    return items;
  }
  void push_items(Kind kind, std::vector<Id> items) {
    Node node{kind};
    node.items = std::move(items);
    push(std::move(node));
  }
  void push_integer(int64_t value) { push({Kind::integer, value}); }
  void push_text(std::string_view text) {
    Node node{Kind::string};
    node.text = text;
    push(std::move(node));
  }
  void push_long(uint64_t n) {
    const auto part = take(n);
    if (n > 8) return (void)push({Kind::inert});  // beyond 64 bits: seeds of random generators
    uint64_t value = 0;
    for (size_t i = part.size(); i-- > 0;) value = value << 8 | uint64_t(part[i]);
    if (n > 0 && n < 8 && uint64_t(part[size_t(n) - 1]) & 0x80) value |= ~uint64_t(0) << (8 * n);
    push_integer(std::bit_cast<int64_t>(value));
  }

  // Memo.
  void put(uint64_t index) {
    require(index < kMaxMemo, "has memo index ", index);
    top();
    memo_[index] = stack_.back();
  }
  void get(uint64_t index) {
    const auto found = memo_.find(index);
    require(found != memo_.end(), "reads memo ", index, ", which was never written");
    stack_.push_back(found->second);
  }

  void push_global(std::string_view module, std::string_view name) {
    const Global global = classify_global(module, name);
    if (global.role == Global::Role::foreign)
      fail(Code::model, who(), ": the pickle names the global '", module.substr(0, 100), " ",
           name.substr(0, 100),
           "', which is not a plain tensor type, and was refused (a checkpoint holds a state_dict; whole "
           "modules and other objects must be saved again with torch.save(net.state_dict(), path))");
    globals_.push_back(global);
    push({Kind::global, int64_t(globals_.size() - 1)});
  }
  const Global* global_of(Id id) const {
    const Node& node = out_.nodes[id];
    return node.kind == Kind::global ? &globals_[size_t(node.integer)] : nullptr;
  }

  void extend_dict(const std::vector<Id>& items) {
    require(items.size() % 2 == 0, "sets an odd number of dict items");
    Node& target = top();
    require(target.kind == Kind::dict || target.kind == Kind::inert,
            "sets items of a value that is not a dict");
    if (target.kind == Kind::dict) target.items.insert(target.items.end(), items.begin(), items.end());
  }
  void extend_list(const std::vector<Id>& items) {
    Node& target = top();
    require(target.kind == Kind::list || target.kind == Kind::inert, "appends to a value that is not a list");
    if (target.kind == Kind::list) target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void call(Id callable, Id arguments) {
    const Global* global = global_of(callable);
    if (!global) {
      require(out_.nodes[callable].kind == Kind::inert, "calls a value that is not a global");
      return (void)push({Kind::inert});
    }
    using Role = Global::Role;
    if (global->role == Role::inert) return (void)push({Kind::inert});
    require(out_.nodes[arguments].kind == Kind::tuple, "calls a global with arguments that are not a tuple");
    const std::vector<Id>& args = out_.nodes[arguments].items;  // not used after a push
    switch (global->role) {
      case Role::ordered_dict:
        push_items(Kind::dict, pairs(args));
        break;
      case Role::plain_tuple:
        require(args.size() == 1, "makes a torch.Size of ", args.size(), " arguments");
        stack_.push_back(args[0]);
        break;
      case Role::rebuild_parameter:
        require(!args.empty(), "makes a Parameter of nothing");
        stack_.push_back(args[0]);
        break;
      case Role::rebuild_tensor:
      case Role::rebuild_tensor_v3: {
        const bool v3 = global->role == Role::rebuild_tensor_v3;
        const Global* dtype = v3 && args.size() > 6 ? global_of(args[6]) : nullptr;
        out_.tensors.push_back(rebuild_tensor(out_, args, v3, dtype, who()));
        push({Kind::tensor, int64_t(out_.tensors.size() - 1)});
        break;
      }
      default:
        require(false, "calls a type that is not a constructor of plain data");
    }
  }
  // Items of OrderedDict([(k, v), ...]).
  std::vector<Id> pairs(const std::vector<Id>& args) const {
    std::vector<Id> items;
    if (args.empty()) return items;
    const Node& list = out_.nodes[args[0]];
    require(args.size() == 1 && (list.kind == Kind::list || list.kind == Kind::tuple),
            "makes an OrderedDict of something that is not a list of pairs");
    for (Id id : list.items) {
      const Node& pair = out_.nodes[id];
      require((pair.kind == Kind::tuple || pair.kind == Kind::list) && pair.items.size() == 2,
              "makes an OrderedDict of something that is not a pair");
      items.insert(items.end(), pair.items.begin(), pair.items.end());
    }
    require((pair_budget_ += items.size()) <= 2 * kMaxOpcodes, "repeats too many pairs");
    return items;
  }

  void persistent_id() {
    const Id id = pop();
    const std::vector<Id>& args = out_.nodes[id].items;
    require(out_.nodes[id].kind == Kind::tuple && !args.empty(), "has a persistent id that is not a tuple");
    require(out_.nodes[args[0]].text != "module",
            "holds a whole module, expected a state_dict (save it again with "
            "torch.save(net.state_dict(), path))");
    const Global* type = args.size() > 1 ? global_of(args[1]) : nullptr;
    out_.storages.push_back(describe_storage(out_, args, type, who()));
    push({Kind::storage, int64_t(out_.storages.size() - 1)});
  }

  void step(unsigned char op) {
    switch (op) {
      case 0x80: {  // PROTO
        const uint64_t protocol = take_uint(1);
        require(protocol >= 2 && protocol <= 5, "has protocol ", protocol, ", expected 2 to 5");
        break;
      }
      case 0x95:
        take_uint(8);
        break;  // FRAME: only a hint
      case '(':
        require(marks_.size() < kMaxMarks, "nests more than ", kMaxMarks, " marks");
        marks_.push_back(stack_.size());
        break;
      case '0':
        marks_.empty() || stack_.size() > floor() ? (void)pop() : marks_.pop_back();
        break;
      case '1':
        pop_to_mark();
        break;
      case 'N':
        push({Kind::none});
        break;
      case 0x88:
        push({Kind::boolean, 1});
        break;
      case 0x89:
        push({Kind::boolean, 0});
        break;
      case 'J':
        push_integer(int32_t(uint32_t(take_uint(4))));
        break;
      case 'K':
        push_integer(int64_t(take_uint(1)));
        break;
      case 'M':
        push_integer(int64_t(take_uint(2)));
        break;
      case 0x8a:
        push_long(take_uint(1));
        break;
      case 0x8b:
        push_long(take_uint(4));
        break;
      case 'G': {  // BINFLOAT: the one big-endian operand
        uint64_t bits = 0;
        for (std::byte b : take(8)) bits = bits << 8 | uint64_t(b);
        push({Kind::real, 0, std::bit_cast<double>(bits)});
        break;
      }
      case 'X':
        push_text(take_text(take_uint(4)));
        break;  // BINUNICODE
      case 0x8c:
        push_text(take_text(take_uint(1)));
        break;  // SHORT_BINUNICODE
      case 0x8d:
        push_text(take_text(take_uint(8)));
        break;  // BINUNICODE8
      case 'T':
        push_text(take_text(take_uint(4)));
        break;  // BINSTRING of Python 2
      case 'U':
        push_text(take_text(take_uint(1)));
        break;  // SHORT_BINSTRING
      case 'B':
        take(take_uint(4)), push({Kind::inert});
        break;  // BINBYTES
      case 'C':
        take(take_uint(1)), push({Kind::inert});
        break;  // SHORT_BINBYTES
      case 0x8e:
        take(take_uint(8)), push({Kind::inert});
        break;  // BINBYTES8
      case 0x96:
        take(take_uint(8)), push({Kind::inert});
        break;  // BYTEARRAY8
      case ')':
        push({Kind::tuple});
        break;
      case 't':
        push_items(Kind::tuple, pop_to_mark());
        break;
      case 0x85:
        push_items(Kind::tuple, pop_n(1));
        break;
      case 0x86:
        push_items(Kind::tuple, pop_n(2));
        break;
      case 0x87:
        push_items(Kind::tuple, pop_n(3));
        break;
      case ']':
        push({Kind::list});
        break;
      case 'l':
        push_items(Kind::list, pop_to_mark());
        break;
      case '}':
        push({Kind::dict});
        break;
      case 'd': {  // DICT
        std::vector<Id> items = pop_to_mark();
        require(items.size() % 2 == 0, "makes a dict of an odd number of items");
        push_items(Kind::dict, std::move(items));
        break;
      }
      case 0x8f:
        push({Kind::inert});
        break;  // EMPTY_SET
      case 0x90:
        pop_to_mark(), top();
        break;  // ADDITEMS
      case 0x91:
        pop_to_mark(), push({Kind::inert});
        break;  // FROZENSET
      case 'a':
        extend_list(pop_n(1));
        break;
      case 'e':
        extend_list(pop_to_mark());
        break;
      case 's':
        extend_dict(pop_n(2));
        break;
      case 'u':
        extend_dict(pop_to_mark());
        break;
      case 'q':
        put(take_uint(1));
        break;
      case 'r':
        put(take_uint(4));
        break;
      case 0x94:
        put(memo_.size());
        break;  // MEMOIZE
      case 'h':
        get(take_uint(1));
        break;
      case 'j':
        get(take_uint(4));
        break;
      case 'c': {
        const std::string_view module = take_line();
        push_global(module, take_line());
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        const Id name = pop(), module = pop();
        require(out_.nodes[name].kind == Kind::string && out_.nodes[module].kind == Kind::string,
                "names a global by something that is not a string");
        push_global(out_.nodes[module].text, out_.nodes[name].text);
        break;
      }
      case 'R':
      case 0x81: {  // REDUCE, NEWOBJ
        const Id arguments = pop(), callable = pop();
        call(callable, arguments);
        break;
      }
      case 0x92: {  // NEWOBJ_EX
        pop();      // keyword arguments
        const Id arguments = pop(), callable = pop();
        call(callable, arguments);
        break;
      }
      case 'b':  // BUILD: attributes of the object below, such as _metadata; no weights there
        pop(), top();
        break;
      case 'Q':
        persistent_id();
        break;
      default:
        require(false, "has the opcode ", int(op), ", which no state_dict needs");
    }
  }

  Pickle out_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Id> memo_;
  std::vector<Global> globals_;
  mutable size_t pair_budget_ = 0;
};

}  // namespace

Pickle read(std::span<const std::byte> bytes, const std::string& who) { return Machine(bytes, who).run(); }

}  // namespace ups::pickle
