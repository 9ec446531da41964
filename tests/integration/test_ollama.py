# SPDX-License-Identifier: Apache-2.0
"""Ollama's API with the fake server and Ollama's own client."""

import base64
import json

import ollama
import pytest

import gguf_file
from daemon import wait_until

ASKED = [{"role": "user", "content": "one two"}]


@pytest.fixture
def client(daemon, model):
    return ollama.Client(host=f"http://127.0.0.1:{daemon.port}")


def posted(daemon, path: str, body) -> tuple[int, dict]:
    answer = daemon.http.post(path, json=body)
    return answer.status_code, answer.json()


def prompts(model) -> list[str]:
    lines = model.path.with_name(f"{model.path.name}.fake.log").read_text().splitlines()
    return [e["prompt"] for e in map(json.loads, lines) if e["event"] == "request"]


def test_a_chat(client, daemon):
    said = client.chat("tiny.Q8_0", ASKED, options={"num_predict": 6, "temperature": 0})
    assert said.message.content.startswith("cpu says: one two")
    assert (said.model, said.done, said.done_reason) == ("tiny.Q8_0", True, "length")
    assert (said.eval_count, said.prompt_eval_count) == (6, 2)
    assert said.total_duration >= said.load_duration > 0
    assert said.eval_duration > 0
    assert client.chat("tiny.Q8_0:latest", ASKED, options={"num_predict": 1}).done


def test_a_chat_streams(client):
    pieces = list(client.chat("tiny.Q8_0", ASKED, stream=True, options={"num_predict": 6}))
    whole = client.chat("tiny.Q8_0", ASKED, options={"num_predict": 6})
    assert "".join(p.message.content for p in pieces) == whole.message.content
    assert len(pieces) == 7
    assert [p.done for p in pieces] == [False] * 6 + [True]
    assert (pieces[-1].done_reason, pieces[-1].eval_count) == ("length", 6)


def test_a_stream_is_lines_and_the_default(client, daemon):
    body = {"model": "tiny.Q8_0", "messages": ASKED, "options": {"num_predict": 3}}
    answer = daemon.http.post("/api/chat", json=body)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["done"] for line in answer.text.splitlines()] == [False] * 3 + [True]


def test_a_generation(client, model):
    said = client.generate("tiny.Q8_0", "one two", system="Be brief.", options={"num_predict": 9})
    assert said.response.startswith("cpu says: Be brief. one two")
    raw = client.generate("tiny.Q8_0", "one two", raw=True, options={"num_predict": 4})
    assert raw.response == "cpu says: one two"
    pieces = client.generate("tiny.Q8_0", "one", stream=True, options={"num_predict": 3})
    assert "".join(p.response for p in pieces) == "cpu says: one"


def test_a_model_is_loaded_and_unloaded_without_a_question(client, daemon):
    assert client.generate("tiny.Q8_0").done_reason == "load"
    assert daemon.model("tiny.Q8_0")["state"] == "loaded"
    (running,) = client.ps().models
    assert (running.name, running.size_vram) == ("tiny.Q8_0", 0)
    assert running.size > 0
    assert client.chat("tiny.Q8_0", [], keep_alive="1h").done_reason == "load"
    assert client.generate("tiny.Q8_0", keep_alive=0).done_reason == "unload"
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "unloaded", what="the unload")
    assert client.generate("tiny.Q8_0", keep_alive=0).done_reason == "unload"
    assert client.ps().models == []


def test_models_are_shown(client, daemon):
    daemon.call("PATCH", "/llm/api/models/tiny.Q8_0", {"aliases": ["small"]}, 200)
    assert [m.model for m in client.list().models] == ["tiny.Q8_0", "small"]
    assert client.list().models[0].details.quantization_level == "Q8_0"
    shown = client.show("small:latest")
    assert shown.capabilities == ["completion"]
    template = {"chat_template": "{% if tools %}{{ tools }}{% endif %}"}
    daemon.call("PATCH", "/llm/api/models/tiny.Q8_0", template, 200)
    assert client.show("small").capabilities == ["completion", "tools"]
    assert shown.modelinfo["llama.context_length"] == 2048
    assert daemon.get("/api/version")["version"] == daemon.get("/version")["version"]


