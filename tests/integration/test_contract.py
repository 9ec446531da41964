# SPDX-License-Identifier: Apache-2.0
"""Rows of the contract that no other file is about: gc, resumed events, health, what is here."""

import json
import os
from pathlib import Path

import pytest

from daemon import FAKES, wait_until

MODEL = "/llm/api/models/tiny.Q8_0"
GC = "/llm/api/environments/gc"


# --- gc ----------------------------------------------------------------------------------------


def pieces(daemon) -> dict[str, Path]:
    return {p.name: p for p in (daemon.state / "store").iterdir() if len(p.name) == 64}


def size(folder: Path) -> int:
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


@pytest.fixture
def built(fresh_daemon, fake_model):
    """Loaded on cpu, with an environment for vulkan too: three pieces, or two."""
    fresh_daemon.add(fake_model().path)
    fresh_daemon.switch("tiny.Q8_0", "vulkan")
    fresh_daemon.switch("tiny.Q8_0", "cpu", reload=True)
    return fresh_daemon


def test_gc_takes_what_its_dry_run_said_and_nothing_that_is_used(built):
    before = pieces(built)
    assert built.post(GC, {"dry_run": True}, 200)["removed"] == [], "names use all of it"
    module = built.get("/llm/api/environments/llm_tiny_vulkan")["environment"]["digests"]["module"]
    built.call("DELETE", f"{MODEL}/delete-environment?gpu_backend=vulkan", status=200)
    bytes_there = size(before[module])
    dry = built.post(GC, {"dry_run": True}, 200)
    assert dry["dry_run"] is True
    assert [(p["digest"], p["kind"]) for p in dry["removed"]] == [(module, "module")]
    assert pieces(built) == before, "a dry run takes nothing"
    assert dry["removed"][0]["size_bytes"] == pytest.approx(bytes_there, rel=0.05)
    assert dry["size_bytes"] == sum(p["size_bytes"] for p in dry["removed"])
    gone = built.post(GC, {}, 200)
    assert (gone["dry_run"], gone["removed"]) == (False, dry["removed"])
    assert pieces(built).keys() == before.keys() - {module}
    assert built.chat("tiny.Q8_0").status_code == 200
    built.post(f"{MODEL}/unload", {}, 200)
    built.post(f"{MODEL}/load", {}, 200)
    assert built.post(GC, {}, 200)["removed"] == []


def test_an_environment_in_use_stays(built):
    error = built.call("DELETE", f"{MODEL}/delete-environment?gpu_backend=cpu", status=409)["error"]
    assert "tiny.Q8_0" in error["message"]
    built.call("DELETE", "/llm/api/environments/llm_tiny_cpu", status=409)
    built.call("DELETE", f"{MODEL}/delete-environment?gpu_backend=rocm", status=404)
    status = built.get(f"{MODEL}/environment-status")["environments"]
    state = {e["gpu_backend"]: (e["state"], e["ready"], e["active"]) for e in status}
    assert state == {
        "cpu": ("ready", True, True),
        "vulkan": ("ready", True, False),
        "cuda": ("absent", False, False),
        "rocm": ("absent", False, False),
    }
    (vulkan,) = (e for e in status if e["gpu_backend"] == "vulkan")
    assert vulkan["verification"]["device"] == "Vulkan0"
    assert vulkan["size_bytes"] > 0


def test_gc_leaves_what_a_task_is_building(make_daemon, engine_source, fake_model):
    daemon = make_daemon(fresh=True, engine_source=engine_source(gate=str(engine_source.gate)))
    daemon.start()
    daemon.add(fake_model().path)
    task = daemon.post(f"{MODEL}/create-environment", {"gpu_backend": "cpu"}, 202)["task_id"]
    wait_until(lambda: "[6/" in daemon.http.get(f"/tasks/{task}/log").text, 30, "half a build")
    for dry in (True, False):
        assert daemon.post(GC, {"dry_run": dry}, 200)["removed"] == []
    engine_source.gate.touch()
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert daemon.post(GC, {}, 200)["removed"] == []
    model = daemon.model("tiny.Q8_0")
    assert (model["gpu_backend"], model["state"]) == (None, "unloaded"), "no switch"


# --- events ------------------------------------------------------------------------------------


class Events:
    """A stream's events, one after another: (id, data)."""

    def __init__(self, daemon, path: str, last: str | None = None):
        headers = {"Last-Event-ID": last} if last else {}
        self.context = daemon.http.stream("GET", path, headers=headers)
        self.answer = self.context.__enter__()
        self.lines = self.answer.iter_lines() if self.answer.status_code == 200 else iter(())

    def next(self) -> tuple[str, dict]:
        event = {}
        for line in self.lines:
            name, _, value = line.partition(": ")
            if name:
                event[name] = value
            elif "data" in event:
                return event["id"], json.loads(event["data"])
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self.context.__exit__(None, None, None)


