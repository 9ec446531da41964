# SPDX-License-Identifier: Apache-2.0
"""Running answers go on at the next backend, in the same stream, and not a character is lost."""

import http.client
import threading
import time

import pytest

from crowd import Answer, Ask, fake_judge, read_stream, read_whole
from daemon import wait_until

MODEL = "tiny.Q8_0"
LANE, THREAD = {}, {"TE": "trailers"}  # the fast lane leaves unusual headers to microhttpd


class Client(threading.Thread):
    """Asks once. `said` grows as the answer comes."""

    def __init__(self, daemon, ask: Ask, headers: dict, **more):
        super().__init__(daemon=True)
        self.said, self.error = Answer(ask, time.time()), None
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        self.headers = {"Content-Type": "application/json", **headers}
        self.body = ask.body(MODEL, more)
        self.start()

    def run(self) -> None:
        try:
            self.connection.request("POST", self.said.ask.path, self.body, self.headers)
            response = self.connection.getresponse()
            assert response.status == 200, response.read()
            read = read_stream if self.said.ask.stream else read_whole
            read(response, self.said, MODEL)
        except Exception as e:
            self.error = e

    def talks(self, pieces: int = 3) -> bool:
        assert self.error is None, self.error
        return len(self.said.pieces) > pieces

    def end(self) -> Answer:
        """The whole answer, judged; the connection must be good for another."""
        self.join(60)
        assert not self.is_alive(), f"no end after {self.said.text!r}"
        assert self.error is None, self.error
        assert fake_judge(self.said)
        self.connection.request("POST", "/v1/embeddings", f'{{"model":"{MODEL}"}}', self.headers)
        assert self.connection.getresponse().status == 400
        self.connection.close()
        return self.said


def story(n: int, tokens: int = 400, **how) -> Ask:
    how = {"chat": True, "stream": True} | how
    return Ask(prompt=f'the "{n}th" \\ story of a fuchs 🦊', tokens=tokens, **how)


@pytest.fixture
def way(request) -> str:
    return getattr(request, "param", "in turn")


both_ways = pytest.mark.parametrize("way", ["beside", "in turn"], indirect=True)


@pytest.fixture
def daemon(make_daemon, way):
    return make_daemon(worker_env=f"FAKE_FREE_MIB={8000 if way == 'beside' else 1}").start()


@pytest.fixture
def slow(daemon, model):
    """Loaded on the CPU; a story takes 12 s there. The next worker is quick."""
    daemon.http.patch(f"/llm/api/models/{MODEL}", json={"parallel": 16}).raise_for_status()
    model.behave(token_seconds=0.03, when_backend="cpu")
    daemon.switch(MODEL, "cpu", reload=True)
    return model


def result(daemon, switched: dict) -> dict:
    return daemon.get(f"/tasks/{switched['task_id']}")["task"]["result"]


@both_ways
def test_streams_go_on_word_for_word(daemon, slow, way):
    clients = [
        Client(daemon, story(n, chat=n % 3 != 0), LANE if n % 2 else THREAD) for n in range(12)
    ]
    wait_until(lambda: all(c.talks(16) for c in clients), what="enough that it is carried")
    done = result(daemon, daemon.switch(MODEL, "vulkan"))
    said = [c.end() for c in clients]
    assert (done["way"], done["moved"], done["drained"]) == (way, 12, 0)
    assert 0 <= done["held_ms"] < 60000
    assert done["context"]["slots"] == 12, "so do their conversations"
    assert all(s.text.startswith("cpu says: ") for s in said), "begun there"
    log = (daemon.folder.parent / f"{MODEL}.gguf.fake.log").read_text()
    assert log.count('"left"') >= 12, "the old worker was left alone"


def test_what_was_not_answered_is_asked_again(daemon, slow):
    clients = [Client(daemon, story(n, stream=False), LANE if n % 2 else THREAD) for n in range(4)]
    wait_until(lambda: daemon.model(MODEL)["worker"]["requests"] == 4, what="the requests")
    done = result(daemon, daemon.switch(MODEL, "vulkan"))
    said = [c.end() for c in clients]
    assert (done["moved"], done["asked_again"], done["drained"]) == (0, 4, 0)
    assert all(s.text.startswith("vulkan says: ") for s in said)


@pytest.mark.parametrize(
    "why", [{"seed": 7}, {"migrate": "never"}, {"template_changes": True}], ids=str
)
def test_what_cannot_move_is_waited_for(daemon, slow, why):
    more = {"seed": 7} if "seed" in why else {}
    if "migrate" in why:
        daemon.http.patch(f"/llm/api/models/{MODEL}", json=why).raise_for_status()
    if "template_changes" in why:
        slow.behave(token_seconds=0.03, when_backend="cpu", **why)
        daemon.switch(MODEL, "vulkan")
        daemon.switch(MODEL, "cpu")
    slow.behave(token_seconds=0.015, when_backend="cpu", **why)
    clients = [Client(daemon, story(n, 200), how, **more) for n, how in enumerate((LANE, THREAD))]
    wait_until(lambda: all(c.talks() for c in clients), what="their beginnings")
    done = result(daemon, daemon.switch(MODEL, "vulkan"))
    assert (done["moved"], done["drained"]) == (0, 2)
    assert [c.end().finish for c in clients] == ["length"] * 2


@both_ways
def test_when_the_new_worker_fails_the_old_one_goes_on(daemon, slow):
    clients = [Client(daemon, story(n, 100), how) for n, how in enumerate((LANE, THREAD))]
    wait_until(lambda: all(c.talks() for c in clients), what="their beginnings")
    slow.behave(crash_on_load="SIGSEGV", when_backend="vulkan")
    path = f"/llm/api/models/{MODEL}/switch-backend"
    task = daemon.post(path, {"gpu_backend": "vulkan"}, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "failed"
    assert [c.end().finish for c in clients] == ["length"] * 2
    assert daemon.model(MODEL)["gpu_backend"] == "cpu"


def test_clients_that_leave_while_they_move_leave_nothing(daemon, slow):
    clients = [Client(daemon, story(n), how) for n, how in enumerate((LANE, THREAD) * 3)]
    wait_until(lambda: all(c.talks() for c in clients), what="their beginnings")
    slow.behave(load_seconds=0.3, token_seconds=0.03)
    task = daemon.post(f"/llm/api/models/{MODEL}/switch-backend", {"gpu_backend": "vulkan"}, 202)
    for client in clients:
        client.connection.sock.shutdown(2)
        time.sleep(0.05)  # some before, some while, some after they have moved
    assert daemon.wait_task(task["task_id"])["state"] == "succeeded"
    wait_until(lambda: daemon.model(MODEL)["worker"]["requests"] == 0, 5, "their end")
