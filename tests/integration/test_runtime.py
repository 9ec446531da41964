# SPDX-License-Identifier: Apache-2.0
"""The runtime python: what it needs is made when it is asked for, and what it lacks is said. Other
tests run with it whole, by --runtime=python; the real one: tests/engine/test_runtimes.py."""

import shutil

import pytest

import gguf_file
from python_site import environment

MODEL = "/llm/api/models/tiny.Q8_0"


@pytest.fixture
def daemon(start):
    return start()


def load(daemon, **options) -> dict:
    """The task, at its end."""
    task = daemon.post(f"{MODEL}/load?wait=false", options, 202)["task_id"]
    return daemon.wait_task(task)


def test_what_it_needs_comes_with_the_first_load(daemon, site):
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    before = environment(daemon, "cpu")["digests"]
    assert before["python_server"] is None
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]

    task = load(daemon, runtime="python")
    assert task["state"] == "succeeded", task
    assert "needed" in daemon.http.get(f"/tasks/{task['id']}/log").text
    now = environment(daemon, "cpu")
    assert now["digests"]["python_server"] not in (None, before["python"])
    assert now["digests"] == before | {"python_server": now["digests"]["python_server"]}
    model = daemon.model("tiny.Q8_0")
    assert model["runtime"] == "python"
    assert model["worker"]["pid"] != pid
    assert daemon.get(f"{MODEL}/health")["worker"]["slots"] == 1
    assert daemon.chat("tiny.Q8_0").status_code == 200
    removed = daemon.post("/llm/api/environments/gc", {"dry_run": True}, 200)["removed"]
    assert "python-server" not in [piece["kind"] for piece in removed]

    # The next environment, the same runtime again: nothing is fetched.
    shutil.rmtree(site.wheels)
    daemon.switch("tiny.Q8_0", "vulkan")
    assert environment(daemon, "vulkan")["digests"]["python_server"] is not None
    assert daemon.model("tiny.Q8_0")["worker"]["device"].startswith("Vulkan")
    assert load(daemon, runtime=None)["state"] == "succeeded"
    assert daemon.model("tiny.Q8_0")["runtime"] == "server"
    assert daemon.switch("tiny.Q8_0", "cpu")["instant_switch"] is True


@pytest.mark.slow
def test_it_comes_back_after_a_restart(daemon):
    daemon.switch("tiny.Q8_0", "cpu")
    assert load(daemon, runtime="python", keep_loaded=True)["state"] == "succeeded"
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.chat("tiny.Q8_0").status_code == 200
    assert daemon.get(f"{MODEL}/health")["worker"]["slots"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("hash", "DO NOT MATCH THE HASHES"),
        ("wheels", "No matching distribution"),
        ("python", "has no Python for runtime python: installing what llama-cpp-python needs"),
    ],
)
def test_what_cannot_be_made_leaves_the_old_worker(site, start, wrong, why):
    if wrong == "hash":
        site.pin("0" * 64, "requirements-server.txt")
    if wrong == "python":
        site.pin("0" * 64, "requirements.txt")
    daemon = start()
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    if wrong == "wheels":
        shutil.rmtree(site.wheels)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    task = load(daemon, runtime="python")
    assert task["state"] == "failed", task
    assert why in task["error"]["message"] + daemon.http.get(f"/tasks/{task['id']}/log").text
    model = daemon.model("tiny.Q8_0")
    assert (model["state"], model["worker"]["pid"]) == ("loaded", pid)
    assert daemon.chat("tiny.Q8_0").status_code == 200
    assert environment(daemon, "cpu")["state"] == "ready"


@pytest.mark.slow
def test_a_rebuild_takes_it_along(daemon):
    daemon.switch("tiny.Q8_0", "cpu")
    assert load(daemon, runtime="python")["state"] == "succeeded"
    task = daemon.post("/llm/api/venv/llm_tiny_cpu/rebuild", {"gpu_backend": "vulkan"}, 202)
    done = daemon.wait_task(task["task_id"])
    assert done["state"] == "succeeded", done
    worker = daemon.model("tiny.Q8_0")["worker"]
    assert worker["device"].startswith("Vulkan")
    assert daemon.get(f"{MODEL}/health")["worker"]["slots"] == 1
    assert environment(daemon, "cpu")["python"]["why_not"] is None


