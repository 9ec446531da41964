# SPDX-License-Identifier: Apache-2.0
"""CUDA where no toolkit is installed: the real pip, wheels of fakes from a folder that stands for
the index, and a module that needs a library out of them. The real ones are in
tests/engine/test_cuda.py.
"""

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon import wait_until
from python_site import environment, make_wheel

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
ID = "tiny.Q8_0"
MODEL = f"/llm/api/models/{ID}"
CREATE = f"{MODEL}/create-environment"
ASKED = {"gpu_backend": "cuda", "arch": "90"}
ALLOWED = ASKED | {"provision": True}
ROOT = "nvidia/cu13"


def shared_library(folder: Path) -> bytes:
    made = folder / "libcudart.so.13"
    words = ["cc", "-shared", "-fPIC", "-Wl,-soname,libcudart.so.13", "-x", "c", "-o", made, "-"]
    subprocess.run(words, input=b"int cudaMalloc(void) { return 0; }", check=True)
    return made.read_bytes()


@pytest.fixture
def toolkit(site, tmp_path):
    """The index has a compiler and a runtime; this machine has neither."""
    if any(Path(f"{p}/bin/nvcc").exists() for p in ("/usr", "/usr/local/cuda", "/opt/cuda")):
        pytest.skip("a CUDA toolkit is installed here")
    nvcc = b"#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n"
    compiler = {f"{ROOT}/bin/nvcc": nvcc, f"{ROOT}/nvvm/bin/cicc": b"#!/bin/sh\n"}
    runtime = {
        f"{ROOT}/lib/libcudart.so.13": shared_library(tmp_path),
        f"{ROOT}/include/cuda_runtime.h": b"",
    }
    for name, files in (("compiler", compiler), ("runtime", runtime)):
        pin(site, name, make_wheel(site.wheels, name, files=files))
    return site


def pin(site, name: str, sha256: str) -> None:
    pins = site.data.parent / f"cuda/requirements-{name}.txt"
    pins.write_text(f"{name}==1.0 --hash=sha256:{sha256}\n")


@pytest.fixture
def daemon(toolkit, start):
    return start()


def create(daemon, **body) -> dict:
    """create-environment to its end: the task."""
    return daemon.wait_task(daemon.post(CREATE, ALLOWED | body, 202)["task_id"])


def pieces(daemon) -> dict[str, Path]:
    """Of the store, by kind."""
    found = (daemon.state / "store").glob("[0-9a-f]*/manifest.json")
    return {re.search(r'"kind": "([^"]+)"', m.read_text())[1]: m.parent for m in found}


def stages(daemon) -> list[Path]:
    return list((daemon.state / "store").glob(".stage-*"))


def collected(daemon) -> set[str]:
    removed = daemon.post("/llm/api/environments/gc", {}, 200)["removed"]
    return {piece["kind"] for piece in removed}


def test_half_a_gigabyte_is_not_fetched_unasked(daemon):
    for path in (CREATE, f"{MODEL}/switch-backend"):
        error = daemon.post(path, ASKED, 424)["error"]
        assert error["type"] == "consent_needed"
        assert re.search(
            r"CUDA needs its compiler and libraries, 525 MB to fetch", error["message"]
        )
        assert "--yes" in error["hint"]
    refused = daemon.cli("env", "create", ID, "cuda", "--arch", "90")
    assert refused.returncode == 1
    assert "525 MB" in refused.stderr
    assert pieces(daemon) == {}
    assert daemon.get("/llm/api/environments")["environments"] == []


@pytest.mark.parametrize("answer", ["n", "y"])
def test_on_a_terminal_the_user_is_asked(daemon, answer):
    pid, fd = pty.fork()
    if pid == 0:
        words = ["env", "create", ID, "cuda", "--arch", "90"]
        socket = f"--socket={daemon.socket}"
        os.execve(daemon.binary, [daemon.binary, socket, *words], daemon.env | {"TERM": "xterm"})
    said = b""
    while b"[y/N]" not in said:
        said += os.read(fd, 65536)
    assert b"525 MB" in said
    os.write(fd, f"{answer}\n".encode())
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        pass  # the terminal's other end is closed
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if answer == "y" else 1)
    assert ("cuda-compiler" in pieces(daemon)) == (answer == "y")


