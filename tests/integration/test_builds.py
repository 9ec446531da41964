# SPDX-License-Identifier: Apache-2.0
"""Builds: what is served meanwhile, and what is left of one that was interrupted."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from daemon import processes_of, wait_until

MODEL = "/llm/api/models/tiny.Q8_0"
SWITCH = f"{MODEL}/switch-backend"
SECOND = 1.0


def log(daemon, task: str) -> str:
    return daemon.http.get(f"/tasks/{task}/log").text


def stages(daemon) -> list[Path]:
    return list((daemon.state / "store").glob(".stage-*"))


def environment(daemon, backend: str) -> dict:
    return daemon.get(f"/llm/api/environments/llm_tiny_{backend}")["environment"]


def survivors(daemon) -> list[str]:
    """What still runs of the daemon a second after it was killed."""
    end = time.monotonic() + SECOND
    while (left := processes_of(daemon.folder)) and time.monotonic() < end:
        time.sleep(0.01)
    return left


# --- interrupted --------------------------------------------------------------------------------


@pytest.fixture
def gated(make_daemon, fake_model, engine_source):
    """Makes a daemon whose builds wait half way for the gate; its source may do more."""

    def make(**what):
        source = engine_source(gate=str(engine_source.gate), **what)
        daemon = make_daemon(fresh=True, engine_source=source).start()
        daemon.add(fake_model().path)
        return daemon, engine_source.gate, source

    return make


def half_way(daemon, backend: str = "cpu") -> str:
    """A switch whose build has come to its gate."""
    task = daemon.post(SWITCH, {"gpu_backend": backend}, 202)["task_id"]
    wait_until(lambda: "[6/12]" in log(daemon, task), 20, "half of the build")
    return task


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_an_interrupted_build_leaves_nobody_and_is_taken_up(gated, how):
    daemon, gate, _ = gated(detach=True)
    task = half_way(daemon)
    wait_until(lambda: "sleep 600 " in processes_of(daemon.folder), 5, "the detached process")
    if how == signal.SIGKILL:
        daemon.kill()
    else:
        assert daemon.stop() == 0
    assert survivors(daemon) == []
    daemon.start()
    ended = daemon.get(f"/tasks/{task}")["task"]
    assert ended["state"] == "failed"
    assert "the daemon stopped" in ended["error"]["message"]
    assert "goes on where it was" in ended["error"]["hint"]
    assert environment(daemon, "cpu")["state"] == "failed"
    assert daemon.model("tiny.Q8_0")["gpu_backend"] is None
    gate.touch()
    again = daemon.switch("tiny.Q8_0", "cpu")["task_id"]
    assert "[7/7] Linking" in log(daemon, again), "ninja did only the rest"
    assert stages(daemon) == []
    assert daemon.chat("tiny.Q8_0").status_code == 200


@pytest.mark.slow
def test_other_inputs_do_not_take_up_what_was_left(gated):
    daemon, _, source = gated()
    half_way(daemon)
    daemon.kill()
    source.joinpath("fake-build.json").write_text("{}")
    daemon.start()
    task = daemon.switch("tiny.Q8_0", "cpu")["task_id"]
    assert "[12/12] Linking" in log(daemon, task)
    left = stages(daemon)
    assert len(left) == 1, "it may still be asked for"
    dry = daemon.post("/llm/api/environments/gc", {"dry_run": True}, 200)
    gone = daemon.post("/llm/api/environments/gc", {}, 200)
    assert dry["removed"] == gone["removed"]
    assert [(p["kind"], left[0].name) for p in gone["removed"]] == [
        ("stage", f".stage-{gone['removed'][0]['digest']}")
    ]
    assert stages(daemon) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["object", "note", "build.ninja"])
def test_a_damaged_stage_is_begun_from_the_start(gated, damage):
    daemon, gate, _ = gated()
    half_way(daemon)
    daemon.kill()
    (stage,) = stages(daemon)
    if damage == "object":
        stage.joinpath("build/objects/3.o").write_text("")
    elif damage == "note":
        stage.joinpath("note").write_text("")
    else:
        stage.joinpath("build/fake.json").unlink()
    daemon.start()
    assert len(stages(daemon)) == (damage != "note")
    gate.touch()
    task = daemon.switch("tiny.Q8_0", "cpu")["task_id"]
    assert "[12/12] Linking" in log(daemon, task)
    assert stages(daemon) == []


def remove_all(daemon) -> None:
    daemon.call("DELETE", MODEL, status=200)
    daemon.call("DELETE", "/llm/api/environments/llm_tiny_vulkan", status=200)
    daemon.post("/llm/api/environments/gc", {}, 200)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_random_moments_of_a_build(make_daemon, fake_model, engine_source):
    dice = random.Random(4)
    daemon = make_daemon(fresh=True, engine_source=engine_source(step_seconds=0.02, detach=True))
    path = fake_model().path
    taken_up = finished = 0
    daemon.start()
    daemon.add(path)
    began = time.monotonic()
    daemon.switch("tiny.Q8_0", "vulkan", 120)
    whole = time.monotonic() - began  # of a build, with sanitizers and whatever else runs here
    remove_all(daemon)
    daemon.stop()
    for _ in range(20):
        daemon.start()
        if not daemon.get("/llm/api/models")["models"]:
            daemon.add(path)
        task = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
        time.sleep(dice.uniform(0, 1.1 * whole))  # the moment is what is tried
        if daemon.get(f"/tasks/{task}")["task"]["state"] == "succeeded":
            finished += 1
            remove_all(daemon)
        taken_up += "Taking up" in log(daemon, task)
        daemon.kill()
        assert survivors(daemon) == []
        check_after_a_kill(daemon)
    print(f"taken up {taken_up}, finished {finished}")
    daemon.start()
    if not daemon.get("/llm/api/models")["models"]:
        daemon.add(path)
    daemon.switch("tiny.Q8_0", "vulkan")
    assert stages(daemon) == []
    assert "vulkan" in daemon.chat("tiny.Q8_0").json()["choices"][0]["message"]["content"]
    assert taken_up + finished > 0


def check_after_a_kill(daemon) -> None:
    """As before or as after, never between."""
    daemon.start()
    tasks = daemon.get("/tasks")["tasks"]
    assert {t["state"] for t in tasks} <= {"succeeded", "failed", "cancelled"}
    environments = daemon.get("/llm/api/environments")["environments"]
    for found in environments:
        assert found["state"] in ("failed", "built", "ready"), found
        folder = daemon.state / "envs" / found["name"]
        assert found["state"] == "failed" or folder.joinpath("env.json").exists()
    ready = {e["name"] for e in environments if e["state"] == "ready"}
    for model in daemon.get("/llm/api/models")["models"]:
        assert model["environment"] is None or model["environment"] in ready, model
    for piece in (daemon.state / "store").iterdir():
        whole = len(piece.name) == 64 and piece.joinpath("manifest.json").exists()
        kept = piece.name.startswith(".stage-") and piece.joinpath("note").exists()
        assert whole or kept or piece.name == "roots", piece
    assert daemon.stop() == 0


# --- what is served meanwhile -------------------------------------------------------------------


@pytest.fixture
def building(gated):
    """On the CPU, not loaded; a first switch to Vulkan waits at its gate. Its task."""
    daemon, gate, _ = gated()
    gate.touch()
    daemon.switch("tiny.Q8_0", "cpu")
    gate.unlink()
    return daemon, half_way(daemon, "vulkan")


def said_by(daemon) -> str:
    answer = daemon.chat("tiny.Q8_0")
    assert answer.status_code == 200, answer.text
    text = answer.json()["choices"][0]["message"]["content"]
    return next(name for name in ("cpu", "vulkan") if name in text)


def test_a_first_switch_holds_nothing_up(building, engine_source):
    daemon, task = building
    assert daemon.get(f"/tasks/{task}")["task"]["state"] == "running"
    assert said_by(daemon) == "cpu", "a request loads it where it is"
    daemon.post(f"{MODEL}/load", {"n_ctx": 1024}, 200)
    first = daemon.model("tiny.Q8_0")["worker"]["pid"]
    daemon.post(f"{MODEL}/unload", status=200)
    daemon.post(f"{MODEL}/load", {}, 200)
    second = daemon.model("tiny.Q8_0")["worker"]["pid"]
    assert first != second
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "failed", what="the worker's death")
    assert said_by(daemon) == "cpu", "a dead worker is started again"
    again = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    assert again == task
    assert task in daemon.post(SWITCH, {"gpu_backend": "cpu"}, 409)["error"]["message"]
    assert task in daemon.call("DELETE", MODEL, status=409)["error"]["message"]
    assert daemon.get(f"/tasks/{task}")["task"]["state"] == "running"
    engine_source.gate.touch()
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert said_by(daemon) == "vulkan"


@pytest.mark.slow
def test_force_ends_a_first_switch_and_the_load_beside_it_stays(building):
    daemon, task = building
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    daemon.switch("tiny.Q8_0", "cpu", force=True)
    assert daemon.wait_task(task)["state"] == "cancelled"
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == pid


@pytest.mark.slow
def test_a_model_that_never_had_a_backend_says_what_it_waits_for(gated):
    daemon, gate, _ = gated()
    task = half_way(daemon)
    answer = daemon.chat("tiny.Q8_0")
    assert answer.status_code == 503
    assert task in answer.json()["error"]["message"]
    gate.touch()
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert said_by(daemon) == "cpu"
