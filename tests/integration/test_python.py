# SPDX-License-Identifier: Apache-2.0
"""The Python of an environment: a real venv, the real hook and pip, a binding and a wheel that are
fakes. The real llama_cpp: tests/engine/test_python.py."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon import Daemon, wait_until
from python_site import environment, make_wheel


@pytest.fixture
def daemon(start):
    return start()


def run(python, *args, **env) -> subprocess.CompletedProcess:
    """With nothing set, from a folder that has nothing to do with it."""
    return subprocess.run(
        [python, *args], env=env, cwd="/", capture_output=True, text=True, timeout=60
    )


def recreate(daemon: Daemon, backend: str) -> dict:
    """create-environment to its end; the environment."""
    task = daemon.post(
        "/llm/api/models/tiny.Q8_0/create-environment", {"gpu_backend": backend}, 202
    )["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    return environment(daemon, backend)


def test_an_environment_has_a_python_of_its_own(daemon, site, tmp_path):
    daemon.switch("tiny.Q8_0", "vulkan")
    found = environment(daemon, "vulkan")
    python = found["python"]
    assert python["why_not"] is None, python
    folder = daemon.cli("env", "path", found["name"]).stdout.strip()
    assert python["path"] == f"{folder}/bin/python"
    said = run(python["path"], "-c", "import llama_cpp, needed, sys; print(sys.prefix)")
    assert said.stdout.strip() == folder, said.stderr
    assert python["version"] in run(python["path"], "--version").stdout

    # activate, also from a shell that has other settings
    script = f". '{folder}/bin/activate' && python -c 'import llama_cpp; print(llama_cpp.__file__)'"
    said = run("/bin/sh", "-c", script, PATH=os.environ["PATH"], LLAMA_CPP_LIB_PATH="/nowhere")
    assert said.stdout.strip() == f"{folder}/python/llama_cpp/__init__.py", said.stderr

    # no device: not the CPU in silence
    said = run(python["path"], "-c", "import llama_cpp", GGML_FAKE_NO_DEVICE="1")
    assert said.returncode == 1
    assert "cannot use Vulkan: there is no such device, only CPU; shunt doctor" in said.stderr

    # without pip and wheels, at once: a second model's, and another backend's
    shutil.rmtree(site.wheels)
    shutil.copy(tmp_path / "tiny.Q8_0.gguf", tmp_path / "other.gguf")
    daemon.add(tmp_path / "other.gguf")
    for backend in ("vulkan", "cpu"):
        daemon.switch("other", backend)
        other = environment(daemon, backend, "llm_other_{}")
        assert other["python"]["why_not"] is None
        assert other["digests"]["python"] == found["digests"]["python"]
        assert run(other["python"]["path"], "-c", "import llama_cpp").returncode == 0
    daemon.call("DELETE", "/llm/api/models/other", status=200)

    # a piece like others for gc
    kinds = daemon.post("/llm/api/environments/gc", {"dry_run": True}, 200)["removed"]
    assert "python" not in [piece["kind"] for piece in kinds]


def test_offline_nothing_is_installed(start):
    daemon = start(SHUNT_OFFLINE="yes")
    daemon.switch("tiny.Q8_0", "cpu")
    found = environment(daemon, "cpu")
    assert found["state"] == "ready"
    assert "offline" in found["python"]["why_not"]


@pytest.mark.slow
def test_what_the_user_installs_stays_in_the_environment(daemon, site, tmp_path):
    """pip is the machine's here, where the real piece has its own."""
    daemon.switch("tiny.Q8_0", "cpu")
    python = environment(daemon, "cpu")["python"]["path"]
    mine = tmp_path / "mine"
    make_wheel(mine, "needed", "2.0")
    site_packages = run(python, "-c", "import site; print(site.getsitepackages()[0])").stdout
    words = ["-m", "pip", "install", "--no-index", "--find-links", mine]
    words += [f"--target={site_packages.strip()}", "needed==2.0"]
    done = run("python3", *words, PATH=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    asks = "import needed; print(needed.version)"
    assert run(python, "-c", asks).stdout == "2.0\n"
    daemon.switch("tiny.Q8_0", "vulkan")
    assert run(environment(daemon, "vulkan")["python"]["path"], "-c", asks).stdout == "1.0\n"
    assert daemon.stop() == 0
    daemon.start()
    assert run(python, "-c", asks).stdout == "2.0\n"


@pytest.mark.slow
def test_no_python_then_one_then_another(site, start, tmp_path):
    """Found without a restart: the next switch sees to it."""
    broken = tmp_path / "broken"
    real = shutil.which("python3")
    broken.write_text(f'#!/bin/sh\n[ "$1" = -I ] && exit 1\nexec "{real}" "$@"\n')
    broken.chmod(0o755)
    site.offer(broken)
    daemon = start()
    daemon.switch("tiny.Q8_0", "cpu")
    found = environment(daemon, "cpu")
    assert found["state"] == "ready"
    assert found["python"]["path"] is None
    assert "does not answer" in found["python"]["why_not"]
    assert daemon.chat("tiny.Q8_0").status_code == 200

    site.offer(real)
    answer = daemon.switch("tiny.Q8_0", "cpu")
    assert answer["instant_switch"] is True
    python = wait_until(lambda: environment(daemon, "cpu")["python"]["path"], 30, "Python")
    assert run(python, "-c", "import llama_cpp").returncode == 0

    site.offer(broken)  # as an upgrade that went wrong
    assert daemon.switch("tiny.Q8_0", "cpu")["instant_switch"] is True
    wait_until(lambda: environment(daemon, "cpu")["python"]["why_not"], 30, "its end")
    assert not Path(python).exists()


def test_a_wheel_with_another_hash_is_refused(site, start):
    site.pin("0" * 64)
    daemon = start()
    daemon.switch("tiny.Q8_0", "cpu")
    found = environment(daemon, "cpu")
    assert found["state"] == "ready"
    assert "DO NOT MATCH THE HASHES" in found["python"]["why_not"]
    assert "needed" in found["python"]["why_not"]
    asked = daemon.cli("env", "path", found["name"])
    assert asked.stdout.strip() == found["path"]
    assert asked.stderr.startswith("it has no Python: ")
    assert not list((daemon.state / "store").glob(".stage-*"))
    # tried again when asked for, not before
    site.pin(make_wheel(site.wheels, "needed"))
    daemon.switch("tiny.Q8_0", "cpu")
    assert environment(daemon, "cpu")["python"]["path"] is None
    assert recreate(daemon, "cpu")["python"]["why_not"] is None


@pytest.mark.slow
def test_a_python_that_computes_wrong_is_not_called_ready(site, start):
    binding = site.source / "llama_cpp/__init__.py"
    text = binding.read_text()
    binding.write_text(text.replace("(model, known))", "(model, known)[::-1])"))
    daemon = start()
    daemon.switch("tiny.Q8_0", "cpu")
    found = environment(daemon, "cpu")
    assert found["state"] == "ready"
    assert found["python"]["path"] is None
    assert "llama_cpp computes wrong numbers" in found["python"]["why_not"]
    facts = json.loads(Path(found["path"], "env.json").read_text())
    assert facts["python"] == found["digests"]["python"]
