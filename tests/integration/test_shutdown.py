# SPDX-License-Identifier: Apache-2.0
"""The end of the daemon: what runs is answered, for a while; what is new is refused."""

import fcntl
import json
import socket
import subprocess
import threading
import time

import httpx
import pytest

from daemon import wait_until

# Two ways through the gateway: the lane, and a thread of microhttpd.
WAYS = pytest.mark.parametrize("headers", [{}, {"TE": "trailers"}], ids=["lane", "thread"])


class Stream(threading.Thread):
    """A chat of so many tokens, read as it comes."""

    def __init__(self, daemon, tokens: int, headers: dict | None = None):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{daemon.port}/v1/chat/completions"
        self.body = {
            "model": "tiny.Q8_0",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": tokens,
            "stream": True,
        }
        self.headers, self.lines, self.begun = headers or {}, [], threading.Event()
        self.start()
        assert self.begun.wait(10), "no token came"

    def run(self) -> None:
        with httpx.stream(
            "POST", self.url, json=self.body, headers=self.headers, timeout=60
        ) as answer:
            for line in answer.iter_lines():
                self.lines.append(line)
                if '"content"' in line:
                    self.begun.set()

    def events(self) -> list:
        self.join(20)
        assert not self.is_alive(), "the stream does not end"
        data = [line.removeprefix("data: ") for line in self.lines if line.startswith("data: ")]
        return [event if event == "[DONE]" else json.loads(event) for event in data]


@pytest.fixture
def run(make_daemon, fake_model):
    """A daemon with a loaded model that takes token_seconds for each token."""

    def make(token_seconds: float, **settings):
        daemon = make_daemon(**settings).start()
        model = fake_model()
        model.behave(token_seconds=token_seconds)
        daemon.add(model.path)
        daemon.switch("tiny.Q8_0", "cpu", reload=True)
        return daemon

    return make


def refused(daemon, path: str = "/v1/models", **body) -> httpx.Response:
    url = f"http://127.0.0.1:{daemon.port}{path}"
    return httpx.post(url, json=body) if body else httpx.get(url)


@WAYS
def test_a_running_stream_ends_whole_and_new_requests_are_refused(run, headers):
    daemon = run(0.02)
    stream = Stream(daemon, 50, headers)
    daemon.signal()
    for answer in (
        refused(daemon, "/v1/chat/completions", model="tiny.Q8_0", messages=[]),
        refused(daemon, "/llm/api/models"),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Connection"].lower() == "close"
        assert "stopping" in answer.json()["error"]["message"]
    assert stream.is_alive(), "the refusals came while it ran"
    events = stream.events()
    assert events[-1] == "[DONE]"
    said = [e for e in events[:-1] if e["choices"] and e["choices"][0]["delta"].get("content")]
    assert len(said) == 50
    assert daemon.ended() == 0


@WAYS
def test_a_stream_without_end_is_cut_at_drain_timeout_and_told_why(run, headers):
    daemon = run(0.01, drain_timeout="300ms")
    stream = Stream(daemon, 100000, headers)
    began = time.monotonic()
    daemon.signal()
    assert daemon.ended() == 0
    assert 0.3 <= time.monotonic() - began < 5
    error = next(e["error"] for e in stream.events() if "error" in e)
    assert "daemon stopped" in error["message"]
    assert "tiny.Q8_0" in error["message"]
    assert error["code"] == "unavailable"


def test_a_second_signal_does_not_wait(run):
    daemon = run(0.01)
    stream = Stream(daemon, 100000)
    began = time.monotonic()
    daemon.signal()
    daemon.signal()
    assert daemon.ended() == 0
    assert time.monotonic() - began < 5, "drain_timeout is a minute"
    assert any("error" in event for event in stream.events())


def test_requests_that_wait_for_a_load_are_answered(daemon, model):
    model.behave(load_seconds=0.5)
    with httpx.Client(base_url=daemon.http.base_url, timeout=20) as http:
        answers = []
        body = {"model": "tiny.Q8_0", "messages": [{"role": "user", "content": "hello"}]}
        ask = threading.Thread(
            target=lambda: answers.append(http.post("/v1/chat/completions", json=body))
        )
        ask.start()
        wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "loading", what="loading")
        daemon.signal()
        ask.join(20)
    assert answers[0].status_code == 200
    assert daemon.ended() == 0


