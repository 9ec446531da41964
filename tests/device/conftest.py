# SPDX-License-Identifier: Apache-2.0
"""Two backends of a real GPU. Not a part of CI, which has none: `scripts/test --device`.

$SHUNT_TEST_PAIR    the backends, "cuda,vulkan" without it
$SHUNT_TEST_ENGINE  where llama.cpp comes from, a setting as engine_source; without it, pip
$SHUNT_TEST_MODEL   a chat model to talk to; without it SmolLM2 is fetched
"""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

import gguf_file
from daemon import Daemon

BUILD_SECONDS = 3600
CONTEXT = 32768
PASSED_ON = ("PIP_", "SSL_", "VK_", "LD_")


class Pair(NamedTuple):
    first: str
    second: str


@pytest.fixture(scope="session")
def pair() -> Pair:
    return Pair(*os.environ.get("SHUNT_TEST_PAIR", "cuda,vulkan").split(","))


@pytest.fixture(scope="session")
def daemon(shunt_binary, tmp_path_factory) -> Daemon:
    folder = tmp_path_factory.mktemp("device")
    cache = Path(os.environ.get("SHUNT_TEST_CACHE", Path.home() / ".cache/shunt"))
    settings = {"engine_source": os.environ.get("SHUNT_TEST_ENGINE")}
    daemon = Daemon(
        shunt_binary,
        folder,
        {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON) or "proxy" in k},
        store_dir=cache / "store",
        build_priority="normal",
        **{k: v for k, v in settings.items() if v},
    ).start()
    yield daemon
    assert daemon.stop() == 0
    (folder / "daemon.log").write_text("".join(daemon.lines))


@pytest.fixture(scope="session")
def big(daemon, pair) -> str:
    """1.1 G random weights, in both environments."""
    daemon.add(gguf_file.large_llama(daemon.folder / "big.gguf"), id="big", n_ctx=CONTEXT)
    for backend in pair:
        daemon.switch("big", backend, BUILD_SECONDS)
    return "big"


@pytest.fixture(scope="session")
def chatty(daemon, pair, big) -> str:
    """A model that makes sense."""
    if path := os.environ.get("SHUNT_TEST_MODEL"):
        daemon.add(path, id="chatty")
    else:
        task = daemon.post("/llm/api/models", {"pull": "smollm2", "id": "chatty"}, 202)["task_id"]
        assert daemon.wait_task(task, 600)["state"] == "succeeded"
    for backend in pair:
        daemon.switch("chatty", backend, BUILD_SECONDS)
    return "chatty"


class Smi:
    """What NVIDIA's own program says, to compare with."""

    @staticmethod
    def ask(query: str, fields: str) -> list[list[str]]:
        done = subprocess.run(
            ["nvidia-smi", f"--query-{query}={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines()]

    @classmethod
    def processes(cls) -> dict[int, list[tuple[str, int]]]:
        """By pid: UUID of the GPU and MiB there."""
        found = {}
        for pid, uuid, mib in cls.ask("compute-apps", "pid,gpu_uuid,used_memory"):
            found.setdefault(int(pid), []).append((uuid, int(mib)))
        return found

    @classmethod
    def mib(cls, pid: int) -> int:
        return sum(mib for _, mib in cls.processes().get(pid, []))


@pytest.fixture(scope="session")
def smi() -> Smi:
    return Smi()
