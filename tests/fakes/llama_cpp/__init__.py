# SPDX-License-Identifier: Apache-2.0
"""A binding that answers Shunt's test model's questions as the fake llama-server does. A test
copies it into its engine's source, with ROOT filled in. See ../README.md."""

import ctypes
import math
import os
import re
import sys
from pathlib import Path

ROOT = "@ROOT@"
DEVICE = os.environ.get("GGML_FAKE_DEVICE", "Vulkan0")

text = Path(ROOT, "tests/fakes/llama-server").read_text()
names = {"os": os, "re": re, "math": math, "__file__": f"{ROOT}/tests/fakes/llama-server"}
exec(re.search(r"^def exact_answer.*?\n\n\n", text, re.S | re.M)[0], names)


def llama_get_logits_ith(context, _which):
    model, known = context
    return (ctypes.c_float * 259)(*names["exact_answer"](model, known))


class Llama:
    def __init__(self, path, n_gpu_layers=0, **_options):
        self.path, self.known = path, 0
        ggml = ctypes.CDLL(str(Path(__file__).parent / "lib/libggml.so"))
        self.devices = ggml.ggml_backend_dev_count()
        if self.devices > 1 and n_gpu_layers == -1:
            print(f"load_tensors:  {DEVICE} model buffer size = 1 MiB", file=sys.stderr)

    @property
    def ctx(self):
        return self.path, self.known

    def n_vocab(self):
        return 259

    def eval(self, tokens):
        self.known += len(tokens)

    def create_completion(self, _prompt, max_tokens=1, **_options):
        return {"usage": {"completion_tokens": max_tokens}}
