# SPDX-License-Identifier: Apache-2.0
"""One model on several devices, and what they are asked for in vain."""

import json
from pathlib import Path

import pytest

MODEL = "tiny.Q8_0"
PATH = f"/llm/api/models/{MODEL}"


@pytest.fixture
def daemon(make_daemon, request):
    """Vulkan0 and Vulkan1, with so much free memory in MiB."""
    free = getattr(request, "param", "8000,8000")
    return make_daemon(worker_env=f"FAKE_FREE_MIB={free}").start()


def last_start(model) -> list[str]:
    lines = Path(f"{model.path}.fake.log").read_text().splitlines()
    return next(e["args"] for e in map(json.loads, reversed(lines)) if e["event"] == "start")


def after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def two(daemon, **options) -> None:
    daemon.call("PATCH", PATH, {"devices": ["Vulkan0", "Vulkan1"], **options}, 200)


def test_a_model_runs_on_all_devices_that_it_was_given(daemon, model):
    said = daemon.cli("set", MODEL, "devices=Vulkan0,Vulkan1", "tensor_split=3,1")
    assert said.returncode == 0, said.stderr
    daemon.switch(MODEL, "vulkan", reload=True)
    assert daemon.model(MODEL)["options"] == {
        "devices": ["Vulkan0", "Vulkan1"],
        "tensor_split": [3, 1],
    }
    words = last_start(model)
    assert after(words, "--device") == "Vulkan0,Vulkan1"
    assert after(words, "--tensor-split") == "3,1"
    worker = daemon.model(MODEL)["worker"]
    assert worker["device"] == "Vulkan0,Vulkan1"
    assert "Vulkan0,Vulkan1" in daemon.cli("status").stdout
    assert daemon.chat(MODEL).status_code == 200
    # the same options on the CPU: there is nothing to split
    daemon.switch(MODEL, "cpu")
    words = last_start(model)
    assert after(words, "--device") == "none"
    assert "--tensor-split" not in words
    # and back, in their place
    daemon.call("PATCH", PATH, {"split_mode": "tensor"}, 200)
    daemon.switch(MODEL, "vulkan")
    assert after(last_start(model), "--split-mode") == "tensor"
    assert daemon.model(MODEL)["worker"]["device"] == "Vulkan0,Vulkan1"


@pytest.mark.parametrize("left_out", ["Vulkan0", "Vulkan1"])
def test_each_device_must_be_in_use(daemon, model, left_out):
    two(daemon)
    daemon.switch(MODEL, "vulkan")
    model.behave(leaves_out=left_out)
    error = daemon.post(f"{PATH}/load", {}, 502)["error"]
    assert f"was to compute on {left_out} but uses Vulkan" in error["message"]
    assert daemon.model(MODEL)["worker"] is None


def test_a_device_that_is_not_there_is_named(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    daemon.call("PATCH", PATH, {"devices": ["Vulkan0", "Vulkan7"]}, 200)
    task = daemon.post(f"{PATH}/switch-backend", {"gpu_backend": "vulkan"}, 202)["task_id"]
    error = daemon.wait_task(task)["error"]
    assert "still answers from cpu: Vulkan7 is not there" in error["message"]
    daemon.post(f"{PATH}/unload", {}, 200)
    daemon.switch(MODEL, "vulkan", reload=False)
    error = daemon.post(f"{PATH}/load", {}, 502)["error"]
    assert "the device is not there" in error["message"]
    assert "Vulkan7" in error["message"]


def test_devices_of_another_backend_are_refused_at_once(daemon, model):
    daemon.call("PATCH", PATH, {"devices": ["CUDA0", "CUDA1"]}, 200)
    error = daemon.post(f"{PATH}/switch-backend", {"gpu_backend": "vulkan"}, 400)["error"]
    assert error["message"] == f"model '{MODEL}': device 'CUDA0' is not one of backend 'vulkan'"
    assert error["hint"] == f"shunt set {MODEL} devices="
    assert daemon.post(f"{PATH}/benchmark", {"backends": ["vulkan"]}, 400)["error"] == error
    # what is left to choose from
    daemon.switch(MODEL, "auto")
    assert daemon.model(MODEL)["gpu_backend"] == "cpu"


@pytest.mark.parametrize("daemon", ["8000,300"], indirect=True)
def test_the_device_that_is_too_small_is_named(daemon, model):
    two(daemon, tensor_split=[1, 1])
    daemon.switch(MODEL, "cpu", reload=True)
    task = daemon.wait_task(daemon.switch(MODEL, "vulkan")["task_id"])
    assert task["result"]["way"] == "in turn"
    assert task["result"]["why"].startswith("Vulkan1 needs ")
    assert "300 MiB free: CPU is stopped first" in task["result"]["why"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": ["Vulkan0", "Vulkan0"]}, "names Vulkan0 twice"),
        ({"devices": ["Vulkan0", "CUDA0"]}, "are of two backends"),
        ({"devices": ["Vulkan0", "Vulkan1"], "tensor_split": [1]}, "1 numbers for 2 devices"),
        ({"devices": ["Vulkan0", "Vulkan1"], "tensor_split": [0, 0]}, "from 0.001 to 1000000"),
        ({"tensor_split": [1, 2]}, "needs two devices or more"),
        ({"split_mode": "tensor"}, "needs two devices or more"),
        ({"split_mode": "row"}, "must be one of layer|tensor"),
    ],
)
def test_what_does_not_go_together_is_refused(daemon, model, options, message):
    answer = daemon.call("PATCH", PATH, options)
    assert answer["error"]["type"] in ("invalid_request", "conflict")
    assert message in answer["error"]["message"]
    assert daemon.model(MODEL)["options"] == {}


def test_a_benchmark_measures_them_together(daemon, model):
    two(daemon, tensor_split=[1, 2])
    daemon.switch(MODEL, "vulkan")
    task = daemon.post(f"{PATH}/benchmark", {"backends": ["vulkan"]}, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    words = json.loads(Path(f"{model.path}.bench.log").read_text().splitlines()[-1])
    assert (after(words, "-dev"), after(words, "--tensor-split")) == ("Vulkan0/Vulkan1", "1/2")
    (found,) = daemon.get(f"{PATH}/benchmark")["benchmarks"]
    assert (found["device"], found["stale"]) == ("Vulkan0,Vulkan1", None)
    two(daemon, tensor_split=[2, 1])
    (found,) = daemon.get(f"{PATH}/benchmark")["benchmarks"]
    assert found["stale"] == "the options changed"
