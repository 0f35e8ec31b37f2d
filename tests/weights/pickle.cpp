// The pickle machine on hand-made programs: what it evaluates, and every limit it enforces.
#include "weights/pickle.h"

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "tests/weights/pickle_programs.h"
#include "weights/pickle_global.h"
#include "weights/pickle_torch.h"

using namespace ups;
using namespace ups::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;
using pickle::Kind;

namespace {

const std::string kWho = "f";
pickle::Pickle run(const std::string& program) { return pickle::read(bytes_of(program), kWho); }
std::string refusal(const std::string& program) {
  return sentence([&] { run(program); });
}

// {"w": tensor} read as a state dict whose storage '0' is six floats.
std::string add(const std::string& tensor_program) {
  return sentence([&] {
    const std::string program = "}"s + text("w") + tensor_program + "s.";
    const pickle::Pickle p = run(program);
    const std::vector<float> floats(6);
    uint64_t budget = 1000;
    StateDict out;
    out.source = kWho;
    for (const auto& [key, view] : pickle::find_state_dict(p, kWho))
      pickle::add_tensor(out, key, *view, p.storages[view->storage], std::as_bytes(std::span(floats)),
                         budget);
  });
}

}  // namespace

TEST_CASE("numbers of every width are read with their sign", "[weights][pickle]") {
  const auto value = [](const std::string& program) { return run(program + ".").nodes[0].integer; };
  CHECK(value("K\xff"s) == 255);
  CHECK(value("M\xff\xff"s) == 65535);
  CHECK(value(integer(-5)) == -5);
  CHECK(value("\x8a\x00"s) == 0);
  CHECK(value("\x8a\x01\xff"s) == -1);
  CHECK(value("\x8a\x02\xff\x00"s) == 255);
  CHECK(value("\x8a\x07\x00\x00\x00\x00\x00\x00\x80"s) == -(int64_t(1) << 55));
  CHECK(value("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"s) == INT64_MIN);
  CHECK(run("\x8a\x09"s + std::string(9, 'x') + ".").nodes[0].kind == Kind::inert);
  CHECK(run("G\x3f\xf8\0\0\0\0\0\0."s).nodes[0].real == 1.5);
}

TEST_CASE("memoised values are shared, not copied", "[weights][pickle]") {
  // A list of two references to a list of two references ...: 2^60 leaves in 60 nodes.
  std::string program = "]q\0"s;
  for (int i = 1; i < 60; ++i) program += "0]q"s + char(i) + "(h"s + char(i - 1) + "h"s + char(i - 1) + "e";
  CHECK(run(program + ".").nodes.size() == 60);
}

TEST_CASE("inert globals yield inert values, whatever is done to them", "[weights][pickle]") {
  const std::string program = "cargparse\nNamespace\n)\x81}"s + text("lr") + "K\1sb.";
  const pickle::Pickle p = run(program);
  CHECK(p[p.root].kind == Kind::inert);
  CHECK(refusal("cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n)R(K\1K\2u.") == "");
}

TEST_CASE("the policy on globals is an allow-list", "[weights][pickle]") {
  using Role = pickle::Global::Role;
  const auto role = [](const char* module, const char* name) {
    return pickle::classify_global(module, name).role;
  };
  CHECK(role("collections", "OrderedDict") == Role::ordered_dict);
  CHECK(role("torch", "BFloat16Storage") == Role::storage);
  CHECK(role("numpy.core.multiarray", "scalar") == Role::inert);
  CHECK(role("pytorch_lightning.callbacks", "X") == Role::inert);
  CHECK(role("pytorch_lightning_evil", "X") == Role::foreign);
  for (const auto& [module, name] :
       std::vector<std::pair<const char*, const char*>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"nt", "system"},
                                                        {"builtins", "eval"},
                                                        {"builtins", "exec"},
                                                        {"__builtin__", "eval"},
                                                        {"builtins", "getattr"},
                                                        {"builtins", "__import__"},
                                                        {"subprocess", "Popen"},
                                                        {"torch", "load"},
                                                        {"torch.hub", "load"},
                                                        {"torch.jit", "load"},
                                                        {"runpy", "run_path"},
                                                        {"", ""},
                                                        {"collections", "OrderedDict.fromkeys"},
                                                        {"numpy", "load"},
                                                        {"functools", "partial"}}) {
    INFO(module << " " << name);
    CHECK(role(module, name) == Role::foreign);
    const std::string quoted = "'"s + module + " "s + name + "'";
    CHECK_THAT(refusal("c"s + module + "\n"s + name + "\n)R."), Contains(quoted) && Contains("refused"));
    CHECK_THAT(refusal(text(module) + text(name) + "\x93)R."), Contains(quoted) && Contains("refused"));
  }
}

