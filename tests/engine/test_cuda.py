# SPDX-License-Identifier: Apache-2.0
"""CUDA from pip, the real one: 525 MB, kept in the store. What it compiles is small: the whole of
ggml-cuda takes half an hour on two cores."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import gguf_file
from daemon import FAKES, Daemon

HERE = Path(__file__).resolve().parent


@pytest.fixture
def daemon(shunt_binary, tmp_path):
    """Without an installed toolkit's help: nothing but the usual programs is in PATH."""
    if any(Path(f"{p}/bin/nvcc").exists() for p in ("/usr", "/usr/local/cuda", "/opt/cuda")):
        pytest.skip("a CUDA toolkit is installed here")
    source = tmp_path / "source"
    shutil.copytree(FAKES / "engine-source", source)
    shutil.copytree(HERE / "small-source", source, dirs_exist_ok=True)
    cache = Path(os.environ.get("SHUNT_TEST_CACHE", Path.home() / ".cache/shunt"))
    daemon = Daemon(
        shunt_binary,
        tmp_path,
        {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_")) or "proxy" in k},
        store_dir=cache / "store",
        engine_source=source,
        engine_cpu="x86-64-v3",
        build_priority="normal",
    ).start()
    daemon.add(gguf_file.tiny_llama(tmp_path / "tiny.gguf"))
    yield daemon
    assert daemon.stop() == 0


def test_the_compiler_from_pip_compiles_and_its_libraries_are_found(daemon):
    done = daemon.cli("env", "create", "tiny", "cuda", "--arch", "75,90", "--yes")
    made = daemon.get("/llm/api/environments/llm_tiny_cuda")["environment"]
    store = daemon.settings["store_dir"]
    module = store / made["digests"]["module"] / "libggml-cuda.so"
    libraries = store / made["digests"]["libraries"] / "nvidia/cu13/lib"
    # every library but the driver's own is found, the big ones in the piece beside
    said = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    for name in ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13"):
        found = re.search(rf"{re.escape(name)} => (\S+)", said)[1]
        assert Path(found).resolve() == (libraries / name).resolve(), said
    missing = re.findall(r"(\S+) => not found", said)
    assert set(missing) <= {"libcuda.so.1", "libggml-base.so.0"}, said

    if Path("/dev/nvidiactl").exists():
        pytest.skip("what happens without a GPU shows only where there is none")
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr, done.stderr
    assert made["state"] == "failed"
    assert "no CUDA device" in made["reason"]
    assert module.exists(), "it is whole: another try only verifies"
