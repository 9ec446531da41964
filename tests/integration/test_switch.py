# SPDX-License-Identifier: Apache-2.0
"""switch-backend, load and unload: answers, conflicts, the way back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon import wait_until

SWITCH = "/llm/api/models/tiny.Q8_0/switch-backend"


def test_an_unknown_backend_is_refused_and_the_known_listed(daemon, model):
    error = daemon.post(SWITCH, {"gpu_backend": "quantum"}, 400)["error"]
    assert error["type"] == "invalid_request"
    assert "'quantum'" in error["message"]
    assert all(name in error["message"] for name in ("cpu", "cuda", "rocm", "vulkan"))


def test_an_unknown_model_is_not_found(daemon):
    path = "/llm/api/models/nobody/switch-backend"
    error = daemon.post(path, {"gpu_backend": "cpu"}, 404)["error"]
    assert error["type"] == "not_found"
    assert "'nobody'" in error["message"]


@pytest.mark.parametrize("alias", ["vk", "Vulkan", "VK"])
def test_aliases_resolve(daemon, model, alias):
    daemon.switch("tiny.Q8_0", alias)
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == "vulkan"


def test_the_backend_it_already_has_is_success_and_nothing_is_done(daemon, model):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    before = daemon.model("tiny.Q8_0")["worker"]["pid"]
    answer = daemon.switch("tiny.Q8_0", "cpu")
    assert answer["instant_switch"] is True
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == before


def test_a_missing_toolkit_is_said_before_a_task_is_made(daemon, model):
    tasks = len(daemon.get("/tasks")["tasks"])
    error = daemon.post(SWITCH, {"gpu_backend": "rocm"}, 424)["error"]
    assert error["type"] == "toolkit_missing"
    assert "hip" in error["message"].lower()
    assert error["hint"]
    assert len(daemon.get("/tasks")["tasks"]) == tasks
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == "cpu"


def test_ten_clients_switch_the_same_model_at_once(daemon, fake_model):
    daemon.add(fake_model("new.gguf").path)
    start = threading.Barrier(10)

    def ask(_):
        start.wait()
        path = "/llm/api/models/new/switch-backend"
        return daemon.http.post(path, json={"gpu_backend": "vulkan"})

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, range(10)))
    assert {a.status_code for a in answers} == {202}
    tasks = {a.json()["task_id"] for a in answers}
    for task in tasks:
        assert daemon.wait_task(task)["state"] == "succeeded"
    assert daemon.model("new")["gpu_backend"] == "vulkan"
    built = [t for t in daemon.get("/tasks?model=new")["tasks"] if t["step_count"] > 1]
    assert len(built) == 1, "one of them built, nine joined it"


def test_a_different_switch_under_way_is_a_conflict_that_names_it(daemon, model):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    model.behave(load_seconds=1)
    first = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    error = daemon.post(SWITCH, {"gpu_backend": "cpu"}, 409)["error"]
    assert error["type"] == "conflict"
    assert first in error["message"]
    again = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    assert again == first
    assert daemon.wait_task(first)["state"] == "succeeded"


def test_unload_frees_and_the_next_request_loads_again(daemon, model):
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    daemon.post("/llm/api/models/tiny.Q8_0/unload", status=200)
    assert daemon.model("tiny.Q8_0")["state"] == "unloaded"
    assert daemon.get("/llm/api/models/loaded")["models"] == []
    assert daemon.chat("tiny.Q8_0").status_code == 200
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] != pid


def test_who_has_an_answer_meets_no_load(daemon, model):
    """The load that a question brought about ends a moment after its answer."""
    for _ in range(10):
        assert daemon.chat("tiny.Q8_0").status_code == 200
        daemon.post("/llm/api/models/tiny.Q8_0/unload", status=200)
        assert daemon.chat("tiny.Q8_0").status_code == 200
        daemon.switch("tiny.Q8_0", "cpu", reload=False)
        daemon.post("/llm/api/models/tiny.Q8_0/unload", status=200)


def test_load_without_a_backend_says_what_to_do(daemon, fake_model):
    daemon.add(fake_model().path)
    error = daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 409)["error"]
    assert "backend" in error["message"]
    assert "shunt switch" in error["hint"]


def test_other_options_replace_the_worker(daemon, model):
    daemon.post("/llm/api/models/tiny.Q8_0/load", {"n_ctx": 1024}, 200)
    first = daemon.model("tiny.Q8_0")
    daemon.post("/llm/api/models/tiny.Q8_0/load", {"n_ctx": 1024}, 200)
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == first["worker"]["pid"]
    daemon.post("/llm/api/models/tiny.Q8_0/load", {"n_ctx": 512}, 200)
    second = daemon.model("tiny.Q8_0")
    assert second["worker"]["pid"] != first["worker"]["pid"]
    assert second["options"]["n_ctx"] == 512


def test_a_crashed_worker_is_started_again_by_the_next_request(daemon, model):
    model.behave(crash_after_tokens=3)
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    said = daemon.chat("tiny.Q8_0", max_tokens=20)
    assert said.status_code == 502
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "failed", what="failed")
    model.behave()
    assert daemon.chat("tiny.Q8_0").status_code == 200


def test_associations_survive_a_restart(daemon, model):
    daemon.switch("tiny.Q8_0", "vulkan")
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == "vulkan"
    assert daemon.switch("tiny.Q8_0", "cpu")["instant_switch"] is True