TEST_CASE("malformed pickles are refused", "[weights][pickle]") {
  CHECK_THAT(refusal(""), Contains("truncated"));
  CHECK_THAT(refusal("\x80\x02}"), Contains("truncated"));
  CHECK_THAT(refusal("\x80\x09."), Contains("protocol 9"));
  CHECK_THAT(refusal("\x80\x01."), Contains("protocol 1"));
  CHECK_THAT(refusal("\x80\x06."), Contains("protocol 6"));
  CHECK_THAT(refusal("."), Contains("exactly one value"));
  CHECK_THAT(refusal("NN."), Contains("exactly one value"));
  CHECK_THAT(refusal("(N."), Contains("exactly one value"));
  CHECK_THAT(refusal("t."), Contains("lacks a MARK"));
  CHECK_THAT(refusal("N\x86."), Contains("empty stack"));
  CHECK_THAT(refusal("N(\x85."), Contains("empty stack"));  // not through a mark
  CHECK_THAT(refusal("N(q\1."), Contains("empty stack"));
  CHECK_THAT(refusal("R."), Contains("empty stack"));
  CHECK_THAT(refusal("NK\1a."), Contains("not a list"));
  CHECK_THAT(refusal("]K\1K\2s."), Contains("not a dict"));
  CHECK_THAT(refusal("}(K\1u."), Contains("odd number"));
  CHECK_THAT(refusal("h\5."), Contains("memo 5"));
  CHECK_THAT(refusal("N)R."), Contains("not a global"));
  CHECK_THAT(refusal("ctorch\nfloat32\n)R."), Contains("not a constructor"));
  CHECK_THAT(refusal("i."), Contains("opcode 105"));  // INST
  CHECK_THAT(refusal("NQ."), Contains("persistent id"));
  CHECK_THAT(refusal(")Q."), Contains("persistent id"));
  CHECK_THAT(refusal("ccollections\nOrderedDict\n](K\1K\2K\3ta\x85R."), Contains("not a pair"));
  CHECK_THAT(refusal("]K\1aQ."), Contains("persistent id that is not a tuple"));
  CHECK_THAT(refusal("("s + text("module") + "tQ."), Contains("a whole module"));
  CHECK_THAT(refusal("NN\x93."), Contains("not a string"));
  CHECK_THAT(refusal("ctorch\nSize\n]R."), Contains("arguments that are not a tuple"));
  CHECK_THAT(refusal("ctorch\nSize\n)R."), Contains("torch.Size of 0 arguments"));
  CHECK_THAT(refusal("ctorch\nSize\nK\1K\2\x86R."), Contains("torch.Size of 2 arguments"));
  CHECK_THAT(refusal("ctorch._utils\n_rebuild_parameter\n)R."), Contains("Parameter of nothing"));
  CHECK(refusal("(0N.") == "");  // POP of a mark
  CHECK_THAT(refusal("X\xff\xff\xff\xff."), Contains("string of 4294967295 bytes"));
  CHECK_THAT(refusal("c"s + std::string(5000, 'a')), Contains("over 1000 bytes"));
}

TEST_CASE("bombs run into limits", "[weights][pickle]") {
  CHECK_THAT(refusal(std::string(2000, '(')), Contains("more than 1000 marks"));
  CHECK_THAT(refusal(std::string(5 << 20, 'N')), Contains("4194304 opcodes"));
  CHECK_THAT(refusal("Nr"s + u32(0xffffffff) + "."), Contains("memo index"));
  // One pair, a list of it 65536 times, and as many dicts of that as memory does not hold.
  std::string dicts = "K\1K\2\x86q\0"s + "](";
  for (int i = 0; i < 65536; ++i) dicts += "h\0"s;
  dicts += "eq\1";
  for (int i = 0; i < 80; ++i) dicts += "ccollections\nOrderedDict\nh\1\x85R0";
  CHECK_THAT(refusal(dicts + "00N."), Contains("repeats too many pairs"));
  // Deep nesting costs neither stack nor time.
  CHECK(refusal(")"s + std::string(1 << 20, '\x85') + ".") == "");
  // A dict that is its own wrapper.
  CHECK_THAT(sentence([] {
               const std::string program = "}q\0"s + text("params") + "h\0s."s;
               const pickle::Pickle p = run(program);
               pickle::find_state_dict(p, kWho);
             }),
             Contains("no tensors"));
}

TEST_CASE("views outside their storage are refused", "[weights][pickle]") {
  const std::string i0 = integer(0), i1 = integer(1), i2 = integer(2), i3 = integer(3), i4 = integer(4);
  CHECK(add(tensor(i2 + i3, i3 + i1)) == "");
  CHECK(add(tensor(i3 + i2, i1 + i3)) == "");
  CHECK(add(tensor("", "", integer(5))) == "");
  CHECK_THAT(add(tensor("", "", integer(6))), Contains("reaches element 6 of a storage of 6"));
  CHECK_THAT(add(tensor(i2 + i4, i4 + i1)), Contains("reaches element 7"));
  CHECK_THAT(add(tensor(i2, i4, i2)), Contains("reaches element 6"));
  CHECK_THAT(add(tensor(i2, integer(-1))), Contains("stride that is not a non-negative"));
  CHECK_THAT(add(tensor(integer(-2), i1)), Contains("size that is not a non-negative"));
  CHECK_THAT(add(tensor(i2, i1, integer(-1))), Contains("offset that is not a non-negative"));
  CHECK_THAT(add(tensor(i2 + i2, i1)), Contains("2 sizes and 1 strides"));
  CHECK_THAT(add(tensor(i1 + i1 + i1 + i1 + i1 + i1 + i1 + i1 + i1, i1)), Contains("9 dimensions"));
  const std::string huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s;
  CHECK_THAT(add(tensor(huge + huge, huge + huge)), Contains("reaches element"));
  CHECK_THAT(add(tensor(huge + huge, i0 + i0)), Contains("repeats elements"));
  CHECK(add(tensor(huge + i0, huge + huge)).find("reaches") == std::string::npos);
}

