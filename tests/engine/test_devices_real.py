# SPDX-License-Identifier: Apache-2.0
"""One model on two devices: llvmpipe, which llama.cpp takes twice when it is told to."""

import os
from pathlib import Path

import pytest

import gguf_file
from daemon import Daemon

BUILD_SECONDS = 1800
ASKED = {"prompt": "Hello", "temperature": 0, "max_tokens": 8}


@pytest.fixture(scope="module")
def daemon(shunt_binary, tmp_path_factory) -> Daemon:
    cache = Path(os.environ.get("SHUNT_TEST_CACHE", Path.home() / ".cache/shunt"))
    folder = tmp_path_factory.mktemp("devices")
    daemon = Daemon(
        shunt_binary,
        folder,
        {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_")) or "proxy" in k},
        store_dir=cache / "store",
        engine_cpu="x86-64-v3",
        build_priority="normal",
        worker_env="GGML_VK_VISIBLE_DEVICES=0,0",
    ).start()
    daemon.add(gguf_file.tiny_llama(folder / "tiny.gguf"))
    daemon.switch("tiny", "vulkan", BUILD_SECONDS)
    yield daemon
    assert daemon.stop() == 0


def answer(daemon, **options) -> str:
    """What it says, loaded so."""
    daemon.call("PATCH", "/llm/api/models/tiny", options, 200)
    task = daemon.post("/llm/api/models/tiny/load?wait=false", {}, 202)["task_id"]
    done = daemon.wait_task(task, 300)
    assert done["state"] == "succeeded", done
    said = daemon.http.post("/v1/completions", json={"model": "tiny", **ASKED}, timeout=120)
    assert said.status_code == 200, said.text
    return said.json()["choices"][0]["text"]


@pytest.mark.parametrize("runtime", ["server", "python"])
def test_a_model_on_two_devices_answers_as_on_one(daemon, runtime):
    alone = answer(daemon, runtime=runtime, devices=None, tensor_split=None)
    assert answer(daemon, devices=["Vulkan0", "Vulkan1"], tensor_split=[1, 1]) == alone
    assert daemon.model("tiny")["worker"]["device"] == "Vulkan0,Vulkan1"
    log = daemon.http.get("/llm/api/models/tiny/log").text
    for device in ("Vulkan0", "Vulkan1"):
        assert f"{device} model buffer size" in log, "each has a part of the weights"


def test_vulkan_is_known_and_llvmpipe_told_from_a_gpu(daemon):
    seen = daemon.get("/llm/api/hardware/detect")
    assert seen["vulkan"]["why_not"] is None
    (software,) = (d for d in seen["vulkan"]["devices"] if d["kind"] == "software")
    assert software["name"].startswith("llvmpipe")
    assert software["driver"].startswith("llvmpipe Mesa ")
    assert software["device"] is None, "llama.cpp uses it only when it is told to"
    assert software["memory_bytes"] > 0
