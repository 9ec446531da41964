# SPDX-License-Identifier: Apache-2.0
"""What a model can be asked: chat, embeddings, ranks; images and sound where it has a projector."""

import json
from pathlib import Path

import openai
import pytest

import gguf_file

MODELS = "/llm/api/models"
IMAGE = "data:image/png;base64,iVBORw0KGgo="
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"prompt": "hello"},
    "/v1/messages": {"max_tokens": 3, "messages": [{"role": "user", "content": "hello"}]},
    "/v1/responses": {"input": "hello"},
    "/v1/embeddings": {"input": "hello"},
    "/v1/rerank": {"query": "a b", "documents": ["a", "a b"]},
}
POOLING = {"chat": None, "embedding": 1, "rerank": 4}


@pytest.fixture
def add(daemon, tmp_path):
    def make(mode: str, **options) -> str:
        path = tmp_path / f"{mode}.gguf"
        if mode == "chat":
            gguf_file.tiny_llama(path, layers=1)
        else:
            gguf_file.tiny_llama(path, layers=1, pooling=POOLING[mode])
        assert daemon.add(path, **options)["mode"] == mode
        daemon.switch(mode, "cpu")
        return mode

    return make


def args_of(path: Path) -> list[str]:
    lines = Path(f"{path}.fake.log").read_text().splitlines()
    return next(e["args"] for e in map(json.loads, reversed(lines)) if e["event"] == "start")


@pytest.mark.parametrize("mode", POOLING)
def test_a_request_of_the_wrong_kind_says_which_it_is(daemon, add, mode):
    wanted = {"/v1/embeddings": "embedding", "/v1/rerank": "rerank"}
    for loaded in (False, True):
        for path, body in BODIES.items():
            right = wanted.get(path, "chat") == mode
            if right and not loaded:
                continue
            answer = daemon.http.post(path, json={"model": add_once(daemon, add, mode), **body})
            assert answer.status_code == (200 if right else 400), f"{path}: {answer.text}"
            if not right:
                assert f"is for mode {mode}, {path} needs" in answer.json()["error"]["message"]
        if not loaded:
            assert daemon.model(mode)["state"] == "unloaded", "loaded to be refused"
            daemon.post(f"{MODELS}/{mode}/load", {}, 200)


def add_once(daemon, add, mode: str) -> str:
    known = [m["id"] for m in daemon.get(MODELS)["models"]]
    return mode if mode in known else add(mode)


