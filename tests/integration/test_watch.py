# SPDX-License-Identifier: Apache-2.0
"""Workers that stop working without ending, and the bounds of every stop."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from daemon import wait_until

ID = "tiny.Q8_0"
MODEL = f"/llm/api/models/{ID}"


@pytest.fixture
def watched(make_daemon, fake_model):
    """A daemon with short limits, and a model on cpu. make(**settings)."""

    def make(**settings):
        daemon = make_daemon(**({"stall_timeout": "1s"} | settings)).start()
        model = fake_model()
        daemon.add(model.path)
        daemon.switch(ID, "cpu")
        return daemon, model

    return make


def load(daemon) -> int:
    daemon.post(f"{MODEL}/load", {}, 200)
    return worker_pid(daemon)


def worker_pid(daemon) -> int:
    worker = daemon.model(ID)["worker"]
    return worker["pid"] if worker else 0


def stat(pid: int) -> list[str]:
    """Its state, its parent, …; nothing when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def gone(pid: int) -> bool:
    return not (now := stat(pid)) or now[0] == "Z"


def happened(model) -> list[dict]:
    lines = model.path.with_name(f"{model.path.name}.fake.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def offspring(model) -> int:
    return [e["child"] for e in happened(model) if e["event"] == "offspring"][-1]


def stream(daemon, **fields):
    body = {"model": ID, "stream": True, "messages": [], "max_tokens": 10**6, **fields}
    return daemon.http.stream("POST", "/v1/chat/completions", json=body)


def deaf_client(daemon) -> socket.socket:
    """Asks for a long stream, and reads nothing of it."""
    body = json.dumps({"model": ID, "stream": True, "messages": [], "max_tokens": 10**6})
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", daemon.port))
    s.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\n"
        + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    wait_until(lambda: (daemon.model(ID)["worker"] or {}).get("requests") == 1)
    return s


def fails_and_comes_back(daemon, model, says: str, pid: int) -> None:
    """Its state says why, and the next request starts it again."""
    failed = wait_until(lambda: (m := daemon.model(ID))["state"] == "failed" and m)
    assert says in failed["reason"]
    assert failed["worker"] is None
    wait_until(lambda: gone(pid), what="its end")
    model.behave()
    said = daemon.chat(ID)
    assert said.status_code == 200, said.text
    assert worker_pid(daemon) not in (0, pid)


def test_a_stopped_worker_is_replaced(watched):
    daemon, model = watched()
    model.behave(token_seconds=0.01)
    pid = load(daemon)
    with stream(daemon) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data:")
        os.kill(pid, signal.SIGSTOP)
        text = "\n".join(lines)
    assert '"error"' in text
    assert "the worker ended in the middle of its answer" in text
    fails_and_comes_back(daemon, model, "stopped by a signal (SIGSTOP)", pid)


def test_a_worker_that_hangs_is_replaced(watched):
    daemon, model = watched()
    pid = load(daemon)
    model.behave(wedge=True)
    assert daemon.get(f"{MODEL}/health")["healthy"] is True
    error = daemon.chat(ID)
    assert error.status_code == 502
    assert "ended before it answered" in error.json()["error"]["message"]
    fails_and_comes_back(daemon, model, "it hung: for 1 s no token", pid)


def test_comments_in_a_stream_are_no_tokens(watched):
    daemon, model = watched()
    pid = load(daemon)
    model.behave(hang_after_tokens=1, ping_seconds=0.1)
    with stream(daemon) as answer:
        text = "".join(answer.iter_text())
    assert text.count(":\n\n") > 5
    assert '"error"' in text
    fails_and_comes_back(daemon, model, "it hung", pid)


@pytest.mark.server  # two at once
def test_slow_is_not_hung(watched):
    """A long prompt computes; a client that does not read is not the worker's fault."""
    daemon, model = watched(stall_timeout="500ms")
    pid = load(daemon)
    with deaf_client(daemon):
        model.behave(prefill_seconds=2, prefill_busy=True)
        assert daemon.chat(ID).status_code == 200
    assert worker_pid(daemon) == pid
    assert daemon.model(ID)["state"] == "loaded"


def restarted(daemon, pid: int) -> dict:
    """Waits for another worker; the task that brought it."""
    wait_until(lambda: worker_pid(daemon) not in (0, pid), what="another worker")
    tasks = daemon.get("/tasks")["tasks"]
    return next(t for t in tasks if t["message"].startswith("Restarting"))


def test_a_worker_that_breaks_answers_off_is_replaced(watched):
    daemon, model = watched()
    pid = load(daemon)
    model.behave(close_after_tokens=2)
    for _ in range(3):
        with stream(daemon) as answer:
            assert "the worker ended in the middle" in "".join(answer.iter_text())
    model.behave()
    task = restarted(daemon, pid)
    assert "it broke off 3 answers within a minute" in task["message"]
    assert daemon.wait_task(task["id"])["state"] == "succeeded"
    assert daemon.chat(ID).status_code == 200


def test_a_worker_that_leaks_is_replaced(watched):
    daemon, model = watched(worker_growth="64MB")
    pid = load(daemon)
    model.behave(leak_mib=100)
    time.sleep(0.7)  # it is weighed for the first time
    assert daemon.chat(ID).status_code == 200
    model.behave()
    assert "its memory grew from" in restarted(daemon, pid)["message"]
    assert daemon.chat(ID).status_code == 200
    assert daemon.model(ID)["state"] == "loaded"


def test_a_worker_that_dies_again_is_left_alone_for_a_while(watched):
    daemon, model = watched()
    model.behave(crash_after_tokens=1)
    for _ in range(2):  # the first restart is at once
        answer = daemon.chat(ID, max_tokens=5)
        assert answer.status_code == 502
        failed = wait_until(lambda: (m := daemon.model(ID))["state"] == "failed" and m)
    assert "a request starts it again in" in failed["reason"]
    answer = daemon.chat(ID)
    assert answer.status_code == 503
    assert "the next try is possible in" in answer.json()["error"]["message"]
    model.behave()
    load(daemon)  # a user does not wait
    assert daemon.chat(ID).status_code == 200


def test_nothing_outlives_a_killed_daemon(watched):
    daemon, model = watched()
    model.behave(deaf=True, offspring=True)
    pid = load(daemon)
    child = offspring(model)
    with deaf_client(daemon):
        daemon.kill()
        wait_until(lambda: gone(pid) and gone(child), 1, "the end of both")


def test_what_a_worker_started_ends_with_it(watched):
    daemon, model = watched()
    model.behave(offspring=True)
    pid = load(daemon)
    child = offspring(model)
    daemon.post(f"{MODEL}/unload", {}, 200)
    assert gone(pid)
    assert gone(child)
    pid = load(daemon)
    child = offspring(model)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gone(child), what="its end")


def test_a_guard_that_is_killed_takes_its_worker_along(watched):
    daemon, model = watched()
    model.behave(deaf=True)
    pid = load(daemon)
    guard = int(stat(pid)[1])
    assert Path(f"/proc/{guard}/comm").read_text() == "shunt-guard\n"
    os.kill(guard, signal.SIGKILL)
    fails_and_comes_back(daemon, model, "killed", pid)


def test_a_client_that_does_not_read_holds_up_no_unload(watched):
    daemon, _ = watched(drain_timeout="500ms")
    pid = load(daemon)
    with deaf_client(daemon):
        busy = daemon.call("POST", f"{MODEL}/unload", status=429)
        assert "1 requests still run" in busy["error"]["message"]
        began = time.monotonic()
        daemon.post(f"{MODEL}/unload", {"force": True}, 200)
        assert time.monotonic() - began < 10
    assert gone(pid)


def test_a_client_that_does_not_read_holds_up_no_shutdown(watched):
    daemon, model = watched(drain_timeout="500ms")
    model.behave(stop_hangs=True)
    pid = load(daemon)
    with deaf_client(daemon):
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 10
    assert gone(pid)
