# SPDX-License-Identifier: Apache-2.0
"""The model moves first, Python comes after: what may happen in between."""

import shutil

import pytest

from daemon import wait_until
from python_site import environment

MODEL = "/llm/api/models/tiny.Q8_0"
SWITCH = f"{MODEL}/switch-backend"


@pytest.fixture
def gate(site):
    """As long as this file is there, the proof of a Python waits."""
    return site.hold()


@pytest.fixture
def daemon(gate, start):
    return start()


def adds_python(daemon, task: str) -> dict:
    """The task, once it is in its last step."""

    def snapshot():
        found = daemon.get(f"/tasks/{task}")["task"]
        assert found["state"] in ("queued", "running"), found
        return found if found["step"] == "Verifying Python" else None

    return wait_until(snapshot, 60, "the last step")


def switch(daemon, backend: str, **fields) -> str:
    """Until only Python is missing; the task."""
    task = daemon.post(SWITCH, {"gpu_backend": backend, **fields}, 202)["task_id"]
    adds_python(daemon, task)
    return task


def test_the_model_moves_before_python_is_there(daemon, gate):
    first = switch(daemon, "cpu", reload=True)
    task = daemon.get(f"/tasks/{first}")["task"]
    assert task["step_n"] == task["step_count"] == 3
    model = daemon.model("tiny.Q8_0")
    assert (model["gpu_backend"], model["state"]) == ("cpu", "loaded")
    assert "task_id" not in model, "nobody changes it"
    assert daemon.chat("tiny.Q8_0").status_code == 200
    assert environment(daemon, "cpu")["state"] == "ready"
    assert "not made yet" in environment(daemon, "cpu")["python"]["why_not"]

    # nothing is refused meanwhile: the same again is done at once, another waits for the builds
    same = daemon.post(SWITCH, {"gpu_backend": "cpu"}, 202)
    assert same["instant_switch"] is True
    assert daemon.get(f"/tasks/{same['task_id']}")["task"]["state"] == "succeeded"
    assert len(daemon.get("/tasks?state=queued")["tasks"]) == 0, "Python is being added already"
    other = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    assert daemon.model("tiny.Q8_0")["task_id"] == other

    # ended, it leaves the switch as it is
    daemon.post(f"/tasks/{first}/cancel", status=202)
    assert daemon.wait_task(first)["state"] == "succeeded"
    assert "cancelled" in daemon.get(f"/tasks/{first}")["task"]["log_tail"]
    assert "not made yet" in environment(daemon, "cpu")["python"]["why_not"]
    adds_python(daemon, other)
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "vulkan"
    gate.unlink()
    assert daemon.wait_task(other)["state"] == "succeeded"
    assert environment(daemon, "vulkan")["python"]["path"]

    # what was cancelled comes with the next switch
    assert daemon.switch("tiny.Q8_0", "cpu")["instant_switch"] is True
    wait_until(lambda: environment(daemon, "cpu")["python"]["path"], 60, "Python")


def test_what_is_missing_is_asked_for_once(daemon, gate):
    first = switch(daemon, "cpu")
    daemon.post(f"/tasks/{first}/cancel", status=202)
    assert daemon.wait_task(first)["state"] == "succeeded"
    switch(daemon, "vulkan")  # builds: others wait in line
    for _ in range(3):
        assert daemon.switch("tiny.Q8_0", "cpu")["instant_switch"] is True
        assert daemon.post(f"{MODEL}/load", {}, 200)["model"]["state"] == "loaded"
        daemon.post(f"{MODEL}/unload", {}, 200)
    waiting = daemon.get("/tasks?state=queued")["tasks"]
    assert [(t["kind"], t["environment"]) for t in waiting] == [("create", "llm_tiny_cpu")]
    gate.unlink()
    assert daemon.wait_task(waiting[0]["id"])["state"] == "succeeded"
    assert environment(daemon, "cpu")["python"]["path"]


