# SPDX-License-Identifier: Apache-2.0
"""The legacy rebuild: a named environment gets another content, for all its models."""

import json

import pytest

from daemon import wait_until

NAME = "llm_tiny_cpu"
REBUILD = f"/llm/api/venv/{NAME}/rebuild"


def environment(daemon, name=NAME):
    return daemon.get(f"/llm/api/environments/{name}")["environment"]


def rebuild(daemon, backend, **fields):
    """To its end, which must be success; the task."""
    answer = daemon.post(REBUILD, {"gpu_backend": backend, **fields}, 202)
    assert answer["environment"] == NAME
    task = daemon.wait_task(answer["task_id"])
    assert task["state"] == "succeeded", task
    return task


def test_the_row_is_the_truth_not_the_name(daemon, model):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    old = daemon.model("tiny.Q8_0")["worker"]["pid"]
    task = rebuild(daemon, "vk")
    assert task["result"]["reloaded"] == ["tiny.Q8_0"]
    assert environment(daemon)["backend"] == "vulkan"
    now = daemon.model("tiny.Q8_0")
    assert (now["gpu_backend"], now["environment"]) == ("vulkan", NAME)
    assert now["worker"]["backend"] == "vulkan"
    assert now["worker"]["pid"] != old
    assert daemon.chat("tiny.Q8_0").status_code == 200

    # It has vulkan: nothing is to be done, and no second environment is made.
    answer = daemon.switch("tiny.Q8_0", "vulkan")
    assert answer["instant_switch"] is True
    assert answer["environment"] == NAME
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == now["worker"]["pid"]
    status = daemon.get("/llm/api/models/tiny.Q8_0/environment-status")["environments"]
    assert [s["gpu_backend"] for s in status if s["active"]] == ["vulkan"]
    daemon.post("/llm/api/models/tiny.Q8_0/unload", status=200)
    assert daemon.chat("tiny.Q8_0").status_code == 200  # loads it there again

    # The backend in the name is built again, in its place.
    answer = daemon.switch("tiny.Q8_0", "cpu")
    assert answer["instant_switch"] is False
    assert answer["environment"] == NAME
    assert environment(daemon)["backend"] == "cpu"
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "cpu"


def test_it_survives_a_restart(daemon, model):
    rebuild(daemon, "vulkan")
    assert daemon.model("tiny.Q8_0")["state"] == "unloaded"
    assert daemon.stop() == 0
    daemon.start()
    assert environment(daemon)["backend"] == "vulkan"
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == "vulkan"
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "vulkan"


def test_without_reload_the_worker_stays_until_its_next_load(daemon, model):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    old = daemon.model("tiny.Q8_0")["worker"]["pid"]
    task = rebuild(daemon, "vulkan", reload=False)
    assert task["result"]["left"] == ["tiny.Q8_0"]
    assert "tiny.Q8_0" in task["message"]
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == old
    assert daemon.chat("tiny.Q8_0").status_code == 200
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] != old
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "vulkan"


def test_reload_true_loads_what_was_not_loaded(daemon, model):
    assert daemon.model("tiny.Q8_0")["state"] == "unloaded"
    rebuild(daemon, "vulkan", reload=True)
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "vulkan"


def test_other_models_are_named_and_force_takes_them_along(daemon, model, fake_model):
    daemon.add(fake_model("tiny.Q4_0.gguf").path)
    daemon.switch("tiny.Q4_0", "cpu", reload=True)
    error = daemon.post(REBUILD, {"gpu_backend": "vulkan"}, 409)["error"]
    assert error["type"] == "conflict"
    assert "'tiny.Q4_0', 'tiny.Q8_0'" in error["message"]
    assert "force" in error["hint"]
    assert environment(daemon)["backend"] == "cpu"
    before = environment(daemon)["digests"]["base"]
    rebuild(daemon, "vulkan", force=True)
    assert {daemon.model(m)["gpu_backend"] for m in ("tiny.Q4_0", "tiny.Q8_0")} == {"vulkan"}
    assert daemon.model("tiny.Q4_0")["worker"]["backend"] == "vulkan"
    assert environment(daemon)["digests"]["base"] != before, "force builds what is there already"

    # A switch that would take the backend from the other model asks first, too.
    switch = "/llm/api/models/tiny.Q8_0/switch-backend"
    error = daemon.post(switch, {"gpu_backend": "cpu"}, 409)["error"]
    assert "'tiny.Q4_0'" in error["message"]


