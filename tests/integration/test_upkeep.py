# SPDX-License-Identifier: Apache-2.0
"""What no request asks for: loading after a start, unloading what is idle."""

import pytest

from daemon import wait_until


@pytest.fixture
def add(fake_model):
    """Registers a model on cpu, not loaded, with these options."""

    def make(daemon, name: str, **options):
        model = fake_model(f"{name}.gguf")
        daemon.add(model.path)
        daemon.switch(name, "cpu")
        if options:
            daemon.call("PATCH", f"/llm/api/models/{name}", options, 200)
        return model

    return make


def load(daemon, *names: str) -> None:
    for name in names:
        daemon.post(f"/llm/api/models/{name}/load", {}, 200)


def loads(daemon, name: str) -> list[dict]:
    return [t for t in daemon.get(f"/tasks?model={name}")["tasks"] if t["kind"] == "load"]


def wait_state(daemon, name: str, state: str) -> dict:
    wait_until(lambda: daemon.model(name)["state"] == state, what=f"{name} {state}")
    return daemon.model(name)


# --- after a start --------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_loaded_is_known_and_keep_loaded_is_loaded_again(daemon, add, end):
    add(daemon, "tiny", keep_loaded=True)
    add(daemon, "other")
    load(daemon, "tiny", "other")
    getattr(daemon, end)()
    daemon.start()
    assert "was_loaded" not in wait_state(daemon, "tiny", "loaded")
    assert len(loads(daemon, "tiny")) == 2
    other = daemon.model("other")
    assert (other["state"], other["worker"], other["was_loaded"]) == ("unloaded", None, True)
    assert daemon.chat("other").status_code == 200, "loaded on demand"
    daemon.post("/llm/api/models/other/unload", status=200)
    assert "was_loaded" not in daemon.model("other"), "unloaded on purpose"


def test_an_unload_after_the_start_is_remembered(daemon, add):
    add(daemon, "tiny")
    load(daemon, "tiny")
    daemon.stop()
    daemon.start()
    assert daemon.model("tiny")["was_loaded"] is True
    daemon.post("/llm/api/models/tiny/unload", status=200)
    assert "was_loaded" not in daemon.model("tiny")


@pytest.mark.slow
def test_they_are_loaded_one_after_another(daemon, add):
    for name in ("tiny", "other"):
        add(daemon, name, keep_loaded=True).behave(load_seconds=0.3)
    daemon.stop()
    daemon.start()
    tasks = [
        loads(daemon, wait_state(daemon, name, "loaded")["id"])[0] for name in ("tiny", "other")
    ]
    first, second = sorted(tasks, key=lambda task: task["started"])
    assert first["finished"] <= second["started"]


@pytest.mark.slow
def test_one_that_fails_holds_up_no_other_and_is_tried_again(daemon, add):
    bad = add(daemon, "bad", keep_loaded=True)
    add(daemon, "tiny", keep_loaded=True)
    bad.behave(crash_on_load="SIGSEGV")
    daemon.stop()
    daemon.start()
    wait_state(daemon, "tiny", "loaded")
    assert daemon.model("bad")["state"] == "failed"
    bad.behave()
    wait_state(daemon, "bad", "loaded")
    assert [task["state"] for task in loads(daemon, "bad")] == ["succeeded", "failed"]


# --- idle -----------------------------------------------------------------------------------------


def test_idle_models_are_unloaded_but_not_those_in_use_or_pinned(make_daemon, add):
    daemon = make_daemon(idle_unload="300ms").start()
    add(daemon, "tiny")  # added first: looked at last
    add(daemon, "pinned", pinned=True)
    add(daemon, "busy").behave(token_seconds=0.02)
    load(daemon, "busy")
    request = {
        "model": "busy",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 100000,
        "stream": True,
    }
    with daemon.http.stream("POST", "/v1/chat/completions", json=request) as answer:
        lines = answer.iter_lines()  # kept: its end is the request's
        next(lines)
        load(daemon, "pinned", "tiny")
        wait_state(daemon, "tiny", "unloaded")
        for name in ("busy", "pinned"):
            assert daemon.model(name)["state"] == "loaded", name
    wait_state(daemon, "busy", "unloaded")
    assert daemon.model("pinned")["state"] == "loaded"
    assert daemon.chat("tiny").status_code == 200, "the next request loads it again"
    assert any("no request for" in line for line in daemon.lines)


def test_the_models_own_idle_unload_counts_from_its_last_request(daemon, add):
    add(daemon, "tiny", idle_unload=1)
    load(daemon, "tiny")
    pid = daemon.model("tiny")["worker"]["pid"]
    assert daemon.chat("tiny").status_code == 200
    assert daemon.model("tiny")["worker"]["pid"] == pid
    wait_state(daemon, "tiny", "unloaded")
    assert daemon.get("/llm/api/models/loaded")["models"] == []
