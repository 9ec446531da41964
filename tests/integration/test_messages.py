# SPDX-License-Identifier: Apache-2.0
"""Anthropic's Messages and OpenAI's Responses with the fake server and their real clients."""

import socket
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

from daemon import wait_until

ASKED = {
    "model": "tiny.Q8_0",
    "max_tokens": 8,
    "messages": [{"role": "user", "content": "one two"}],
}


@pytest.fixture
def client(daemon):
    url = f"http://127.0.0.1:{daemon.port}"
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def openai_client(daemon):
    url = f"http://127.0.0.1:{daemon.port}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def test_a_message_loads_the_model(client, daemon, model):
    said = client.messages.create(**ASKED, system="Be brief.")
    assert said.content[0].text.startswith("cpu says: Be brief.")
    assert (said.model, said.stop_reason, said.usage.output_tokens) == (
        "tiny.Q8_0",
        "max_tokens",
        8,
    )
    assert client.messages.count_tokens(model="tiny.Q8_0", messages=ASKED["messages"]).input_tokens


def test_a_message_streams(client, model):
    with client.messages.stream(**ASKED) as stream:
        pieces = list(stream.text_stream)
        assert "".join(pieces) == stream.get_final_text()
    assert len(pieces) == 8
    assert stream.get_final_message().stop_reason == "max_tokens"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("body", "status", "kind", "word"),
    [
        (b'{"model": "tiny.Q8_0"}', 400, "invalid_request_error", "messages"),
        (b'{"model": "tiny.Q8_0", "messages": "hi"}', 400, "invalid_request_error", "messages"),
        (b'{"model": "nobody", "messages": []}', 404, "not_found_error", "nobody"),
        (b'{"model": 7, "messages": []}', 400, "invalid_request_error", "string"),
        (b'{"messages": []}', 400, "invalid_request_error", "none is loaded"),
        (b'{"messages": [', 400, "invalid_request_error", "byte 14"),
        (b'{"messages": ["\xff"]}', 400, "invalid_request_error", "UTF-8"),
        (b"[" * 100000, 400, "invalid_request_error", "object"),
        (b'{"a": ' + b"[" * 100000, 400, "invalid_request_error", "deeper"),
    ],
)
def test_errors_have_anthropics_form(daemon, model, path, body, status, kind, word):
    answer = daemon.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert told["type"] == "error"
    assert told["error"]["type"] == kind
    assert word in told["error"]["message"]


def test_what_the_server_of_http_refuses_has_anthropics_form(daemon, model):
    answer = daemon.http.post("/v1/messages", content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    answer = daemon.http.get("/v1/messages")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["type"] == "error"
    with socket.create_connection(("127.0.0.1", daemon.port)) as s:
        s.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: 68157440\r\n\r\n"
        )
        told = s.makefile("rb").read()
    assert told.startswith(b"HTTP/1.1 413 ")
    assert b'{"type":"error","error":{"type":"request_too_large"' in told


def test_a_worker_that_dies_is_an_error_event(client, daemon, model):
    model.behave(crash_after_tokens=3)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    with pytest.raises(anthropic.APIStatusError) as told, client.messages.stream(**ASKED) as s:
        list(s.text_stream)
    assert told.value.body["error"]["type"] == "api_error"


def test_the_key_may_come_as_anthropics_clients_send_it(make_daemon, fake_model, tmp_path):
    key = tmp_path / "key"
    key.write_text("secret-of-the-test-0123456789\n")
    daemon = make_daemon(api_key_file=key)
    daemon.start()
    url = f"http://127.0.0.1:{daemon.port}"
    wrong = anthropic.Anthropic(base_url=url, api_key="wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as told:
        wrong.messages.create(**ASKED)
    assert told.value.body["error"]["type"] == "authentication_error"
    right = anthropic.Anthropic(base_url=url, api_key=key.read_text().strip(), max_retries=0)
    with pytest.raises(anthropic.NotFoundError):
        right.messages.create(**ASKED)


def test_a_stream_ends_where_it_began_and_the_next_is_answered_elsewhere(client, daemon, model):
    model.behave(token_seconds=0.05)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    with ThreadPoolExecutor(1) as pool, client.messages.stream(**{**ASKED, "max_tokens": 60}) as s:
        pieces = s.text_stream
        text = next(pieces)
        switch = pool.submit(daemon.switch, "tiny.Q8_0", "vulkan")
        wait_until(lambda: daemon.model("tiny.Q8_0")["gpu_backend"] == "vulkan", 60, "the flip")
        late = client.messages.create(**ASKED)
        text += "".join(pieces)
        assert s.get_final_message().usage.output_tokens == 60
        switch.result()
    assert text.startswith("cpu says:")
    assert late.content[0].text.startswith("vulkan says:")


def test_responses(openai_client, model):
    said = openai_client.responses.create(model="tiny.Q8_0", input="one two", max_output_tokens=6)
    assert said.output_text.startswith("cpu says: one two")
    stream = openai_client.responses.create(
        model="tiny.Q8_0", input="one two", max_output_tokens=6, stream=True
    )
    told = list(stream)
    pieces = [event.delta for event in told if event.type == "response.output_text.delta"]
    assert "".join(pieces) == said.output_text
    assert told[-1].response.output_text == said.output_text


def test_responses_that_fail(openai_client, daemon, model):
    with pytest.raises(openai.NotFoundError, match="nobody"):
        openai_client.responses.create(model="nobody", input="x")
    with pytest.raises(openai.BadRequestError, match="input"):
        openai_client.responses.create(model="tiny.Q8_0")
    model.behave(crash_after_tokens=3)
    with pytest.raises(openai.APIError, match="the worker ended"):
        list(openai_client.responses.create(model="tiny.Q8_0", input="one two", stream=True))
