# SPDX-License-Identifier: Apache-2.0
"""What users and strangers send: each gets a clear error, and the daemon goes on."""

import os

import pytest

import gguf_file

MODELS = "/llm/api/models"


@pytest.fixture(autouse=True)
def still_alive(daemon):
    yield
    assert daemon.get("/health")["success"] is True


@pytest.mark.parametrize(
    "model", ["a%2Fb", "..%2F..%2Fetc", "%2E%2E", "a%00b", "x" * 300, "-x", "%ff", "a%2", "a b"]
)
def test_ids_that_are_none(daemon, model):
    answer = daemon.http.get(f"{MODELS}/{model}")
    assert answer.status_code in (400, 404)
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"nonsense", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b'{"path": 1}', 400),
        (b'{"path": "/x", "pull": "smollm2"}', 400),
        (b'{"path": "/x", "colour": "red"}', 400),
        (b'{"path": "/x\\u0000y"}', 400),
        (b'{"path": "/x", "path": "/y"}', 400),
        (b"[" * 100000 + b"]" * 100000, 400),
        (b'{"path": "' + b"x" * (2 << 20) + b'"}', 413),
        (b'{"path": "\xff"}', 400),
    ],
)
def test_bodies_that_are_none(daemon, body, status):
    answer = daemon.http.post(MODELS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_an_unknown_field_is_named(daemon):
    error = daemon.post(MODELS, {"path": "/x", "colour": "red"}, 400)["error"]
    assert "colour" in error["message"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_method_that_a_path_has_not(daemon, method):
    answer = daemon.http.request(method, MODELS)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].replace(",", " ").split()) >= {"GET", "POST"}


def test_a_path_that_is_none(daemon):
    assert daemon.get("/llm/api/nothing", 404)["error"]["type"] == "not_found"


def test_tasks_that_are_none(daemon):
    for task in ("0123456789abcdef", "x", "..", "a" * 300):
        answer = daemon.http.get(f"/tasks/{task}")
        assert answer.status_code in (400, 404)


def a_fifo(path):
    os.mkfifo(path)


def truncated(path):
    whole = gguf_file.tiny_llama(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def with_huge_counts(path):
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"PK\3\4" * 100), "GGUF"),
        (lambda path: path.mkdir(), "folder"),
        (a_fifo, "FIFO"),
        (truncated, "byte"),
        (with_huge_counts, "byte"),
        (lambda path: None, "no file"),
    ],
    ids=["empty", "no GGUF", "a folder", "a FIFO", "truncated", "huge counts", "absent"],
)
def test_files_that_are_no_model(daemon, tmp_path, make, word):
    path = tmp_path / "m.gguf"
    make(path)
    answer = daemon.http.post(MODELS, json={"path": str(path)})
    assert 400 <= answer.status_code < 500, answer.text
    message = answer.json()["error"]["message"]
    assert str(path) in message
    assert word.lower() in message.lower()
    assert daemon.get(MODELS)["models"] == []


def test_a_relative_path_is_refused(daemon):
    assert "absolute" in daemon.post(MODELS, {"path": "m.gguf"}, 400)["error"]["message"]


def test_the_same_model_twice_is_a_conflict(daemon, fake_model):
    model = fake_model()
    daemon.add(model.path)
    assert daemon.post(MODELS, {"path": str(model.path)}, 409)["error"]["type"] == "conflict"


def test_a_model_deleted_after_registration_is_said(daemon, fake_model):
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu")
    model.path.unlink()
    answer = daemon.http.post(f"{MODELS}/tiny.Q8_0/load", json={})
    assert answer.status_code >= 400
    assert str(model.path) in answer.json()["error"]["message"]


def test_a_model_replaced_while_loaded_is_noticed_at_the_next_load(daemon, fake_model, tmp_path):
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    other = gguf_file.tiny_llama(tmp_path / "other.gguf", layers=2)
    other.replace(model.path)
    assert daemon.chat("tiny.Q8_0").status_code == 200  # the worker has the old one open
    daemon.post(f"{MODELS}/tiny.Q8_0/unload", status=200)
    answer = daemon.http.post(f"{MODELS}/tiny.Q8_0/load", json={})
    assert answer.status_code >= 400
    assert "another file" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"n_ctx": "many"}, "n_ctx"),
        ({"n_ctx": -5}, "n_ctx"),
        ({"n_gpu_layers": -2}, "n_gpu_layers"),
        ({"cache_type_k": "--host"}, "cache_type_k"),
        ({"chat_template": 7}, "chat_template"),
        ({"lora": ["--port"]}, "lora"),
        ({"colour": 1}, "colour"),
        ({"parallel": 1e9}, "parallel"),
    ],
)
def test_options_that_are_none(daemon, fake_model, options, word):
    daemon.add(fake_model().path)
    answer = daemon.http.patch(f"{MODELS}/tiny.Q8_0", json=options)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["error"]["message"]
    assert daemon.model("tiny.Q8_0")["options"].get(word) != next(iter(options.values()))
