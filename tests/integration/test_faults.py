# SPDX-License-Identifier: Apache-2.0
"""What breaks around Shunt: workers that die, disks that are full, daemons that are killed."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon import wait_until

MODEL = "/llm/api/models/tiny.Q8_0"
SWITCH = f"{MODEL}/switch-backend"


@pytest.fixture
def model(daemon, fake_model):
    """Registered, on cpu, not loaded."""
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu")
    return model


def waiting(daemon) -> int:
    return daemon.get(f"{MODEL}/health")["requests_waiting"]


# --- workers ----------------------------------------------------------------------------------


def test_workers_see_nothing_of_the_users_home(daemon, model):
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    seen = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    seen = dict(line.split("=", 1) for line in seen if "=" in line)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        assert seen[name].startswith(f"{daemon.state}/"), seen[name]
        assert not list(Path(seen[name]).rglob("*.ini"))


def test_a_workers_death_is_no_failure_of_those_who_waited(daemon, model):
    daemon.http.patch(MODEL, json={"parallel": 1})
    model.behave(token_seconds=0.05)
    daemon.post(f"{MODEL}/load", {}, 200)
    with ThreadPoolExecutor(4) as pool:
        running = pool.submit(daemon.chat, "tiny.Q8_0", max_tokens=2000)
        wait_until(lambda: daemon.model("tiny.Q8_0")["worker"]["requests"] == 1, what="the first")
        others = [pool.submit(daemon.chat, "tiny.Q8_0", max_tokens=3) for _ in range(3)]
        wait_until(lambda: waiting(daemon) == 3, what="three in line")
        model.behave()
        os.kill(daemon.model("tiny.Q8_0")["worker"]["pid"], signal.SIGSEGV)
        assert running.result().status_code == 502
        assert [o.result().status_code for o in others] == [200] * 3
    assert daemon.model("tiny.Q8_0")["state"] == "loaded"


def test_a_worker_that_dies_again_and_again_is_not_started_at_once(daemon, model):
    model.behave(crash_after_tokens=1)
    codes = [daemon.chat("tiny.Q8_0", max_tokens=9).status_code for _ in range(3)]
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "failed", what="failed")
    answer = daemon.chat("tiny.Q8_0")
    assert 502 in codes
    assert answer.status_code == 503
    assert "ended" in answer.json()["error"]["message"]
    model.behave()
    daemon.post(f"{MODEL}/load", {}, 200)  # who asks for a load gets one


def test_options_of_no_worker_replace_none(daemon, model):
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    kept = {"pinned": True, "idle_unload": 60, "migrate": False, "aliases": ["small"]}
    daemon.post(f"{MODEL}/load", kept, 200)
    after = daemon.model("tiny.Q8_0")
    assert after["worker"]["pid"] == pid
    assert kept.items() <= after["options"].items()


# --- builds -----------------------------------------------------------------------------------


@pytest.fixture
def broken(make_daemon, fake_model, engine_source):
    """A model on cpu whose pieces someone has taken away; builds wait for `gate`."""
    source, gate = engine_source(), engine_source.gate
    daemon = make_daemon(fresh=True, engine_source=source).start()
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu")
    assert daemon.stop() == 0
    for piece in (daemon.state / "store").iterdir():
        if len(piece.name) == 64:
            piece.chmod(0o755)
            piece.rename(daemon.folder / piece.name)
    source.joinpath("fake-build.json").write_text(json.dumps({"gate": str(gate)}))
    daemon.start()
    return daemon, gate


def test_requests_wait_for_a_load_that_must_build_first(broken):
    daemon, gate = broken
    task = daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(daemon.chat, "tiny.Q8_0")
        wait_until(lambda: waiting(daemon) == 1, what="the request in line")
        gate.touch()
        assert asked.result().status_code == 200
    assert daemon.wait_task(task)["state"] == "succeeded"


def test_who_waited_for_a_load_that_is_cancelled_hears_so(broken):
    daemon, _ = broken
    task = daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(daemon.chat, "tiny.Q8_0")
        wait_until(lambda: waiting(daemon) == 1, what="the request in line")
        daemon.post(f"/tasks/{task}/cancel", status=202)
        answer = asked.result()
    assert answer.status_code == 503
    assert "cancelled" in answer.json()["error"]["message"]