def test_the_old_serves_while_it_builds_and_after_a_failure(make_daemon, engine_source, fake_model):
    source = engine_source()
    daemon = make_daemon(fresh=True, engine_source=source).start()
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    before = environment(daemon)
    source.joinpath("fake-build.json").write_text(json.dumps({"gate": str(engine_source.gate)}))
    daemon.stop()
    daemon.start()
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)

    task = daemon.post(REBUILD, {"gpu_backend": "cpu"}, 202)["task_id"]
    wait_until(lambda: "Compiling" in (daemon.get(f"/tasks/{task}")["task"]["step"] or ""))
    assert environment(daemon) == before
    assert daemon.chat("tiny.Q8_0").status_code == 200
    again = daemon.post(REBUILD, {"gpu_backend": "cpu"}, 202)["task_id"]
    assert again == task, "the same is joined"
    error = daemon.post(REBUILD, {"gpu_backend": "vulkan"}, 409)["error"]
    assert task in error["message"], "another is refused"
    gone = daemon.post("/llm/api/environments/gc", {}, 200)["removed"]
    assert gone == [], "neither what serves nor what is being made"
    error = daemon.call("DELETE", f"/llm/api/environments/{NAME}", status=409)["error"]
    assert "tiny.Q8_0" in error["message"]
    daemon.post(f"/tasks/{task}/cancel", status=202)
    assert daemon.wait_task(task)["state"] == "cancelled"
    assert environment(daemon) == before

    source.joinpath("fake-build.json").write_text('{"compile": "error"}')
    daemon.stop()
    daemon.start()
    daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    worker = daemon.model("tiny.Q8_0")["worker"]["pid"]
    task = daemon.post(REBUILD, {"gpu_backend": "cpu"}, 202)["task_id"]
    ended = daemon.wait_task(task)
    assert ended["state"] == "failed"
    assert ended["error"]["type"] == "build_failed"
    assert "stays as it was" in ended["error"]["message"]
    assert environment(daemon) == before
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == worker
    assert daemon.chat("tiny.Q8_0").status_code == 200


@pytest.mark.parametrize("in_turn", [False, True])
def test_a_model_that_does_not_come_up_has_the_old_put_back(make_daemon, fake_model, in_turn):
    daemon = make_daemon(worker_env=f"FAKE_FREE_MIB={8 if in_turn else 8000}").start()
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    before = environment(daemon)
    model.behave(only_backend="cpu")
    task = daemon.post(REBUILD, {"gpu_backend": "vulkan"}, 202)["task_id"]
    ended = daemon.wait_task(task)
    assert ended["state"] == "failed", ended
    assert ("going back" in ended["error"]["message"]) == in_turn
    after = environment(daemon)
    assert (after["backend"], after["digests"]) == (before["backend"], before["digests"])
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == "cpu"
    assert daemon.chat("tiny.Q8_0").status_code == 200
    assert daemon.model("tiny.Q8_0")["worker"]["backend"] == "cpu"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("llm_nobody_cpu", 404),
        ("x" * 300, 404),
        ("llm_%C3%BCml%C3%A4ut_cpu", 404),
        ("..%2F..%2Fetc", 404),
        ("%ff", 404),
    ],
)
def test_names_that_are_none(daemon, name, status):
    answer = daemon.http.post(f"/llm/api/venv/{name}/rebuild", json={"gpu_backend": "cpu"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["hint"]


def test_bodies_that_are_none(daemon, model):
    for body, says in (
        ({}, "gpu_backend"),
        ({"gpu_backend": "quantum"}, "vulkan"),
        ({"gpu_backend": "cpu", "reload": "maybe"}, "reload"),
        ({"gpu_backend": "cpu", "force": 1}, "force"),
        ({"gpu_backend": "cpu", "model": "x"}, "model"),
    ):
        assert says in daemon.post(REBUILD, body, 400)["error"]["message"]
    assert daemon.post(REBUILD, {"gpu_backend": "rocm"}, 424)["error"]["hint"]


def test_the_command(daemon, model):
    said = daemon.cli("env", "rebuild", NAME, "vulkan")
    assert said.returncode == 0, said.stderr
    assert NAME in said.stdout
    assert environment(daemon)["backend"] == "vulkan"
    assert daemon.cli("env", "rebuild", "nobody", "vulkan").returncode == 3
    assert daemon.cli("env", "rebuild", NAME).returncode == 2
