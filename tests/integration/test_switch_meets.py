# SPDX-License-Identifier: Apache-2.0
"""Switches that meet something else: a failure, another request, force."""

from pathlib import Path

from daemon import wait_until

MODEL = "/llm/api/models/tiny.Q8_0"
SWITCH = f"{MODEL}/switch-backend"


def test_a_switch_with_reload_that_does_not_come_up_changes_nothing(daemon, model):
    model.behave(when_backend="vulkan", crash_on_load="SIGSEGV")
    ask = {"gpu_backend": "vulkan", "reload": True}
    ended = daemon.wait_task(daemon.post(SWITCH, ask, 202)["task_id"])
    assert ended["state"] == "failed"
    after = daemon.model("tiny.Q8_0")
    assert (after["state"], after["gpu_backend"]) == ("failed", "cpu")
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    assert daemon.chat("tiny.Q8_0").status_code == 200


def test_options_that_do_not_come_up_give_way_to_the_earlier_ones(daemon, model):
    daemon.post(f"{MODEL}/load", {"n_ctx": 1024}, 200)
    model.behave(when_arg="4096", crash_on_load="exit 1")
    answer = daemon.http.post(f"{MODEL}/load", json={"n_ctx": 4096})
    assert answer.status_code >= 500
    assert "still answers from cpu" in answer.json()["error"]["message"]
    after = daemon.model("tiny.Q8_0")
    assert after["state"] == "loaded"
    words = Path(f"/proc/{after['worker']['pid']}/cmdline").read_bytes().split(b"\0")
    assert b"1024" in words
    assert daemon.chat("tiny.Q8_0").status_code == 200


def test_a_load_with_other_options_is_not_answered_by_an_older_one(daemon, model):
    model.behave(when_arg="1024", hang_on_load=True)
    ask = {"n_ctx": 1024}
    first = daemon.post(f"{MODEL}/load?wait=false", ask, 202)["task_id"]
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "loading", what="loading")
    same = daemon.post(f"{MODEL}/load?wait=false", ask | {"pinned": True}, 202)["task_id"]
    assert same == first, "its worker would be the same"
    daemon.post(f"{MODEL}/load", {"n_ctx": 512}, 200)
    assert daemon.wait_task(first)["state"] == "cancelled"
    after = daemon.model("tiny.Q8_0")
    words = Path(f"/proc/{after['worker']['pid']}/cmdline").read_bytes().split(b"\0")
    assert b"512" in words
    assert daemon.chat("tiny.Q8_0").status_code == 200


def test_the_backend_it_has_is_left_alone_also_without_reload(daemon, model):
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    assert daemon.switch("tiny.Q8_0", "cpu", reload=False)["instant_switch"] is True
    assert daemon.model("tiny.Q8_0")["worker"]["pid"] == pid


def test_without_reload_it_is_unloaded_and_moved(daemon, model):
    daemon.post(f"{MODEL}/load", {}, 200)
    daemon.switch("tiny.Q8_0", "vulkan", reload=False)
    after = daemon.model("tiny.Q8_0")
    assert (after["state"], after["gpu_backend"]) == ("unloaded", "vulkan")


def test_force_supersedes_a_switch_and_a_cancelled_one_changes_nothing(daemon, model):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    model.behave(when_backend="vulkan", hang_on_load=True)
    first = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "switching", what="switching")
    again = daemon.post(SWITCH, {"gpu_backend": "cpu", "force": True}, 202)["task_id"]
    assert daemon.wait_task(first)["state"] == "cancelled"
    assert daemon.wait_task(again)["state"] == "succeeded"
    after = daemon.model("tiny.Q8_0")
    assert (after["state"], after["gpu_backend"]) == ("loaded", "cpu")
    assert "cpu" in daemon.chat("tiny.Q8_0").json()["choices"][0]["message"]["content"]


def test_a_model_that_is_removed_while_it_switches_stays(daemon, model):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    model.behave(when_backend="vulkan", load_seconds=1)
    task = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    error = daemon.call("DELETE", MODEL, status=409)["error"]
    assert task in error["message"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    daemon.call("DELETE", MODEL, status=200)


def test_a_model_that_comes_back_has_no_history(daemon, model):
    model.behave(crash_on_load="SIGSEGV")
    assert daemon.http.post(f"{MODEL}/load", json={}).status_code >= 500
    assert daemon.model("tiny.Q8_0")["state"] == "failed"
    daemon.call("DELETE", MODEL, status=200)
    model.behave()
    daemon.add(model.path)
    assert daemon.model("tiny.Q8_0")["state"] == "unloaded"
    daemon.switch("tiny.Q8_0", "cpu")
    assert daemon.chat("tiny.Q8_0").status_code == 200
