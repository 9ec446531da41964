# SPDX-License-Identifier: Apache-2.0
"""The OpenAI side with the fake server: routes, streams, queues, clients that leave."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon import wait_until


@pytest.fixture
def model(daemon, fake_model):
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu")
    return model


def raw_request(daemon, body: dict, path: str = "/v1/chat/completions") -> socket.socket:
    data = json.dumps(body).encode()
    s = socket.create_connection(("127.0.0.1", daemon.port))
    s.sendall(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    return s


def requests(daemon) -> int:
    worker = daemon.model("tiny.Q8_0")["worker"]
    return worker["requests"] if worker else 0


def test_models_are_listed_as_openai_does(daemon, model):
    listed = daemon.get("/v1/models")
    assert listed["object"] == "list"
    assert [m["id"] for m in listed["data"]] == ["tiny.Q8_0"]


def test_a_request_loads_the_model_first(daemon, model):
    assert daemon.model("tiny.Q8_0")["state"] == "unloaded"
    said = daemon.chat("tiny.Q8_0")
    assert said.status_code == 200, said.text
    assert said.json()["model"] == "tiny.Q8_0"
    assert daemon.model("tiny.Q8_0")["state"] == "loaded"


def test_streams_come_piece_by_piece(daemon, model):
    model.behave(token_seconds=0.05)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    arrivals = []
    body = {"model": "tiny.Q8_0", "stream": True, "max_tokens": 10, "messages": []}
    with daemon.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data:"):
                arrivals.append((time.monotonic(), line))
    assert arrivals[-1][1] == "data: [DONE]"
    assert len(arrivals) >= 11
    assert arrivals[-1][0] - arrivals[0][0] > 0.2, "it was held back and came at once"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"messages": []}, 400),
        ({"model": "nobody", "messages": []}, 404),
        ({"model": 7, "messages": []}, 400),
        ({"model": "../x", "messages": []}, 404),
        ({"model": {"model": "tiny.Q8_0"}}, 400),
        ({"messages": [{"model": "tiny.Q8_0"}]}, 400),
    ],
)
def test_errors_have_openais_form(daemon, model, body, status):
    answer = daemon.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) >= {"message", "type", "code"}


def test_a_model_without_a_backend_says_so(daemon, fake_model):
    daemon.add(fake_model().path)
    answer = daemon.chat("tiny.Q8_0")
    assert answer.status_code in (409, 503)
    assert "backend" in answer.json()["error"]["message"]


def test_no_more_are_admitted_than_the_worker_has_slots(daemon, model):
    daemon.http.patch("/llm/api/models/tiny.Q8_0", json={"parallel": 2})
    model.behave(token_seconds=0.02)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(daemon.chat, "tiny.Q8_0", max_tokens=20) for _ in range(8)]
        most = 0
        while not all(a.done() for a in answers):
            most = max(most, requests(daemon))
        assert all(a.result().status_code == 200 for a in answers)
    assert 1 <= most <= 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_generation(daemon, model, stream):
    model.behave(token_seconds=0.05)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    body = {"model": "tiny.Q8_0", "messages": [], "max_tokens": 2000, "stream": stream}
    s = raw_request(daemon, body)
    wait_until(lambda: requests(daemon) == 1, what="the request")
    s.close()
    wait_until(lambda: requests(daemon) == 0, 3, "the end of the request")


def test_a_client_that_leaves_the_queue_is_forgotten(daemon, model):
    daemon.http.patch("/llm/api/models/tiny.Q8_0", json={"parallel": 1})
    model.behave(token_seconds=0.05)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    body = {"model": "tiny.Q8_0", "messages": [], "max_tokens": 2000}
    first = raw_request(daemon, body)
    wait_until(lambda: requests(daemon) == 1, what="the first")
    second = raw_request(daemon, body)
    health = "/llm/api/models/tiny.Q8_0/health"
    wait_until(lambda: daemon.get(health)["requests_waiting"] == 1, what="the second in line")
    second.close()
    wait_until(lambda: daemon.get(health)["requests_waiting"] == 0, 3, "its end")
    first.close()


def test_a_worker_that_dies_in_a_stream_is_an_error_event(daemon, model):
    model.behave(crash_after_tokens=3)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    body = {"model": "tiny.Q8_0", "stream": True, "max_tokens": 50, "messages": []}
    with daemon.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data:")]
    assert any('"error"' in line for line in lines), lines


def test_a_hundred_requests_reuse_connections(daemon, model):
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    for _ in range(120):
        assert daemon.chat("tiny.Q8_0", max_tokens=1).status_code == 200


def test_the_hold_is_bounded(make_daemon, fake_model):
    daemon = make_daemon(hold_limit=2, hold_timeout="1s").start()
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu")
    model.behave(load_seconds=4)
    with ThreadPoolExecutor(6) as pool:
        answers = [a.result() for a in [pool.submit(daemon.chat, "tiny.Q8_0") for _ in range(6)]]
    codes = sorted(a.status_code for a in answers)
    assert codes.count(429) == 4, codes
    assert codes.count(503) == 2, codes
    assert all("retry-after" in a.headers for a in answers)
