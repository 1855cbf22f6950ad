#!/usr/bin/env python3
"""Plants one violation after another in a small copy of the house and expects check_house.py to name each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).with_name("check_house.py")

CLEAN = {
    "kernels/device.hpp": "#pragma once\n",
    "kernels/device.cpp": "#include <clout/kernels/cuda/backend.hpp>\n#include <clout/kernels/device.hpp>\n",
    "kernels/cpu/linear.cpp": "#include <clout/kernels/device.hpp>\n",
    "kernels/cuda/backend.hpp": "#include <clout/kernels/device.hpp>\n#include <cuda_runtime.h>\n",
    "kernels/cuda/device_code.hpp": "#ifdef __CUDACC__\nextern __shared__ char memory[];\n#endif\n",
    "engine/solver.hpp": "// Serves Line and others. Not atomicAdd( nor <<<.\n#include <clout/kernels/device.hpp>\n",
    "models/line.hpp": "#include <clout/engine/solver.hpp>\nclass Line {};\n",
    "host/main.cpp": '#include "main.hpp"\n#include <clout/models/line.hpp>\nconst char* kText = "<<<";\n',
    "host/main.hpp": "#pragma once\n",
    "bench/bench.cpp": "#include <clout/kernels/device.hpp>\n",
    "examples/own.cpp": "#include <clout/models/line.hpp>\n",
    "tests/simt/runtime.hpp": "float atomicAdd(float*, float);\n",
}

# What is planted: a file, its text, and what the check must say.
FAULTS = {
    "engine includes models": ("engine/a.cpp", "#include <clout/models/line.hpp>\n", "engine stands below models"),
    "kernels includes host, relative": ("kernels/a.cpp", '#include "../host/main.hpp"\n', "kernels stands below host"),
    "spaces in the include": ("kernels/a.hpp", "#  include  <clout/engine/solver.hpp>\n", "kernels stands below engine"),
    "cpu includes cuda": ("kernels/cpu/a.cpp", "#include <clout/kernels/cuda/backend.hpp>\n", "do not know each other"),
    "cuda includes cpu": ("kernels/cuda/a.cu", "#include <clout/kernels/cpu/a.hpp>\n", "do not know each other"),
    "public header needs a backend": ("kernels/a.hpp", "#include <clout/kernels/cpu/a.hpp>\n", "must not need"),
    "host includes a backend": ("host/a.cpp", "#include <clout/kernels/cpu/a.hpp>\n", "stay inside kernels"),
    "a floor includes tests": ("host/a.cpp", '#include "../tests/simt/runtime.hpp"\n', "tests is no floor"),
    "bench includes a backend": ("bench/a.cpp", "#include <clout/kernels/cuda/backend.hpp>\n", "public headers only"),
    "an example includes host": ("examples/a.cpp", "#include <clout/host/main.hpp>\n", "public headers only"),
    "engine names a model": ("engine/a.cpp", "void fit(Line&);\n", "the engine knows no model"),
    "engine needs CUDA": ("engine/a.cpp", "#include <cuda_runtime.h>\n", "needs the CUDA toolkit"),
    "long file": ("models/a.cpp", "\n" * 401, "401 lines"),
    "long test": ("tests/a.cpp", "\n" * 401, "401 lines"),
    "shared memory": ("kernels/cuda/a.cu", "__shared__ float tile[32];\n", "shared_storage"),
    "compiler asked for": ("kernels/cuda/a.cu", "#ifdef __CUDACC__\n#endif\n", "one header"),
    "launch": ("kernels/cuda/a.cu", "kernel<<<1, 1>>>();\n", "launch()"),
    "launch by hand": ("kernels/cuda/a.cu", "cudaLaunchKernelEx(&config, kernel);\n", "launch()"),
    "atomic sum": ("kernels/cuda/a.cu", "atomicAdd(&sum, x);\n", "fixed order"),
    "approximate exponential": ("kernels/cuda/a.cu", "x = __expf(x);\n", "approximate"),
    "fast-math": ("kernels/CMakeLists.txt", "target_compile_options(x PRIVATE -use_fast_math)\n", "fast-math"),
}


def run_check(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


class HouseCheck(unittest.TestCase):
    def test_clean_house_passes(self):
        code, output = run_check(CLEAN)
        self.assertEqual(code, 0, output)

    def test_every_planted_fault_is_named(self):
        for title, (name, text, expected) in FAULTS.items():
            with self.subTest(title):
                code, output = run_check({**CLEAN, name: text})
                self.assertEqual(code, 1, output)
                self.assertIn(expected, output)
                self.assertIn(name, output)
                self.assertIn(" 1 faults", output)


if __name__ == "__main__":
    unittest.main()
