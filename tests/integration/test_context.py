# SPDX-License-Identifier: Apache-2.0
"""Conversations come along: in a switch, over an unload, over a restart."""

import json
import re
from pathlib import Path

import pytest

MODEL = "tiny.Q8_0"
URL = f"/llm/api/models/{MODEL}"
SWITCH = f"{URL}/switch-backend"
STORY = " ".join(f"word{i}" for i in range(200))


@pytest.fixture
def daemon(make_daemon, request):
    """With room for two workers; @in_turn: for none."""
    return make_daemon(worker_env=f"FAKE_FREE_MIB={getattr(request, 'param', 8000)}").start()


in_turn = pytest.mark.parametrize("daemon", [1], indirect=True, ids=["in turn"])
either = pytest.mark.parametrize("daemon", [8000, 1], indirect=True, ids=["beside", "in turn"])


def cached(daemon) -> int:
    """How many words of the story the worker had."""
    said = daemon.chat(MODEL, STORY, max_tokens=3)
    assert said.status_code == 200, said.text
    return said.json()["usage"]["prompt_tokens_details"]["cached_tokens"]


def load(daemon, **options) -> dict:
    """The task's end."""
    task = daemon.post(f"{URL}/load", options, 200)["task_id"]
    return daemon.wait_task(task)


def switch(daemon, backend: str) -> dict:
    task = daemon.post(SWITCH, {"gpu_backend": backend}, 202)["task_id"]
    return daemon.wait_task(task)


def nothing_left(daemon) -> bool:
    return not list((daemon.state / "context").rglob("*.*v"))


@either
def test_a_conversation_comes_along(daemon, model):
    load(daemon)
    assert cached(daemon) == 0
    ended = switch(daemon, "vulkan")
    assert ended["state"] == "succeeded", ended
    context = ended["result"]["context"]
    assert (context["slots"], context["tokens"]) == (1, 203)
    assert context["why_not"] is None
    assert context["bytes"] > 200
    assert cached(daemon) == 199
    assert nothing_left(daemon)
    assert switch(daemon, "cpu")["result"]["context"]["slots"] == 1
    assert cached(daemon) == 199
    metrics = daemon.http.get("/metrics").text
    assert re.search(r'^shunt_context_moves_total\{result="carried"\} 2$', metrics, re.M)
    assert re.search(r"^shunt_context_tokens_total 406$", metrics, re.M)
    assert (daemon.state / "context").stat().st_mode & 0o777 == 0o700
    assert (daemon.state / "context" / MODEL).stat().st_mode & 0o777 == 0o700


@either
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        pytest.param({"save_fails": True}, "Unable to save slot", marks=pytest.mark.slow),
        pytest.param({"save_cuts": 20}, "bytes, not", marks=pytest.mark.slow),
        ({"restore_fails": "refuse"}, "No available space"),
        ({"restore_fails": "crash"}, "could not be restored"),
    ],
    ids=["save", "cut", "refused", "crash"],
)
def test_whatever_goes_wrong_the_switch_goes_on(daemon, model, fault, why):
    load(daemon)
    cached(daemon)
    model.behave(**fault)
    ended = switch(daemon, "vulkan")
    assert ended["state"] == "succeeded", ended
    assert ended["result"]["context"]["tokens"] == 0
    assert why in ended["result"]["context"]["why_not"]
    assert cached(daemon) == 0
    assert daemon.model(MODEL)["gpu_backend"] == "vulkan"
    assert nothing_left(daemon)


@pytest.mark.parametrize("fault", ["context.save", "context.read"])
def test_a_disk_that_fails_is_no_reason(make_daemon, fake_model, fault):
    daemon = make_daemon()
    daemon.env |= {"FAULT": fault}
    daemon.start()
    daemon.add(fake_model().path)
    daemon.switch(MODEL, "cpu", reload=True)
    cached(daemon)
    ended = load(daemon, temperature=0.5)
    assert ended["state"] == "succeeded", ended
    assert "Input/output error" in ended["result"]["context"]["why_not"]
    assert cached(daemon) == 0
    assert nothing_left(daemon)


def test_migrate_never_carries_nothing(daemon, model):
    load(daemon, migrate="never")
    cached(daemon)
    assert switch(daemon, "vulkan")["result"]["context"] is None
    assert cached(daemon) == 0


def test_other_options_fit_no_old_conversation(daemon, model):
    load(daemon)
    cached(daemon)
    ended = load(daemon, parallel=2)
    assert "options" in ended["result"]["context"]["why_not"]
    ended = load(daemon, temperature=0.5)  # the same conversations
    assert ended["result"]["context"]["slots"] == 0
    cached(daemon)
    assert load(daemon, temperature=0.6)["result"]["context"]["slots"] == 1
    assert cached(daemon) == 199


@in_turn
def test_the_way_back_has_its_conversations_again(daemon, model):
    load(daemon)
    cached(daemon)
    model.behave(when_backend="vulkan", crash_on_load="SIGSEGV")
    ended = switch(daemon, "vulkan")
    assert ended["state"] == "failed"
    assert "answers from cpu again" in ended["error"]["message"]
    assert cached(daemon) == 199
    assert nothing_left(daemon)


def test_what_is_kept_outlives_an_unload_and_a_restart(daemon, model):
    load(daemon, keep_context=True)
    cached(daemon)
    daemon.post(f"{URL}/unload", status=200)
    kept = daemon.state / "context" / MODEL
    assert json.loads((kept / "kept.json").read_text())["files"][0]["tokens"] == 203
    daemon.switch(MODEL, "vulkan")
    assert daemon.stop() == 0
    daemon.start()
    assert (kept / "kept.json").exists()
    assert load(daemon)["result"]["context"]["tokens"] == 203
    assert cached(daemon) == 199
    assert nothing_left(daemon)
    assert not (kept / "kept.json").exists()


def test_a_daemon_that_stops_keeps_what_is_loaded(daemon, model):
    load(daemon, keep_context=True, keep_loaded=True)
    cached(daemon)
    assert daemon.stop() == 0
    (file,) = (daemon.state / "context" / MODEL).glob("*.kv")
    assert file.stat().st_mode & 0o777 == 0o600
    daemon.start()
    assert cached(daemon) == 199
    assert nothing_left(daemon)


def test_a_kept_file_that_was_altered_is_left(daemon, model):
    load(daemon, keep_context=True)
    cached(daemon)
    daemon.post(f"{URL}/unload", status=200)
    (file,) = (daemon.state / "context" / MODEL).glob("*.kv")
    data = bytearray(file.read_bytes())
    data[500] ^= 1
    file.write_bytes(data)
    assert "is not what was saved" in load(daemon)["result"]["context"]["why_not"]
    assert cached(daemon) == 0
    assert nothing_left(daemon)


def test_leftovers_are_swept_at_the_start(daemon, model):
    load(daemon, keep_context=True)
    cached(daemon)
    daemon.post(f"{URL}/unload", status=200)
    daemon.http.patch(URL, json={"keep_context": False}).raise_for_status()
    other = daemon.state / "context" / "other"
    other.mkdir()
    (other / "slot-1.kv").write_text("half of a switch")
    assert daemon.stop() == 0
    daemon.start()
    assert not list((daemon.state / "context").iterdir())
    assert load(daemon)["result"] is None


def test_a_removed_model_leaves_nothing(daemon, model):
    load(daemon, keep_context=True)
    cached(daemon)
    daemon.post(f"{URL}/unload", status=200)
    daemon.call("DELETE", URL, status=200)
    assert not Path(daemon.state / "context" / MODEL).exists()