def test_a_module_runs_with_the_libraries_beside_it(daemon):
    done = daemon.cli("env", "create", ID, "cuda", "--arch", "90", "--yes")
    assert done.returncode == 0, done.stderr
    made = environment(daemon, "cuda")
    store = pieces(daemon)
    assert made["arch"] == "90"
    assert made["digests"]["libraries"] == store["cuda-runtime"].name
    assert os.access(store["cuda-compiler"] / ROOT / "bin/nvcc", os.X_OK)
    assert made["size_bytes"] > store["cuda-runtime"].joinpath("manifest.json").stat().st_size
    module = store["module"] / "libggml-cuda.so"
    said = subprocess.run(["readelf", "-d", module], capture_output=True, text=True, check=True)
    assert f"[$ORIGIN:$ORIGIN/../{store['cuda-runtime'].name}/{ROOT}/lib]" in said.stdout
    daemon.switch(ID, "cuda", reload=True)
    assert daemon.model(ID)["worker"]["device"] == "CUDA0"
    assert daemon.chat(ID).status_code == 200

    # the compiler may go, what the module runs with may not
    assert collected(daemon) == {"cuda-compiler"}
    assert collected(daemon) == set()
    assert daemon.stop() == 0
    daemon.start()
    assert collected(daemon) == set()
    daemon.switch(ID, "cuda", reload=True)
    assert daemon.chat(ID).status_code == 200

    # a second model compiles nothing, so it asks for nothing
    shutil.copy(daemon.model(ID)["path"], daemon.folder / "other.gguf")
    daemon.add(daemon.folder / "other.gguf")
    daemon.switch("other", "cuda", arch="90")


def test_a_rebuild_is_for_what_it_was_for(daemon):
    assert create(daemon)["state"] == "succeeded"
    name = environment(daemon, "cuda")["name"]
    error = daemon.post(CREATE, ALLOWED | {"arch": "86"}, 409)["error"]
    assert error["message"] == f"environment '{name}' is built for 90, not for 86"
    assert error["hint"] == f"shunt env rebuild {name} cuda --arch 86"
    done = daemon.cli(*error["hint"].split()[1:])  # its compiler is there: nobody is asked
    assert done.returncode == 0, done.stderr
    now = environment(daemon, "cuda")
    assert now["arch"] == "86"
    done = daemon.cli("env", "rebuild", name, "cuda", "--force")
    assert done.returncode == 0, done.stderr
    assert environment(daemon, "cuda")["arch"] == "86"
    assert environment(daemon, "cuda")["digests"] != now["digests"]


@pytest.mark.slow
def test_what_is_made_for_one_gpu_is_not_taken_for_another(toolkit, start):
    gate = toolkit.folder / "gate"
    toolkit.source.joinpath("fake-build.json").write_text(json.dumps({"gate": str(gate)}))
    daemon = start()
    switch, other = f"{MODEL}/switch-backend", ALLOWED | {"arch": "86"}
    first = daemon.post(switch, ALLOWED, 202)["task_id"]
    assert f"{first} (cuda for 90)" in daemon.post(switch, other, 409)["error"]["message"]
    assert daemon.post(switch, ALLOWED, 202)["task_id"] == first
    late = daemon.post(CREATE, other, 202)["task_id"]
    gate.touch()
    assert daemon.wait_task(first)["state"] == "succeeded"
    assert "is built for 90, not for 86" in daemon.wait_task(late)["error"]["message"]

    gate.unlink()
    rebuild = f"/llm/api/venv/{environment(daemon, 'cuda')['name']}/rebuild"
    task = daemon.post(rebuild, other, 202)["task_id"]
    assert f"cuda 86 by task {task}" in daemon.post(rebuild, ALLOWED, 409)["error"]["message"]
    assert daemon.post(rebuild, other, 202)["task_id"] == task
    gate.touch()
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert environment(daemon, "cuda")["arch"] == "86"


@pytest.mark.slow
def test_a_rebuild_asks_for_what_is_missing_alone(daemon):
    assert create(daemon)["state"] == "succeeded"
    name = environment(daemon, "cuda")["name"]
    collected(daemon)
    for body in ({"arch": "86"}, {"force": True}):
        error = daemon.post(f"/llm/api/venv/{name}/rebuild", ASKED | body, 424)["error"]
        assert "102 MB" in error["message"], "only the compiler is missing"
    daemon.switch(ID, "cuda")  # and what is there is not built
    daemon.switch(ID, "cpu")
    assert daemon.cli("env", "rebuild", name, "cpu").returncode == 0
    assert environment(daemon, "cuda")["digests"]["libraries"] is None
    assert environment(daemon, "cuda")["arch"] is None


@pytest.mark.slow
def test_a_load_asks_too(daemon):
    daemon.switch(ID, "cuda", provision=True, arch="90")
    for kind in ("cuda-compiler", "cuda-runtime", "module"):
        remove(pieces(daemon)[kind])
    error = daemon.post(f"{MODEL}/load", {}, 424)["error"]
    assert error["type"] == "consent_needed"
    assert daemon.cli("load", ID).returncode == 1
    assert daemon.cli("load", ID, "--yes").returncode == 0
    assert daemon.model(ID)["state"] == "loaded"