def test_requests_that_wait_too_long_hear_that_it_stops(make_daemon, fake_model):
    daemon, model = make_daemon(drain_timeout="300ms").start(), fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu")
    model.behave(hang_on_load=True)
    answers = []
    ask = threading.Thread(target=lambda: answers.append(daemon.chat("tiny.Q8_0")))
    ask.start()
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "loading", what="loading")
    daemon.signal()
    ask.join(20)
    assert answers[0].status_code == 503
    assert "stopping" in answers[0].json()["error"]["message"]
    assert daemon.ended() == 0


def test_viewers_and_idle_connections_hold_nothing_up(daemon, model):
    began = time.monotonic()
    with daemon.http.stream("GET", "/llm/api/events") as events:
        lines = events.iter_lines()
        next(lines)
        daemon.signal()
        assert daemon.ended() == 0
    assert time.monotonic() - began < 5


# --- systemd --------------------------------------------------------------------------------------


class Manager(threading.Thread):
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, address: str):
        super().__init__(daemon=True)
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.heard, self.seen = [], 0
        self.start()

    def run(self) -> None:
        while True:
            self.heard.append(self.socket.recv(4096).decode())

    def hear(self, what: str) -> str:
        """Waits for the next message that begins so, after the last one."""

        def find() -> str | None:
            while self.seen < len(self.heard):
                self.seen += 1
                if self.heard[self.seen - 1].startswith(what):
                    return self.heard[self.seen - 1]
            return None

        return wait_until(find, 20, what)


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(make_daemon, fake_model, tmp_path, abstract):
    manager = Manager(f"@shunt-test{tmp_path}" if abstract else str(tmp_path / "notify"))
    daemon, model = make_daemon(), fake_model()
    daemon.env |= {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    daemon.start()
    assert manager.hear("") == "READY=1", "nothing before it"
    assert manager.hear("STATUS=") == "STATUS=0 models loaded"
    manager.hear("WATCHDOG=1")
    model.behave(token_seconds=0.01)
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    manager.hear("STATUS=1 model loaded")
    stream = Stream(daemon, 100000)
    daemon.signal()
    manager.hear("STOPPING=1")
    extend, status = manager.hear("EXTEND_TIMEOUT_USEC=").splitlines()
    assert int(extend.split("=")[1]) >= 10_000_000
    assert status == "STATUS=stopping: 1 request running, at most 60 s"
    manager.hear("WATCHDOG=1")
    daemon.signal()
    assert daemon.ended() == 0
    stream.events()


def test_an_address_that_is_none_is_said_and_harmless(make_daemon):
    daemon = make_daemon()
    daemon.env |= {"NOTIFY_SOCKET": "nonsense"}
    daemon.start()
    assert any("NOTIFY_SOCKET" in line and "nonsense" in line for line in daemon.lines)
    assert daemon.stop() == 0


def test_a_state_folder_has_one_daemon(daemon, make_daemon):
    second = make_daemon("second", state_dir=daemon.state)
    with pytest.raises(AssertionError, match="is held by another shunt daemon"):
        second.start()
    assert daemon.get("/health")["status"] == "ok"


def test_a_child_of_one_that_was_killed_is_waited_for(make_daemon):
    """One that has just been forked still has the lock."""
    daemon = make_daemon()
    dead = subprocess.Popen(["true"])
    dead.wait()
    with (daemon.state / "daemon.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(dead.pid))
        lock.flush()
        threading.Timer(0.5, fcntl.flock, [lock, fcntl.LOCK_UN]).start()
        daemon.start()
    assert daemon.get("/health")["status"] == "ok"
