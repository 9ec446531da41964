# SPDX-License-Identifier: Apache-2.0
"""llama_cpp computes on its environment's backend.

llama.cpp's backends are modules that someone has to load before a model; the binding does not, and
would look into the working directory for them. Imported by a .pth file when an environment's Python
starts; does nothing until llama_cpp is imported.
"""

import sys
from importlib.machinery import PathFinder

FOLDER = f"{sys.prefix}/python"  # llama_cpp and engine.json, made by Shunt
said = []  # warnings and errors of ggml
kept = []  # what llama.cpp has pointers to


def refuse(facts, why):
    """Without the device it would be the CPU, in silence."""
    lines = "".join(said).strip()
    raise RuntimeError(
        f"llama_cpp in environment '{facts['environment']}' cannot use {facts['title']}: {why}"
        + (f" ({lines})" if lines else "")
        + f"; shunt doctor {facts['backend']} says what this machine lacks"
    )


def listen(ggml):
    """Keeps what ggml says about loading, which would go to stderr."""
    import ctypes

    @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    def hear(level, text, _):
        if level in (3, 4):  # warning, error
            said.append(text.decode(errors="replace"))

    kept.append(hear)
    ggml.ggml_log_set(hear, None)


def device_names(ggml):
    import ctypes

    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_name.restype = ctypes.c_char_p
    ggml.ggml_backend_dev_name.argtypes = [ctypes.c_void_p]
    return [
        ggml.ggml_backend_dev_name(ggml.ggml_backend_dev_get(i)).decode()
        for i in range(ggml.ggml_backend_dev_count())
    ]


def load_module(ggml, facts):
    import ctypes

    ggml.ggml_backend_load.restype = ctypes.c_void_p
    ggml.ggml_backend_load.argtypes = [ctypes.c_char_p]
    try:
        kept.append(ctypes.CDLL(facts["module"]))
    except OSError as why:
        refuse(facts, why)
    if not ggml.ggml_backend_load(facts["module"].encode()):
        refuse(facts, "its module refuses to start: no driver?")


def prepare():
    import ctypes
    import json
    import os
    from pathlib import Path

    facts = json.loads(Path(FOLDER, "engine.json").read_text(encoding="utf-8"))
    for name in ("LLAMA_CPP_LIB_PATH", "LLAMA_CPP_LIB", "MTMD_CPP_LIB", "GGML_BACKEND_PATH"):
        os.environ.pop(name, None)  # they lead to another build
    for name, value in facts["variables"].items():
        os.environ.setdefault(name, value)
    lib = f"{FOLDER}/llama_cpp/lib"
    ggml = ctypes.CDLL(f"{lib}/libggml.so")
    listen(ggml)
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path(lib.encode())  # the CPU
    if facts["module"]:
        load_module(ggml, facts)
    names = device_names(ggml)
    if not any(name.startswith(facts["device"]) for name in names):
        refuse(facts, f"there is no such device, only {', '.join(names) or 'none'}")


class Finder:
    """Has llama_cpp prepared when it is imported, not when it is only looked for."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "llama_cpp":
            return None
        spec = PathFinder.find_spec(name)
        # Another one that the user has installed here is the user's.
        if spec and spec.origin and spec.origin.startswith(f"{FOLDER}/"):
            execute = spec.loader.exec_module

            def prepare_and_execute(module):
                prepare()
                execute(module)

            spec.loader.exec_module = prepare_and_execute
        return spec


sys.meta_path.insert(0, Finder)
