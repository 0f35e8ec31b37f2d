#!/ usr / bin / env python3
"""Plants one violation after another in an empty tree: a rule that lets one pass is itself broken."""

import sys
import tempfile
from pathlib import Path

import baseline_code
import include_rule
import silent_library
import small_files

FORBIDDEN = [
    (include_rule, "kernels/a.cpp", '#include "weights/open.h"\n'),
    (include_rule, "kernels/cpu/a.cpp", '#  include "runtime/graph.h"\n'),
    (include_rule, "kernels/a.cpp", "#include <arch/rrdb.h>\n"),
    (include_rule, "kernels/a.cpp", '#include "../weights/open.h"\n'),
    (include_rule, "kernels/a.cpp", '#include "tests/testing.h"\n'),
    (include_rule, "kernels/a.cpp", '#include "upscale.h"\n'),
    (include_rule, "weights/a.cpp", '#include "kernels/ops.h"\n'),
    (include_rule, "weights/a.cpp", '#include "runtime/model.h"\n'),
    (include_rule, "runtime/a.cpp", '#include "arch/families.h"\n'),
    (include_rule, "runtime/a.cpp", '#include "apps/store.h"\n'),
    (include_rule, "arch/a.cpp", '#include "apps/store.h"\n'),
    (include_rule, "apps/a.cpp", '#include "kernels/error.h"\n'),
    (include_rule, "apps/a.cpp", '#include "weights/open.h"\n'),
    (include_rule, "apps/a.cpp", '#include "runtime/image.h"\n'),
    (include_rule, "include/upscale.h", "#include <vector>\n"),
    (include_rule, "include/upscale.h", '#include "kernels/error.h"\n'),
    (small_files, "arch/a.cpp", "int a;\n" * 401),
    (small_files, "tests/a.cpp", "int a;\n" * 601),
    (small_files, "apps/utils.h", "\n"),
    (small_files, "kernels/cpu/common.h", "\n"),
    (silent_library, "kernels/a.cpp", 'void f() { printf("x"); }\n'),
    (silent_library, "weights/a.cpp", "void f() { std::cerr << 1; }\n"),
    (silent_library, "runtime/a.cpp", "void f() { std::abort(); }\n"),
    (silent_library, "runtime/a.cpp", "void f() { ::exit(1); }\n"),
    (silent_library, "arch/a.cpp", "/* x */ void f() { assert (1); }\n"),
    (silent_library, "arch/a.cpp", 'void f() { const char* a = "//"; abort(); }\n'),
]
ALLOWED = [
    (include_rule, "weights/a.cpp", '#include "kernels/error.h"\n#include "kernels/tensor.h"\n#include <zip.h>\n'),
    (include_rule, "runtime/a.cpp", '#include "kernels/ops.h"\n#include "weights/open.h"\n#include "upscale.h"\n'),
    (include_rule, "arch/a.cpp", '#include "runtime/graph.h"\n// #include "apps/store.h"\n'),
    (include_rule, "apps/a.cpp", '#include "apps/store.h"\n#include "upscale.h"\n#include <png.h>\n'),
    (small_files, "arch/a.cpp", "int a;\n" * 400),
    (silent_library, "kernels/a.cpp", '// printf(\n/* abort() */ const char* a = "exit(1)"; int snprintf(int);\n'),
    (silent_library, "arch/a.cpp", "static_assert(true); void g() { x.exit(1); }\n"),
]


def finds(rule, name, text):
    with tempfile.TemporaryDirectory() as root:
        for header in ("weights/open.h", "apps/store.h"):
            (Path(root) / header).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / header).touch()
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return list(rule.violations(root))


wrong = [f"{rule.__name__} missed {text!r} in {name}" for rule, name, text in FORBIDDEN if not finds(rule, name, text)]
wrong += [f"{rule.__name__}: {f}" for rule, name, text in ALLOWED for f in finds(rule, name, text)]

AVX = ["0000000000000000 <{}>:", "   0:\tvaddps %ymm0,%ymm1,%ymm2", "   4:\tret"]
if not baseline_code.offenders(line.format("_ZNSt6vectorIfE6resizeEv") for line in AVX):
    wrong.append("baseline_code missed AVX in a std function")
if baseline_code.offenders(line.format("_ZN3ups3cpu6N_AVX24convEv") for line in AVX):
    wrong.append("baseline_code refused AVX in its namespace")

print("\n".join(wrong) or f"{len(FORBIDDEN) + 1} planted violations found, {len(ALLOWED) + 1} clean files passed")
sys.exit(bool(wrong))