def remove(piece: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", piece], check=True)
    shutil.rmtree(piece)


def test_a_setting_allows_it_for_ever_or_forbids_it(toolkit, start):
    daemon = start(SHUNT_TOOLKIT_PROVISION="never")
    error = daemon.post(CREATE, ALLOWED, 424)["error"]
    assert error["type"] == "toolkit_missing"
    assert "missing nvcc" in error["message"]
    assert daemon.stop() == 0
    daemon.env["SHUNT_TOOLKIT_PROVISION"] = "auto"
    daemon.start()
    task = daemon.post(CREATE, ASKED, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"


def test_another_file_than_the_pinned_one_is_not_used(toolkit, start):
    pin(toolkit, "runtime", "0" * 64)
    daemon = start()
    task = create(daemon)
    assert task["error"]["type"] == "verification_failed"
    assert "fetching CUDA's libraries with pip failed" in task["error"]["message"]
    assert "cuda-runtime" not in pieces(daemon)
    assert stages(daemon) == []
    assert environment(daemon, "cuda")["state"] == "failed"


def test_a_cancelled_download_leaves_nothing(toolkit, start):
    """pip that does not end: of all that is asked of python3 only this hangs."""
    slow = toolkit.programs / "python3"
    real = slow.resolve()
    slow.unlink()
    slow.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *requirements-runtime*) echo fetching; sleep 600;; esac\nexec {real} "$@"\n'
    )
    slow.chmod(0o755)
    daemon = start()
    task = daemon.post(CREATE, ALLOWED, 202)["task_id"]
    wait_until(lambda: "fetching" in daemon.http.get(f"/tasks/{task}/log").text, 30, "pip")
    assert daemon.get(f"/tasks/{task}")["task"]["step"] == "Fetching CUDA's libraries"
    daemon.post(f"/tasks/{task}/cancel", {}, 202)
    assert daemon.wait_task(task, 20)["state"] == "cancelled"
    assert "cuda-runtime" not in pieces(daemon)
    assert stages(daemon) == []
    slow.unlink()
    toolkit.offer(real)
    assert create(daemon)["state"] == "succeeded"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"gpu_backend": "cuda", "arch": "9.0"}, 400, "arch '9.0' is no architecture"),
        ({"gpu_backend": "cuda", "arch": ""}, 400, "arch"),
        ({"gpu_backend": "cuda", "arch": "gfx1100"}, 409, "'gfx1100' is no architecture of CUDA"),
        ({"gpu_backend": "rocm", "arch": "90"}, 409, "'90' is no"),
        ({"gpu_backend": "cuda", "arch": "90;-DX=/etc"}, 400, "arch '90;-DX=/etc' is no"),
        ({"gpu_backend": "cuda", "arch": 90}, 400, "arch"),
        ({"gpu_backend": "vulkan", "arch": "90"}, 409, "arch is for a build for CUDA"),
        ({"gpu_backend": "cuda"}, 424, "GPU architecture"),
        ({"gpu_backend": "cuda", "arch": "61"}, 424, "CUDA 13.0.88 has dropped architecture 61"),
    ],
)
def test_what_it_cannot_be_built_for(daemon, body, status, words):
    error = daemon.post(CREATE, body | {"provision": True}, status)["error"]
    assert words in error["message"], error
    assert pieces(daemon) == {}


def test_doctor_says_where_the_compiler_comes_from(daemon, nvml):
    shown = daemon.get("/llm/api/toolkit/check/cuda")["toolkit"]
    assert shown["compiler"] == "nvcc 13.0.88 from pip"
    found = {item["name"]: item for item in shown["items"]}
    assert found["nvcc"]["found"] == "13.0.88 from pip, 525 MB"
    assert not found["GPU architecture"]["ok"]
    assert daemon.stop() == 0
    daemon.env["LD_LIBRARY_PATH"] = str(nvml.parent)
    daemon.start()
    shown = daemon.get("/llm/api/toolkit/check/cuda")["toolkit"]
    found = {item["name"]: item for item in shown["items"]}
    assert found["GPU architecture"]["found"] == "90 NVIDIA H200"
    assert found["NVIDIA driver"] | {"packages": ""} == {
        "name": "NVIDIA driver", "found": "580.159.04", "needed": "580", "packages": "",
        "ok": True, "at_run_time": True,
    }  # fmt: skip