def test_all_events_go_on_where_the_client_was(daemon, fake_model):
    first = Events(daemon, "/llm/api/events")
    last, data = first.next()
    assert (data["models"], "tasks" in data) == ([], True)
    first.close()
    # What happened meanwhile comes at once, to one who has an older state and to one who has none.
    daemon.add(fake_model().path)
    for known in (last, None, "of-another-daemon"):
        stream = Events(daemon, "/llm/api/events", known)
        newest, data = stream.next()
        assert [m["id"] for m in data["models"]] == ["tiny.Q8_0"], known
        stream.close()
    # Who has the newest waits for the next change.
    stream = Events(daemon, "/llm/api/events", newest)
    daemon.call("PATCH", MODEL, {"n_ctx": 777}, status=200)
    later, data = stream.next()
    assert data["models"][0]["options"] == {"n_ctx": 777}
    assert later != newest
    stream.close()


def test_the_events_of_a_task_go_on_and_end(daemon, fake_model):
    daemon.add(fake_model().path)
    task = daemon.switch("tiny.Q8_0", "vulkan")["task_id"]
    stream = Events(daemon, f"/tasks/{task}/stream")
    last, data = stream.next()
    assert data["task"]["state"] == "succeeded"
    with pytest.raises(AssertionError, match="has ended"):
        stream.next()
    stream.close()
    again = Events(daemon, f"/tasks/{task}/stream", last)
    assert again.answer.status_code == 204, "a browser does not come back"
    again.close()


# --- health, hardware, toolkits ----------------------------------------------------------------


def test_health_counts_tokens_of_this_worker(daemon, model):
    health = daemon.get(f"{MODEL}/health")
    assert (health["healthy"], health["tokens_per_second"], health["device"]) == (False, None, None)
    daemon.post(f"{MODEL}/load", {}, 200)
    daemon.chat("tiny.Q8_0")
    health = daemon.get(f"{MODEL}/health")
    assert (health["healthy"], health["device"], health["requests_in_flight"]) == (True, "none", 0)
    assert health["tokens_per_second"] == pytest.approx(125)
    assert daemon.get("/llm/api/models/loaded")["models"][0]["id"] == "tiny.Q8_0"
    daemon.post(f"{MODEL}/unload", {}, 200)
    assert daemon.get("/llm/api/models/loaded")["models"] == []


def test_refresh_finds_what_was_installed_meanwhile(make_daemon, nvml, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    daemon = make_daemon(toolkit_provision="never")
    daemon.env["PATH"] = f"{FAKES}:{tools}:{os.environ['PATH']}"
    daemon.env["LD_LIBRARY_PATH"] = str(nvml.parent)
    daemon.start()

    def cuda(answer: dict) -> dict:
        return next(b for b in answer["backends"] if b["name"] == "cuda")

    found = cuda(daemon.get("/llm/api/backends"))
    if found["can_build"]:
        pytest.skip("this machine has CUDA")
    missing = daemon.get("/llm/api/toolkit/check/nvidia")["toolkit"]
    assert missing["backend"] == "cuda"
    assert "install" in missing["install"]
    assert any(not item["ok"] and item["packages"] for item in missing["items"])
    for program in (FAKES / "toolkits/cuda-12.4/bin").iterdir():
        (tools / program.name).symlink_to(program)
    assert cuda(daemon.get("/llm/api/backends"))["can_build"] is False, "found out once"
    assert cuda(daemon.post("/llm/api/backends/refresh", status=200))["can_build"] is True
    assert cuda(daemon.get("/llm/api/backends"))["can_build"] is True


def test_hardware_is_what_the_modules_see(daemon, model):
    seen = daemon.get("/llm/api/hardware/detect")
    assert seen["cpu"]["cores"] == os.cpu_count()
    assert 0 < seen["memory"]["free_bytes"] < seen["memory"]["total_bytes"]
    (gpu,) = (g for g in seen["gpus"] if g["devices"])
    assert gpu["name"] == "Fake Vulkan"
    (device,) = gpu["devices"]
    assert (device["backend"], device["device"]) == ("vulkan", "Vulkan0")
    assert 0 < gpu["memory_free_bytes"] <= gpu["memory_bytes"]
    assert seen["gpus_why_not"].keys() == {"cuda", "rocm"}


# --- the command line --------------------------------------------------------------------------


def test_environments_on_the_command_line(fresh_daemon, fake_model):
    daemon = fresh_daemon
    daemon.add(fake_model().path)
    made = daemon.cli("env", "create", "tiny", "vulkan")
    assert (made.returncode, made.stdout) == (0, "llm_tiny_vulkan\n")
    assert daemon.model("tiny.Q8_0")["gpu_backend"] is None
    path = daemon.cli("env", "path", "llm_tiny_vulkan")
    assert Path(path.stdout.strip(), "env.json").is_file()
    assert daemon.cli("env", "path", "llm_tiny_rocm").returncode == 3
    assert daemon.cli("env", "rm", "llm_tiny_vulkan").returncode == 0
    assert daemon.cli_json("env", "gc", "--dry-run")["dry_run"] is True
    assert daemon.cli("env", "gc").returncode == 0


def test_status_tells_what_was_loaded(daemon, fake_model):
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    daemon.stop()
    daemon.start()
    assert "unloaded, was loaded" in daemon.cli("status").stdout
    daemon.post(f"{MODEL}/load", {}, 200)
    assert "was loaded" not in daemon.cli("status").stdout
