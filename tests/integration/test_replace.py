# SPDX-License-Identifier: Apache-2.0
"""A loaded model gets another worker: beside the old one where both fit, else in its place."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon import wait_until

MODEL = "tiny.Q8_0"
SWITCH = f"/llm/api/models/{MODEL}/switch-backend"


def events(model, kind: str) -> list[dict]:
    lines = Path(f"{model.path}.fake.log").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == kind]


def begin(daemon, backend: str, **fields) -> str:
    return daemon.post(SWITCH, {"gpu_backend": backend, **fields}, 202)["task_id"]


def until_starting(daemon, task: str) -> None:
    wait_until(lambda: "Starting" in daemon.get(f"/tasks/{task}")["task"]["step"], what="the start")


def text(answer) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


@pytest.fixture
def daemon(make_daemon, request):
    """The Vulkan device has room for a worker; @pytest.mark.parametrize("daemon", [1]) for none."""
    return make_daemon(worker_env=f"FAKE_FREE_MIB={getattr(request, 'param', 8000)}").start()


in_turn = pytest.mark.parametrize("daemon", [1], indirect=True, ids=["in turn"])
either = pytest.mark.parametrize("daemon", [8000, 1], indirect=True, ids=["beside", "in turn"])


def test_the_old_worker_serves_until_the_new_one_is_ready(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    model.behave(when_backend="vulkan", load_seconds=1)
    task = begin(daemon, "vulkan")
    until_starting(daemon, task)
    assert "cpu" in text(daemon.chat(MODEL))
    assert daemon.get(f"/tasks/{task}")["task"]["state"] == "running"
    ended = daemon.wait_task(task)
    assert ended["state"] == "succeeded"
    assert ended["result"]["way"] == "beside"
    assert "vulkan" in text(daemon.chat(MODEL))


@pytest.mark.server
def test_a_gpu_computes_before_anybody_waits_for_it(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    daemon.switch(MODEL, "vulkan")
    text(daemon.chat(MODEL, "who was first?"))
    pid = daemon.model(MODEL)["worker"]["pid"]
    asked = [e["prompt"] for e in events(model, "request") if e["pid"] == pid]
    warm = next(n for n, prompt in enumerate(asked) if len(prompt.split()) > 40)
    assert warm < next(n for n, prompt in enumerate(asked) if "who was first?" in prompt)
    daemon.switch(MODEL, "cpu")
    pid = daemon.model(MODEL)["worker"]["pid"]
    asked = [e["prompt"] for e in events(model, "request") if e["pid"] == pid]
    assert all(len(prompt.split()) < 64 for prompt in asked), (
        "for a CPU that costs more than it saves"
    )


@contextmanager
def flipped(daemon, model, tokens):
    """A slow answer that stays on the CPU's worker while Vulkan's has taken over: the answer, the
    switch's task, the old worker's pid."""
    model.behave(token_seconds=0.02)
    daemon.post(f"/llm/api/models/{MODEL}/load", {"migrate": "never"}, 200)
    old = daemon.model(MODEL)["worker"]["pid"]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(daemon.chat, MODEL, max_tokens=tokens)
        wait_until(lambda: daemon.model(MODEL)["worker"]["requests"] == 1, what="the request")
        task = begin(daemon, "vulkan")
        wait_until(lambda: daemon.model(MODEL)["worker"]["backend"] == "vulkan", what="the flip")
        yield running, task, old


def test_an_answer_ends_where_it_began_while_the_new_one_serves(daemon, model):
    with flipped(daemon, model, tokens=100) as (running, task, old):
        assert daemon.model(MODEL)["gpu_backend"] == "vulkan"
        model.behave()
        assert "vulkan" in text(daemon.chat(MODEL))
        assert not running.done()
        assert Path(f"/proc/{old}").exists()
        said = running.result()
    assert "cpu" in text(said)
    assert said.json()["usage"]["completion_tokens"] == 100
    ended = daemon.wait_task(task)
    assert (ended["state"], ended["result"]["drained"]) == ("succeeded", 1)
    wait_until(lambda: not Path(f"/proc/{old}").exists(), what="the old worker's end")


def test_the_old_one_is_gone_back_to_until_it_has_finished(daemon, model):
    with flipped(daemon, model, tokens=200) as (running, task, old):
        os.kill(daemon.model(MODEL)["worker"]["pid"], signal.SIGKILL)
        ended = daemon.wait_task(task)
        assert not running.done()
        assert (ended["state"], ended["error"]["type"]) == ("failed", "worker_failed")
        assert "still answers from cpu" in ended["error"]["message"]
        after = daemon.model(MODEL)
        assert (after["state"], after["gpu_backend"]) == ("loaded", "cpu")
        assert after["worker"]["pid"] == old
        assert "cpu" in text(daemon.chat(MODEL))
        said = running.result()
    assert said.json()["usage"]["completion_tokens"] == 200


@in_turn
def test_requests_wait_where_only_one_worker_fits(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    old = daemon.model(MODEL)["worker"]["pid"]
    model.behave(when_backend="vulkan", load_seconds=0.5)
    task = begin(daemon, "vulkan")
    until_starting(daemon, task)
    wait_until(lambda: not Path(f"/proc/{old}").exists(), what="the old worker's end")
    assert "vulkan" in text(daemon.chat(MODEL))
    ended = daemon.wait_task(task)
    assert ended["state"] == "succeeded"
    assert ended["result"]["way"] == "in turn"
    assert "1 MiB free: CPU is stopped first" in ended["result"]["why"]


def test_a_guess_that_was_wrong_is_made_good_in_turn(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    model.behave(when_backend="vulkan", oom_beside=True)
    ended = daemon.wait_task(begin(daemon, "vulkan"))
    assert ended["state"] == "succeeded"
    assert ended["result"]["way"] == "in turn"
    assert "out of memory" in ended["result"]["why"]
    assert "vulkan" in text(daemon.chat(MODEL))


@either
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"crash_on_load": "SIGSEGV"}, "worker_failed"),
        ({"wrong_device": True}, "worker_failed"),
        ({"crash_after_tokens": 0}, "worker_failed"),
        ({"oom": True}, "no_space"),
    ],
    ids=["crash", "wrong device", "first token", "memory"],
)
def test_whatever_fails_the_old_one_answers(daemon, model, fault, kind):
    daemon.switch(MODEL, "cpu", reload=True)
    before = daemon.model(MODEL)["worker"]["pid"]
    model.behave(when_backend="vulkan", **fault)
    ended = daemon.wait_task(begin(daemon, "vulkan"))
    assert ended["state"] == "failed"
    assert ended["error"]["type"] == kind
    assert "answers from cpu" in ended["error"]["message"]
    after = daemon.model(MODEL)
    assert (after["state"], after["gpu_backend"]) == ("loaded", "cpu")
    assert "cpu" in text(daemon.chat(MODEL))
    beside = "still" in ended["error"]["message"]
    assert (after["worker"]["pid"] == before) == beside
    workers = [e["pid"] for e in events(model, "start")]
    alive = [pid for pid in set(workers) if Path(f"/proc/{pid}").exists()]
    assert alive == [after["worker"]["pid"]]


@either
def test_a_device_that_has_gone_is_named_and_nothing_is_stopped(daemon, model):
    daemon.switch(MODEL, "cpu")
    daemon.stop()
    daemon.settings["worker_env"] = "FAKE_NO_DEVICE=1"
    daemon.start()
    daemon.post(f"/llm/api/models/{MODEL}/load", {}, 200)
    pid = daemon.model(MODEL)["worker"]["pid"]
    ended = daemon.wait_task(begin(daemon, "vulkan"))
    assert ended["state"] == "failed", json.dumps(ended)
    assert "still answers from cpu: Vulkan0 is not there" in ended["error"]["message"]
    assert ended["error"]["hint"] == "shunt doctor vulkan"
    assert daemon.model(MODEL)["worker"]["pid"] == pid
    assert "cpu" in text(daemon.chat(MODEL))


def test_a_cancelled_switch_leaves_the_old_one(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    model.behave(when_backend="vulkan", hang_on_load=True)
    task = begin(daemon, "vulkan")
    wait_until(lambda: events(model, "hang"), what="the new worker")
    daemon.post(f"/tasks/{task}/cancel", {}, 202)
    assert daemon.wait_task(task)["state"] == "cancelled"
    after = daemon.model(MODEL)
    assert (after["state"], after["gpu_backend"]) == ("loaded", "cpu")
    assert "cpu" in text(daemon.chat(MODEL))


def test_requests_wait_for_the_new_one_when_the_old_one_dies_meanwhile(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    old = daemon.model(MODEL)["worker"]["pid"]
    model.behave(when_backend="vulkan", load_seconds=1)
    task = begin(daemon, "vulkan")
    until_starting(daemon, task)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: daemon.model(MODEL)["worker"]["pid"] != old, what="its end")
    assert "vulkan" in text(daemon.chat(MODEL))
    assert daemon.wait_task(task)["state"] == "succeeded"


def test_a_dead_old_one_is_started_again_when_the_new_one_fails(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    old = daemon.model(MODEL)["worker"]["pid"]
    model.behave(when_backend="vulkan", load_seconds=1, crash_on_load="exit 1")
    task = begin(daemon, "vulkan")
    until_starting(daemon, task)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: daemon.model(MODEL)["worker"]["pid"] != old, what="its end")
    assert "cpu" in text(daemon.chat(MODEL))
    assert daemon.wait_task(task)["state"] == "failed"
    assert daemon.model(MODEL)["gpu_backend"] == "cpu"


def test_force_cuts_what_still_runs_on_the_old_one(make_daemon, fake_model):
    daemon = make_daemon(drain_timeout="300ms").start()
    model = fake_model()
    daemon.add(model.path)
    daemon.switch(MODEL, "vulkan")
    daemon.switch(MODEL, "cpu", reload=True)
    daemon.post(f"/llm/api/models/{MODEL}/load", {"migrate": "never"}, 200)
    model.behave(when_backend="cpu", token_seconds=0.05)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(daemon.chat, MODEL, max_tokens=10000)
        wait_until(lambda: daemon.model(MODEL)["worker"]["requests"] == 1, what="the request")
        ended = daemon.wait_task(begin(daemon, "vulkan", force=True))
        assert ended["state"] == "succeeded"
        said = running.result()
    assert said.status_code == 503
    assert "by force" in said.json()["error"]["message"]
    assert "vulkan" in text(daemon.chat(MODEL))


def why(daemon, backend: str) -> str:
    return daemon.wait_task(begin(daemon, backend))["result"]["why"]


def test_what_a_load_took_is_known_the_next_time(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    assert "MiB (estimated)" in why(daemon, "vulkan")
    assert "MiB of RAM (measured)" in why(daemon, "cpu")
    model.behave(model_mib=9000)
    assert "(estimated)" not in why(daemon, "vulkan")  # as it took the last time
    daemon.switch(MODEL, "cpu")
    assert "Vulkan0 needs 8.9 GiB (measured), 7.8 GiB free" in why(daemon, "vulkan")


def test_what_a_worker_takes_in_ram_counts_against_the_limit(make_daemon, fake_model):
    daemon = make_daemon(memory_limit="300MB").start()
    model = fake_model()
    daemon.add(model.path)
    daemon.switch(MODEL, "vulkan")
    daemon.switch(MODEL, "cpu", reload=True)
    assert "of RAM (estimated)" in (said := why(daemon, "vulkan"))
    assert said.endswith("left of memory_limit: CPU is stopped first")