def test_the_command_line_waits_for_the_model_only(daemon, gate):
    said = daemon.cli("switch", "tiny.Q8_0", "cpu")
    assert said.returncode == 0, said.stderr
    assert "tiny.Q8_0 is on cpu" in said.stdout
    [task] = daemon.get("/tasks?state=running")["tasks"]
    assert task["done"] is True
    gate.unlink()
    followed = daemon.cli("tasks", task["id"], "--follow")
    assert followed.returncode == 0, followed.stderr
    assert environment(daemon, "cpu")["python"]["path"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_daemon_that_ends_meanwhile_has_made_the_switch(daemon, gate, end):
    task = switch(daemon, "cpu", reload=True)
    getattr(daemon, end)()
    daemon.start()
    assert daemon.get(f"/tasks/{task}")["task"]["state"] == "succeeded"
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == "cpu"
    assert environment(daemon, "cpu")["state"] == "ready"
    gate.unlink()
    assert daemon.post(f"{MODEL}/load", {}, 200)["model"]["state"] == "loaded"
    wait_until(lambda: environment(daemon, "cpu")["python"]["path"], 60, "Python")


def load_that_builds(daemon, gate) -> str:
    daemon.switch("tiny.Q8_0", "cpu")
    shutil.rmtree(daemon.state / "store" / environment(daemon, "cpu")["digests"]["base"])
    gate.touch()
    return daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]


def rebuild(daemon, gate) -> str:
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    gate.touch()
    path = "/llm/api/venv/llm_tiny_cpu/rebuild"
    return daemon.post(path, {"gpu_backend": "vulkan"}, 202)["task_id"]


@pytest.mark.parametrize("ask", [load_that_builds, rebuild])
def test_a_daemon_that_dies_meanwhile_has_done_it(daemon, gate, ask):
    gate.unlink()
    task = ask(daemon, gate)
    adds_python(daemon, task)
    daemon.kill()
    daemon.start()
    ended = daemon.get(f"/tasks/{task}")["task"]
    assert (ended["state"], ended["error"]) == ("succeeded", None)
    if ask is rebuild:
        assert ended["result"]["reloaded"] == ["tiny.Q8_0"]
        assert daemon.model("tiny.Q8_0")["gpu_backend"] == "vulkan"


@pytest.mark.slow
def test_a_model_that_shares_the_environment_does_not_wait(daemon, gate, tmp_path):
    task = switch(daemon, "cpu")
    shutil.copy(tmp_path / "tiny.Q8_0.gguf", tmp_path / "tiny.Q4_0.gguf")
    daemon.add(tmp_path / "tiny.Q4_0.gguf")
    answer = daemon.switch("tiny.Q4_0", "cpu", reload=True)
    assert (answer["instant_switch"], answer["environment"]) == (True, "llm_tiny_cpu")
    assert daemon.chat("tiny.Q4_0").status_code == 200
    # nor does who forgets the first one
    daemon.call("DELETE", MODEL, status=200)
    error = daemon.call(
        "DELETE",
        "/llm/api/models/tiny.Q4_0/delete-environment?gpu_backend=cpu",
        status=409,
    )["error"]
    assert "in use by model 'tiny.Q4_0'" in error["message"]
    gate.unlink()
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert environment(daemon, "cpu")["python"]["path"]


@pytest.mark.slow
def test_a_rebuild_has_ended_for_others_when_only_python_is_missing(daemon, gate):
    gate.unlink()
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    gate.touch()
    path = "/llm/api/venv/llm_tiny_cpu/rebuild"
    task = daemon.post(path, {"gpu_backend": "vulkan"}, 202)["task_id"]
    adds_python(daemon, task)
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "vulkan"
    assert "not verified yet" in environment(daemon, "cpu")["python"]["why_not"]
    back = daemon.post(path, {"gpu_backend": "cpu"}, 202)["task_id"]
    assert back != task
    daemon.post(f"/tasks/{back}/cancel", status=202)
    assert daemon.wait_task(back)["state"] == "cancelled"
    daemon.post(f"/tasks/{task}/cancel", status=202)
    ended = daemon.wait_task(task)
    assert ended["state"] == "succeeded"
    assert ended["result"]["reloaded"] == ["tiny.Q8_0"]
    assert environment(daemon, "cpu")["backend"] == "vulkan"
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "vulkan"


@pytest.mark.slow
def test_create_environment_has_python_for_its_own_end(daemon, gate):
    path = f"{MODEL}/create-environment"
    task = daemon.post(path, {"gpu_backend": "cpu"}, 202)["task_id"]
    adds_python(daemon, task)
    daemon.post(f"/tasks/{task}/cancel", status=202)
    assert daemon.wait_task(task)["state"] == "cancelled"
    assert environment(daemon, "cpu")["state"] == "ready"
    gate.unlink()
    task = daemon.post(path, {"gpu_backend": "cpu"}, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert environment(daemon, "cpu")["python"]["path"]