TEST_CASE("what describes a tensor in another way than PyTorch does is refused", "[weights][pickle]") {
  const std::string one = integer(1), right = tensor(one, one);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = right;
    const size_t at = changed.find(from);
    REQUIRE(at != changed.npos);
    return add(changed.replace(at, from.size(), to));
  };
  REQUIRE(add(right) == "");
  CHECK_THAT(with(text("storage"), text("torch")), Contains("expected ('storage', type, key, location"));
  CHECK_THAT(with("ctorch\nFloatStorage\n", "ctorch\nfloat32\n"), Contains("not one of PyTorch's storage"));
  CHECK_THAT(with(text("0"), one), Contains("key that is not a string"));
  CHECK_THAT(with(storage(integer(6)), "N"), Contains("not a storage"));
  CHECK_THAT(with("t\x89}tR", "t0tR"), Contains("rebuilt from 3 arguments"));
  CHECK_THAT(add(tensor("N", one)), Contains("size that is not a non-negative integer"));
}

TEST_CASE("a view of a storage, as old checkpoints have them, begins and ends within it",
          "[weights][pickle]") {
  const std::string one = integer(1);
  // Element `at` of `size` that begin at `offset` of six.
  const auto seen = [&](int offset, int size, int at, float* value = nullptr) {
    std::string program = "}"s + text("w") + tensor(one, one, integer(at)) + "s.";
    const std::string whole = storage(integer(6));
    const std::string view = "("s + text("v") + integer(offset) + integer(size) + "ttQ";
    program.replace(program.find(whole), whole.size(), whole.substr(0, whole.size() - 2) + view);
    return sentence([&] {
      const pickle::Pickle p = run(program);
      const std::vector<float> floats{0, 1, 2, 3, 4, 5};
      uint64_t budget = 0;
      StateDict out;
      const auto* tensor = pickle::find_state_dict(p, kWho).at("w");
      pickle::add_tensor(out, "w", *tensor, p.storages[tensor->storage], std::as_bytes(std::span(floats)),
                         budget);
      if (value) *value = out.floats("w")[0];
    });
  };
  float value = 0;
  CHECK(seen(2, 3, 2, &value) == "");
  CHECK(value == 4);
  CHECK(seen(0, 6, 5, &value) == "");
  CHECK(value == 5);
  CHECK_THAT(seen(1, 3, 3), Contains("reaches element 3 of a storage of 3"));
  CHECK_THAT(seen(1, 6, 0), Contains("storage view beyond its storage of 6"));
  CHECK_THAT(seen(INT32_MAX, INT32_MAX, 0), Contains("storage view beyond"));
}

TEST_CASE("a wrapper's name does not make a wrapper", "[weights][pickle]") {
  const std::string one = integer(1);
  const std::string program = "}"s + text("params") + one + "s" + text("w") + tensor(one, one) + "s.";
  const pickle::Pickle p = run(program);
  CHECK(pickle::find_state_dict(p, kWho).count("w") == 1);
}

TEST_CASE("the last of two equal dict keys counts, as in Python", "[weights][pickle]") {
  const std::string i1 = integer(1);
  const std::string program =
      "}"s + text("w") + tensor(i1, i1) + "s"s + text("w") + tensor(integer(2), i1) + "s.";
  const pickle::Pickle p = run(program);
  CHECK(pickle::find_state_dict(p, kWho).at("w")->sizes == std::vector<int64_t>{2});
}

TEST_CASE("tensors of untyped storages take the dtype they name", "[weights][pickle]") {
  const auto v3 = [](const std::string& dtype) {
    return "}"s + text("w") + "ctorch._utils\n_rebuild_tensor_v3\n((" + text("storage") +
           "ctorch.storage\nUntypedStorage\n" + text("0") + text("cpu") + integer(24) + "tQ" + integer(1) +
           "(" + integer(5) + "t(" + integer(1) + "t\x89}ctorch\n" + dtype + "\ntRs.";
  };
  const std::string program = v3("float32");
  const pickle::Pickle p = run(program);
  const std::vector<float> floats{0, 1, 2, 3, 4, 5};
  uint64_t budget = 0;
  StateDict out;
  const auto* view = pickle::find_state_dict(p, kWho).at("w");
  pickle::add_tensor(out, "w", *view, p.storages[view->storage], std::as_bytes(std::span(floats)), budget);
  CHECK(out.floats("w") == std::vector<float>{1, 2, 3, 4, 5});
  CHECK_THAT(refusal(v3("float8_e4m3fn")), Contains("a dtype other than"));
}
