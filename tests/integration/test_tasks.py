# SPDX-License-Identifier: Apache-2.0
"""Tasks: progress, events, cancel, and what a dead daemon leaves."""

import json
import shutil
import time
from pathlib import Path

import pytest

from daemon import FAKES, processes_of, wait_until

SWITCH = "/llm/api/models/tiny.Q8_0/switch-backend"


@pytest.fixture
def model(fresh_daemon, fake_model):
    model = fake_model()
    fresh_daemon.add(model.path)
    return model


def events(answer):
    """The data of each event of a stream."""
    for line in answer.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line[5:])


def test_a_stream_is_whole_snapshots_to_the_end(fresh_daemon, model):
    task = fresh_daemon.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"]
    with fresh_daemon.http.stream("GET", f"/tasks/{task}/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        seen = [event.get("task", event) for event in events(answer)]
    assert seen[-1]["state"] == "succeeded"
    assert all({"id", "kind", "state", "step", "percent", "message"} <= set(s) for s in seen)
    percents = [s["percent"] for s in seen]
    assert percents == sorted(percents), "progress goes forward"
    assert percents[-1] == 100


def test_the_log_is_whole_and_can_be_read_from_an_offset(fresh_daemon, model):
    task = fresh_daemon.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"]
    fresh_daemon.wait_task(task)
    whole = fresh_daemon.http.get(f"/tasks/{task}/log").text
    assert "[1/" in whole, "ninja's lines are in it"
    assert fresh_daemon.http.get(f"/tasks/{task}/log?offset=10").text == whole[10:]


def slow_source(tmp_path: Path, **what) -> Path:
    """The fake engine's source with a build that behaves otherwise."""
    source = tmp_path / "source"
    shutil.copytree(FAKES / "engine-source", source)
    source.joinpath("fake-build.json").write_text(json.dumps(what))
    return source


@pytest.fixture
def slow(make_daemon, fake_model, tmp_path):
    daemon = make_daemon(fresh=True, engine_source=slow_source(tmp_path, compile="hang")).start()
    daemon.add(fake_model().path)
    return daemon


def compiling(daemon, task: str):
    return wait_until(
        lambda: "ompil" in daemon.get(f"/tasks/{task}")["task"]["step"], 20, "compiling"
    )


def test_cancel_ends_the_compilers_within_two_seconds(slow):
    task = slow.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"]
    compiling(slow, task)
    stages = slow.state / "store"
    # the step begins a moment before its program
    wait_until(lambda: any("ninja" in p for p in processes_of(stages)), 20, "ninja")
    began = time.monotonic()
    slow.post(f"/tasks/{task}/cancel", status=202)
    ended = slow.wait_task(task, 5)
    assert time.monotonic() - began < 3
    assert ended["state"] == "cancelled"
    assert processes_of(stages) == []
    assert not list(stages.glob(".stage-*"))
    assert slow.model("tiny.Q8_0")["gpu_backend"] is None


def test_a_compiler_error_is_told_with_its_lines(make_daemon, fake_model, tmp_path):
    daemon = make_daemon(fresh=True, engine_source=slow_source(tmp_path, compile="error")).start()
    daemon.add(fake_model().path)
    task = daemon.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"]
    ended = daemon.wait_task(task)
    assert ended["state"] == "failed"
    assert ended["error"]["type"] == "build_failed"
    assert "error:" in ended["error"]["message"]
    assert daemon.model("tiny.Q8_0")["gpu_backend"] is None
    assert not list((daemon.state / "store").glob(".stage-*"))


def test_cancelling_what_is_finished_is_a_conflict(daemon, fake_model):
    daemon.add(fake_model().path)
    task = daemon.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"]
    daemon.wait_task(task)
    assert daemon.post(f"/tasks/{task}/cancel", status=409)["error"]["type"] == "conflict"


def test_tasks_can_be_filtered(daemon, fake_model):
    daemon.add(fake_model().path)
    task = daemon.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"]
    daemon.wait_task(task)
    found = daemon.get("/tasks?state=succeeded&model=tiny.Q8_0")["tasks"]
    assert [t["id"] for t in found] == [task]
    assert daemon.get("/tasks?state=failed")["tasks"] == []
    assert daemon.get("/tasks?state=nonsense", 400)["error"]["type"] == "invalid_request"