def with_image(kind: str, url: str = IMAGE) -> tuple[str, dict]:
    if kind == "chat":
        part = {"type": "image_url", "image_url": {"url": url}}
        return "/v1/chat/completions", {"messages": [{"role": "user", "content": [part]}]}
    if kind == "responses":
        part = {"type": "input_image", "image_url": url}
        return "/v1/responses", {"input": [{"role": "user", "content": [part]}]}
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE[22:]}
    if url != IMAGE:
        source = {"type": "url", "url": url}
    part = {"type": "image", "source": source}
    if kind == "tool":
        part = {"type": "tool_result", "tool_use_id": "1", "content": [part]}
    return "/v1/messages", {"max_tokens": 3, "messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize("kind", ["chat", "responses", "messages", "tool"])
def test_images_need_a_projector(daemon, add, tmp_path, kind):
    path, body = with_image(kind)
    body["model"] = add("chat")
    assert daemon.model("chat")["capabilities"] == ["chat"]
    for _ in range(2):
        refused = daemon.http.post(path, json=body)
        assert refused.status_code == 400, refused.text
        assert "takes no images" in refused.json()["error"]["message"]
        daemon.post(f"{MODELS}/chat/load", {}, 200)
    projector = gguf_file.projector(tmp_path / "mmproj.gguf")
    daemon.post(f"{MODELS}/chat/load", {"mmproj": str(projector)}, 200)
    assert daemon.model("chat")["capabilities"] == ["chat", "vision"]
    args = args_of(tmp_path / "chat.gguf")
    assert args[args.index("--mmproj") + 1] == str(projector)
    assert daemon.http.post(path, json=body).status_code == 200


@pytest.mark.parametrize("kind", ["chat", "responses", "messages", "tool"])
def test_what_a_worker_would_fetch_is_refused(daemon, add, tmp_path, kind):
    model = add("chat", mmproj=str(gguf_file.projector(tmp_path / "mmproj.gguf")))
    path, body = with_image(kind, "http://127.0.0.1:1/a.png")
    body["model"] = model
    for _ in range(2):
        refused = daemon.http.post(path, json=body)
        assert refused.status_code == 400, refused.text
        error = refused.json()["error"]
        assert "http://127.0.0.1:1/a.png' is not fetched" in error["message"]
        assert ("code" in error) == (path != "/v1/messages"), "another dialect's error"
        daemon.post(f"{MODELS}/chat/load", {}, 200)
    escaped = json.dumps(body).replace("image", "im\\u0061ge").replace("/", "\\/")
    headers = {"Content-Type": "application/json"}
    assert daemon.http.post(path, content=escaped, headers=headers).status_code == 400
    _, fine = with_image(kind)
    assert daemon.http.post(path, json={**fine, "model": model}).status_code == 200


def test_the_configuration_may_allow_it(make_daemon, tmp_path):
    daemon = make_daemon(fetch_media="yes").start()
    projector = gguf_file.projector(tmp_path / "mmproj.gguf")
    daemon.add(gguf_file.tiny_llama(tmp_path / "chat.gguf", layers=1), mmproj=str(projector))
    daemon.switch("chat", "cpu")
    for url, status in {"http://127.0.0.1:1/a.png": 200, "file:///etc/hostname": 400}.items():
        path, body = with_image("chat", url)
        assert daemon.http.post(path, json={**body, "model": "chat"}).status_code == status


def test_text_about_images_is_text(daemon, add):
    text = {"role": "user", "content": 'what is {"type": "image_url"}, and an "image"?'}
    assert daemon.chat(add("chat")).status_code == 200
    named = {"role": "user", "content": "http://127.0.0.1:1/image.png"}
    body = {"model": "chat", "messages": [text, named]}
    assert daemon.http.post("/v1/chat/completions", json=body).status_code == 200


def test_a_projector_may_come_with_the_model_but_must_be_one(daemon, add, tmp_path):
    other = gguf_file.tiny_llama(tmp_path / "other.gguf", layers=1)
    body = {"path": str(other), "mmproj": str(other)}
    assert "no projector" in daemon.post(MODELS, body, 400)["error"]["message"]
    assert daemon.get(MODELS)["models"] == []
    projector = gguf_file.projector(tmp_path / "mmproj.gguf", audio=True)
    model = daemon.post(MODELS, {**body, "mmproj": str(projector)}, 201)["model"]
    assert model["capabilities"] == ["chat", "vision", "audio"]
    daemon.call("PATCH", f"{MODELS}/other", {"mmproj": str(other)}, 400)
    assert daemon.model("other")["options"]["mmproj"] == str(projector)


def test_transcriptions(daemon, add, tmp_path):
    url = f"http://127.0.0.1:{daemon.port}/v1"
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    sound = ("a.wav", b"RIFF" + bytes(100_000))
    with pytest.raises(openai.BadRequestError, match="takes no sound"):
        client.audio.transcriptions.create(model=add("chat"), file=sound)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.audio.transcriptions.create(model="nobody", file=sound)
    projector = gguf_file.projector(tmp_path / "mmproj.gguf", vision=False, audio=True)
    daemon.call("PATCH", f"{MODELS}/chat", {"mmproj": str(projector)}, 200)
    said = client.audio.transcriptions.create(model="chat", file=sound)
    assert said.text == "100004 bytes"


FORM = "multipart/form-data; boundary=0123456789abcdef"


def part(name: str, value: bytes) -> bytes:
    head = f'--0123456789abcdef\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + value + b"\r\n"


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("application/json", b'{"model": "chat"}', "multipart/form-data"),
        ("multipart/form-data", b"x", "form"),
        (FORM, b"x", "model"),
        (FORM, part("model", b"tiny")[:-8], "model"),
        (FORM, part("model", b"x" * 300) + b"--0123456789abcdef--\r\n", "too long"),
        (FORM, part("model", b"a\0b") + b"--0123456789abcdef--\r\n", "too long, or"),
        (FORM, part("file", b"x") + b"--0123456789abcdef--\r\n", "names no model"),
    ],
)
def test_forms_that_are_none(daemon, kind, body, word):
    headers = {"Content-Type": kind}
    answer = daemon.http.post("/v1/audio/transcriptions", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["error"]["message"]
    answer = daemon.http.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code in (400, 404)
