# SPDX-License-Identifier: Apache-2.0
"""The user's document: docs/migration.md, request by request, and its literal way."""

import json
import re

import pytest

from daemon import FAKES, ROOT

ID = "mistral-7b-instruct-v0.2.Q8_0"
PAGE = ROOT / "docs/migration.md"


def calls() -> list[tuple[str, str, dict | None, dict]]:
    """Method, path, body and answer of each example of the page."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["http", "json"] * (len(blocks) // 2)
    found = []
    for (_, request), (_, answer) in zip(blocks[::2], blocks[1::2], strict=True):
        first, _, body = request.partition("\n")
        method, path = first.split(" ")
        found.append((method, path, json.loads(body) if body else None, json.loads(answer)))
    return found


def compare(where: str, said, shown) -> None:
    """All that the page shows is there, and as it shows it."""
    if isinstance(shown, dict):
        assert isinstance(said, dict), where
        for name, value in shown.items():
            assert name in said, f"{where} has no {name}"
            compare(f"{where}.{name}", said[name], value)
    elif isinstance(shown, str) and shown.endswith("…"):
        assert str(said).startswith(shown[:-1]), f"{where}: {said}"
    else:
        assert said == shown, where


def test_each_call_of_the_page(make_daemon, fake_model, nvml):
    daemon = make_daemon(fresh=True)
    daemon.env["PATH"] += f":{FAKES}/toolkits/cuda-12.4/bin"
    daemon.env["LD_LIBRARY_PATH"] = str(nvml.parent)
    daemon.start()
    assert daemon.add(fake_model(f"{ID}.gguf").path)["id"] == ID
    daemon.switch(ID, "cuda", reload=True)
    worker = daemon.model(ID)["worker"]
    assert (worker["device"], worker["environment"]) == (
        "CUDA0",
        "llm_mistral_7b_instruct_v0_2_cuda",
    )
    task = ""
    seen = calls()
    assert len(seen) > 10
    for method, path, body, shown in seen:
        path = path.replace("<model_id>", ID).replace("<task_id>", task)
        path = path.replace("<venv_name>", "llm_mistral_7b_instruct_v0_2_vulkan")
        answer = daemon.http.request(method, path, json=body)
        compare(f"{method} {path}: {answer.text}", answer.json(), shown)
        assert answer.is_success == shown["success"]
        task = answer.json().get("task_id", task)
        if answer.status_code == 202:
            assert daemon.wait_task(task)["state"] == "succeeded"
            assert daemon.model(ID)["state"] == "loaded"
            assert daemon.chat(ID).status_code == 200


@pytest.mark.parametrize("backend", ["cuda", "vulkan", "rocm", "cpu"])
def test_environments_have_the_documents_names(daemon, fake_model, backend):
    daemon.add(fake_model(f"{ID}.gguf").path)
    status = daemon.get(f"/llm/api/models/{ID}/environment-status")["environments"]
    names = {entry["gpu_backend"]: entry["name"] for entry in status}
    assert names[backend] == f"llm_mistral_7b_instruct_v0_2_{backend}"


def test_load_after_an_automatic_reload_changes_nothing(daemon, fake_model):
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    worker = daemon.model("tiny.Q8_0")["worker"]
    loaded = daemon.post("/llm/api/models/tiny.Q8_0/load", {}, 200)
    assert loaded["model"]["worker"]["pid"] == worker["pid"]


def test_reload_false_is_the_documents_literal_way(daemon, fake_model):
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "vulkan")
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    assert daemon.model("tiny.Q8_0")["state"] == "loaded"
    daemon.switch("tiny.Q8_0", "vulkan", reload=False)
    model = daemon.model("tiny.Q8_0")
    assert (model["state"], model["gpu_backend"]) == ("unloaded", "vulkan")