def test_images_and_embeddings(client, daemon, tmp_path):
    image = base64.b64encode(b"image").decode()
    asked = [{"role": "user", "content": "what is it", "images": [image]}]
    with pytest.raises(ollama.ResponseError, match="takes no images"):
        client.chat("tiny.Q8_0", asked)
    projector = gguf_file.projector(tmp_path / "mmproj.gguf")
    daemon.call("PATCH", "/llm/api/models/tiny.Q8_0", {"mmproj": str(projector)}, 200)
    assert "what is it" in client.chat("tiny.Q8_0", asked).message.content
    assert "vision" in client.show("tiny.Q8_0").capabilities
    with pytest.raises(ollama.ResponseError, match="is for mode chat"):
        client.embed("tiny.Q8_0", "hello")
    daemon.add(gguf_file.tiny_llama(tmp_path / "embed.gguf", layers=1, pooling=1))
    daemon.switch("embed", "cpu")
    vectors = client.embed("embed", ["a", "b"]).embeddings
    assert len(vectors) == 2
    assert client.embed("embed", "b").embeddings == [vectors[1]]
    assert client.embeddings("embed", "a").embedding == vectors[0]
    assert client.show("embed").capabilities == ["embedding"]


def test_an_answer_moves_with_its_model(client, daemon, model):
    model.behave(token_seconds=0.05)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    stream = client.chat("tiny.Q8_0", ASKED, stream=True, options={"num_predict": 60})
    pieces = [next(stream)]
    daemon.switch("tiny.Q8_0", "vulkan")
    pieces += stream
    text = "".join(p.message.content for p in pieces)
    assert text.startswith("cpu says: one two one two")
    assert (len(pieces), pieces[-1].eval_count) == (61, 60)


def test_a_worker_that_dies_is_a_line(client, daemon, model):
    model.behave(crash_after_tokens=3)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    pieces = client.chat("tiny.Q8_0", ASKED, stream=True)
    with pytest.raises(ollama.ResponseError, match="the worker ended"):
        list(pieces)


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/api/chat", {"model": "nobody", "messages": ASKED}, 404, "nobody"),
        ("/api/chat", {"messages": ASKED}, 400, "none is loaded"),
        ("/api/chat", {"messages": "hi"}, 400, "messages"),
        ("/api/chat", {"messages": [{"content": "x"}]}, 400, "role"),
        ("/api/chat", {"messages": [7]}, 400, "role"),
        ("/api/chat", {"messages": [{"role": "user", "content": 7}]}, 400, "content"),
        ("/api/chat", {"messages": [{"role": "user", "images": [7]}]}, 400, "images"),
        ("/api/chat", {"messages": [{"role": "user", "tool_calls": [{}]}]}, 400, "tool_calls"),
        ("/api/chat", {"messages": ASKED, "stream": "yes"}, 400, "stream"),
        ("/api/chat", {"messages": ASKED, "format": "xml"}, 400, "format"),
        ("/api/chat", {"messages": ASKED, "options": {"temperature": "hot"}}, 400, "temperature"),
        ("/api/chat", {"messages": ASKED, "options": {"top_k": 1.5}}, 400, "top_k"),
        ("/api/chat", {"messages": ASKED, "options": {"stop": [1]}}, 400, "stop"),
        ("/api/chat", {"messages": ASKED, "options": []}, 400, "options"),
        ("/api/chat", {"messages": ASKED, "keep_alive": "soon"}, 400, "keep_alive"),
        ("/api/generate", {"prompt": "x", "suffix": "y"}, 400, "suffix"),
        ("/api/generate", {"prompt": "x", "context": [1]}, 400, "context"),
        ("/api/generate", {"prompt": {}}, 400, "prompt"),
        ("/api/embed", {"input": 7}, 400, "input"),
        ("/api/embed", {"input": ["a", 7]}, 400, "input"),
        ("/api/embeddings", {}, 400, "prompt"),
        ("/api/show", {}, 400, "model"),
        ("/api/show", {"model": "nobody"}, 404, "nobody"),
        ("/api/pull", {"model": "nobody"}, 404, "/api/pull"),
    ],
)
def test_errors_have_ollamas_form(daemon, path, body, status, word):
    code, told = posted(daemon, path, body)
    assert code == status, told
    assert list(told) == ["error"]
    assert word in told["error"]


def test_bodies_that_are_none(daemon):
    headers = {"Content-Type": "application/json"}
    for body in (b"", b"[]", b"{", b'{"a": "\xff"}', b'{"a": ' + b"[" * 100000, b'{"\\u0000": 1}'):
        for path in ("/api/chat", "/api/generate", "/api/embed", "/api/show"):
            answer = daemon.http.post(path, content=body, headers=headers)
            assert answer.status_code == 400, (path, body[:20], answer.text)
            assert list(answer.json()) == ["error"]
