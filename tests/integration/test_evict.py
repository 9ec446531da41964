# SPDX-License-Identifier: Apache-2.0
"""Room for a load: which of the loaded models goes, and which never."""

import pytest

from daemon import wait_until

# Each fake takes some 110 MiB. A load wants that, as measured before, and 256 MiB of margin: one
# may be loaded beside it.
ROOM_FOR_TWO = "520MB"


@pytest.fixture
def daemon(make_daemon, fake_model):
    """With three models on cpu, none loaded; there is room for two."""
    daemon = make_daemon(memory_limit=ROOM_FOR_TWO).start()
    for name in ("tiny", "b", "c"):
        model = fake_model(f"{name}.gguf")
        model.behave(memory_mib=100, model_mib=0, token_seconds=0.01)
        daemon.add(model.path)
        daemon.switch(name, "cpu")
    load(daemon, "c")
    daemon.post("/llm/api/models/c/unload", status=200)
    return daemon


def load(daemon, name: str) -> dict:
    """Its task."""
    task = daemon.post(f"/llm/api/models/{name}/load", {}, 200)["task_id"]
    return daemon.get(f"/tasks/{task}")["task"]


def loaded(daemon) -> set[str]:
    return {model["id"] for model in daemon.get("/llm/api/models/loaded")["models"]}


def test_the_least_recently_used_goes_and_comes_back_on_demand(daemon):
    load(daemon, "tiny")
    load(daemon, "b")
    assert loaded(daemon) == {"tiny", "b"}
    assert daemon.chat("tiny").status_code == 200
    task = load(daemon, "c")
    assert loaded(daemon) == {"tiny", "c"}, "b was asked last before tiny"
    assert "unloaded b" in task["log_tail"]
    assert "memory_limit" in task["log_tail"]
    assert daemon.chat("b").status_code == 200
    assert loaded(daemon) == {"c", "b"}


@pytest.mark.slow
def test_neither_in_use_nor_pinned_the_load_is_tried_anyway(daemon):
    load(daemon, "tiny")
    load(daemon, "b")
    daemon.call("PATCH", "/llm/api/models/b", {"pinned": True}, 200)
    request = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 100000,
        "stream": True,
    }
    with daemon.http.stream("POST", "/v1/chat/completions", json=request) as answer:
        lines = answer.iter_lines()  # kept: its end is the request's
        next(lines)
        task = load(daemon, "c")
        assert loaded(daemon) == {"tiny", "b", "c"}
        assert "tiny (in use)" in task["message"]
        assert "b (pinned)" in task["message"]
        assert "shunt unload" in task["message"]
    wait_until(lambda: daemon.model("tiny")["worker"]["requests"] == 0, what="the stream's end")
    daemon.post("/llm/api/models/c/unload", status=200)
    load(daemon, "c")
    assert loaded(daemon) == {"b", "c"}, "the pinned one stays though it is idle longer"
