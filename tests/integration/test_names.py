# SPDX-License-Identifier: Apache-2.0
"""What a model is called: aliases, no name at all; and how long a request keeps it loaded."""

import pytest

from daemon import wait_until

MODELS = "/llm/api/models"


@pytest.fixture
def two(daemon, fake_model):
    """`tiny`, which is also called small and gpt-4o, and `other`."""
    for name in ("tiny", "other"):
        daemon.add(fake_model(f"{name}.gguf").path)
        daemon.switch(name, "cpu")
    set_aliases(daemon, "tiny", ["small", "gpt-4o"], 200)
    return daemon


def set_aliases(daemon, model: str, names: list[str], status: int) -> dict:
    return daemon.call("PATCH", f"{MODELS}/{model}", {"aliases": names}, status)


def listed(daemon) -> list[str]:
    return [m["id"] for m in daemon.get("/v1/models")["data"]]


def test_an_alias_is_the_model_everywhere(two):
    assert listed(two) == ["other", "tiny", "small", "gpt-4o"]
    assert two.get("/v1/models/small")["id"] == "tiny"
    said = two.chat("gpt-4o")
    assert said.status_code == 200
    assert said.json()["model"] == "tiny"
    assert two.get(f"{MODELS}/small")["model"]["state"] == "loaded"
    two.switch("small", "vulkan")
    assert two.model("tiny")["gpu_backend"] == "vulkan"
    assert two.cli("unload", "small").returncode == 0
    assert two.model("tiny")["state"] == "unloaded"
    assert two.post(f"{MODELS}/small/load", {"n_ctx": 512}, 200)["model"]["id"] == "tiny"


def test_aliases_outlive_a_restart_and_go_with_their_model(two):
    two.stop()
    two.start()
    assert two.chat("small").status_code == 200
    set_aliases(two, "tiny", ["gpt-4o"], 200)
    assert two.chat("small").status_code == 404
    two.call("DELETE", f"{MODELS}/gpt-4o", status=200)
    assert two.chat("gpt-4o").status_code == 404
    assert listed(two) == ["other"]
    set_aliases(two, "other", ["gpt-4o", "tiny"], 200)
    assert two.chat("tiny").json()["model"] == "other"


@pytest.mark.parametrize(
    ("names", "status", "word"),
    [
        (["other"], 409, "the id of model 'other'"),
        (["tiny"], 400, "own id"),
        (["a", "b", "a"], 400, "twice"),
        (["a/b"], 400, "aliases"),
        (["loaded"], 400, "aliases"),
        ("small", 400, "aliases"),
        ([f"a{n}" for n in range(17)], 400, "16"),
    ],
)
def test_names_that_cannot_be(two, names, status, word):
    assert word in set_aliases(two, "tiny", names, status)["error"]["message"]
    assert two.model("tiny")["options"]["aliases"] == ["small", "gpt-4o"]
    assert two.chat("small").status_code == 200


def test_a_name_means_one_model(two, fake_model):
    error = set_aliases(two, "other", ["small"], 409)["error"]
    assert "an alias of model 'tiny'" in error["message"]
    refused = two.post(f"{MODELS}/other/load", {"aliases": ["small"]}, 409)
    assert "'tiny'" in refused["error"]["message"]
    path = str(fake_model("third.gguf").path)
    two.post(MODELS, {"path": path, "id": "small"}, 409)
    two.post(MODELS, {"path": path, "aliases": ["gpt-4o"]}, 409)
    two.post(MODELS, {"path": path, "aliases": ["third"]}, 400)
    assert two.post(MODELS, {"path": path, "aliases": ["3"]}, 201)["model"]["id"] == "third"
    assert two.get(f"{MODELS}/3")["model"]["id"] == "third"


def test_one_loaded_model_needs_no_name(two):
    def ask(**fields):
        return two.http.post("/v1/chat/completions", json={"messages": [], **fields})

    assert "none is loaded" in ask().json()["error"]["message"]
    two.chat("small")
    assert ask().json()["model"] == "tiny"
    assert ask(model="").json()["model"] == "tiny"
    two.chat("other")
    refused = ask()
    assert refused.status_code == 400
    assert "tiny" in refused.json()["error"]["message"]
    assert "other" in refused.json()["error"]["message"]


def state(daemon) -> str:
    return daemon.model("tiny")["state"]


def test_keep_alive_is_for_this_load(two):
    assert two.chat("tiny", keep_alive="300ms").status_code == 200
    wait_until(lambda: state(two) == "unloaded", what="the end of keep_alive")
    assert two.chat("tiny").status_code == 200
    assert two.chat("tiny", keep_alive=0).status_code == 200
    wait_until(lambda: state(two) == "unloaded", what="the end of keep_alive 0")


def test_keep_alive_comes_before_idle_unload(two):
    two.call("PATCH", f"{MODELS}/tiny", {"idle_unload": 1}, 200)
    two.call("PATCH", f"{MODELS}/other", {"idle_unload": 1}, 200)
    assert two.chat("tiny", keep_alive=-1).status_code == 200
    assert two.chat("other").status_code == 200
    wait_until(lambda: two.model("other")["state"] == "unloaded", what="other's idle_unload")
    assert state(two) == "loaded"


@pytest.mark.parametrize("keep_alive", ["soon", "5 m", True, [], {"m": 5}])
def test_keep_alives_that_are_none(two, keep_alive):
    answer = two.chat("tiny", keep_alive=keep_alive)
    assert answer.status_code == 400
    assert "keep_alive" in answer.json()["error"]["message"]
    assert state(two) == "unloaded"