def test_paths_that_it_lacks_are_501_before_anything_is_loaded(daemon):
    daemon.switch("tiny.Q8_0", "cpu")
    daemon.call("PATCH", MODEL, {"runtime": "python"}, 200)
    for path in ("/tokenize", "/detokenize", "/apply-template", "/infill", "/v1/responses"):
        said = daemon.http.post(path, json={"model": "tiny.Q8_0", "input": "a", "content": "a"})
        assert said.status_code == 501, said.text
        assert said.json()["error"]["code"] == "not_supported"
        assert f"runtime python has no {path}" in said.json()["error"]["message"]
    said = daemon.http.post(
        "/v1/messages", json={"model": "tiny.Q8_0", "messages": [], "max_tokens": 1}
    )
    assert said.status_code == 501
    assert said.json()["type"] == "error"
    assert daemon.model("tiny.Q8_0")["state"] == "unloaded"
    said = daemon.http.post(
        "/api/chat",
        json={"model": "tiny.Q8_0", "messages": [{"role": "user", "content": "hello"}]},
    )
    assert said.status_code == 200, said.text


@pytest.mark.slow
def test_modes(daemon, tmp_path):
    """Embeddings it has, rerank it has not."""
    for name, pooling in (("embed", 1), ("rank", 4)):
        daemon.add(gguf_file.tiny_llama(tmp_path / f"{name}.gguf", layers=1, pooling=pooling))
        daemon.call("PATCH", f"/llm/api/models/{name}", {"runtime": "python"}, 200)
    daemon.switch("embed", "cpu")
    said = daemon.http.post("/v1/embeddings", json={"model": "embed", "input": "hello"})
    assert said.status_code == 200, said.text
    assert len(said.json()["data"][0]["embedding"]) == 8
    # Known from its file: before anything is built for it.
    body = {"gpu_backend": "cpu"}
    task = daemon.post("/llm/api/models/rank/switch-backend", body, 202)["task_id"]
    error = daemon.wait_task(task)["error"]
    assert error["type"] == "not_supported"
    assert "runtime python has no mode rerank" in error["message"]
    said = daemon.http.post("/v1/rerank", json={"model": "rank", "query": "a", "documents": ["b"]})
    assert said.status_code == 501


def test_it_can_be_made_before_it_is_needed(daemon, site):
    """By create-environment: the first load then needs no network."""
    daemon.switch("tiny.Q8_0", "cpu")
    daemon.call("PATCH", MODEL, {"runtime": "python"}, 200)
    answer = daemon.post(f"{MODEL}/create-environment", {"gpu_backend": "cpu"}, 202)
    assert daemon.wait_task(answer["task_id"])["state"] == "succeeded"
    assert environment(daemon, "cpu")["digests"]["python_server"] is not None
    again = daemon.post(f"{MODEL}/create-environment", {"gpu_backend": "cpu"}, 202)
    assert again["message"] == "The cpu environment is ready"
    shutil.rmtree(site.wheels)
    assert daemon.chat("tiny.Q8_0").status_code == 200


@pytest.mark.slow
def test_a_gpu_that_is_full_is_no_reason(start):
    """Neither the environment nor its Python could be tried there; the worker is."""
    daemon = start(FAKE_FREE_MIB="1", SHUNT_WORKER_ENV="FAKE_FREE_MIB=1")
    daemon.call("PATCH", MODEL, {"runtime": "python"}, 200)
    daemon.switch("tiny.Q8_0", "vulkan")
    assert "not verified yet" in environment(daemon, "vulkan")["python"]["why_not"]
    assert daemon.chat("tiny.Q8_0").status_code == 200
    assert daemon.get(f"{MODEL}/health")["worker"]["slots"] == 1
    assert environment(daemon, "vulkan")["state"] == "ready"
