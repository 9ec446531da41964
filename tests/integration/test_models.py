# SPDX-License-Identifier: Apache-2.0
"""The catalogue: registering, options, forgetting, environments by the document's names."""

import pytest

import gguf_file

MODELS = "/llm/api/models"


def test_what_the_file_says_is_shown(daemon, fake_model):
    model = fake_model("Some-Model.Q8_0.gguf")
    added = daemon.add(model.path)
    assert added["id"] == "Some-Model.Q8_0"
    assert added["path"] == str(model.path)
    assert added["architecture"] == "llama"
    assert added["quantization"] == "Q8_0"
    assert added["context_length"] == 2048
    assert added["parameters"] > 0
    assert added["size_bytes"] == model.path.stat().st_size
    assert (added["state"], added["gpu_backend"], added["worker"]) == ("unloaded", None, None)
    assert daemon.get(MODELS)["models"][0]["id"] == "Some-Model.Q8_0"


@pytest.mark.parametrize(
    ("file", "model"),
    [
        ("plain.gguf", "plain"),
        ("with space (1).gguf", "with-space-1-"),
        ("Ünï-code.gguf", "n--code"),
        ("UPPER.GGUF", "UPPER"),
    ],
)
def test_ids_come_from_file_names(daemon, fake_model, file, model):
    assert daemon.add(fake_model(file).path)["id"] == model


def test_an_id_of_ones_own(daemon, fake_model):
    assert daemon.add(fake_model().path, id="qwen:7b@home")["id"] == "qwen:7b@home"
    assert daemon.get(f"{MODELS}/qwen%3A7b%40home")["model"]["id"] == "qwen:7b@home"


@pytest.mark.parametrize("model", ["", "-x", "a/b", "loaded", "x" * 201, "a b"])
def test_ids_that_are_none_are_refused(daemon, fake_model, model):
    answer = daemon.http.post(MODELS, json={"path": str(fake_model().path), "id": model})
    assert answer.status_code == 400, answer.text


def test_options_are_merged_kept_and_taken_back(daemon, fake_model):
    daemon.add(fake_model().path, n_ctx=1024)
    url = f"{MODELS}/tiny.Q8_0"
    answer = daemon.call("PATCH", url, {"temperature": 0.5}, 200)
    assert answer["model"]["options"] == {"n_ctx": 1024, "temperature": 0.5}
    answer = daemon.call("PATCH", url, {"n_ctx": None}, 200)
    assert answer["model"]["options"] == {"temperature": 0.5}
    daemon.stop()
    daemon.start()
    assert daemon.model("tiny.Q8_0")["options"] == {"temperature": 0.5}


def test_forgetting_leaves_the_users_file(daemon, fake_model):
    model = fake_model()
    daemon.add(model.path)
    daemon.call("DELETE", f"{MODELS}/tiny.Q8_0?delete_file=true", status=200)
    assert model.path.exists(), "Shunt did not pull it"
    assert daemon.get(f"{MODELS}/tiny.Q8_0", 404)["success"] is False


def test_forgetting_a_loaded_model_stops_its_worker(daemon, fake_model):
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu", reload=True)
    daemon.call("DELETE", f"{MODELS}/tiny.Q8_0", status=200)
    assert daemon.get(f"{MODELS}/loaded")["models"] == []


def test_two_quantisations_share_an_environment(daemon, fake_model):
    for name in ("m.Q8_0.gguf", "m.Q4_K_M.gguf"):
        daemon.add(fake_model(name).path)
    first = daemon.switch("m.Q8_0", "cpu")
    second = daemon.switch("m.Q4_K_M", "cpu")
    assert first["environment"] == second["environment"] == "llm_m_cpu"
    assert second["instant_switch"] is True
    found = daemon.get("/llm/api/environments/llm_m_cpu")["environment"]
    assert sorted(found["models"]) == ["m.Q4_K_M", "m.Q8_0"]


def test_an_environments_folder_shows_what_is_inside(daemon, fake_model):
    daemon.add(fake_model().path)
    name = daemon.switch("tiny.Q8_0", "vulkan")["environment"]
    folder = daemon.state / "envs" / name
    assert folder.joinpath("env.json").is_file()
    assert folder.joinpath("bin/llama-server").exists()
    assert folder.joinpath("lib/libggml-vulkan.so").exists()


def test_a_second_model_on_a_known_backend_compiles_nothing(fresh_daemon, fake_model):
    daemon = fresh_daemon
    daemon.add(fake_model("a.gguf").path)
    daemon.add(fake_model("b.gguf").path)
    task = daemon.switch("a", "vulkan")["task_id"]
    assert "[1/" in daemon.http.get(f"/tasks/{task}/log").text
    task = daemon.switch("b", "vulkan")["task_id"]
    assert "[1/" not in daemon.http.get(f"/tasks/{task}/log").text


def test_environment_status_has_an_entry_for_each_backend(daemon, fake_model):
    daemon.add(fake_model("other.gguf").path)
    daemon.switch("other", "cpu")
    status = daemon.get(f"{MODELS}/other/environment-status")["environments"]
    found = {e["backend"]: e["state"] for e in status}
    assert found == {"cpu": "ready", "cuda": "absent", "rocm": "absent", "vulkan": "absent"}


def test_an_environment_in_use_is_not_removed(daemon, fake_model):
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu")
    path = f"{MODELS}/tiny.Q8_0/delete-environment?gpu_backend=cpu"
    error = daemon.call("DELETE", path, status=409)["error"]
    assert "tiny.Q8_0" in error["message"]


def test_creating_an_environment_switches_nothing(daemon, fake_model):
    daemon.add(fake_model("other.gguf").path)
    path = f"{MODELS}/other/create-environment"
    answer = daemon.post(path, {"gpu_backend": "cpu"}, 202)
    assert answer["instant_switch"] is False
    assert daemon.wait_task(answer["task_id"])["state"] == "succeeded"
    assert daemon.model("other")["gpu_backend"] is None
    assert daemon.switch("other", "cpu")["instant_switch"] is True


def test_a_split_model_is_one_model(daemon, tmp_path):
    # Only what a reader of headers needs: two parts with the keys that split files have.
    for n in range(2):
        gguf_file.write(
            tmp_path / f"s-0000{n + 1}-of-00002.gguf",
            {
                "general.architecture": "llama",
                "llama.context_length": 512,
                "split.no": n,
                "split.count": 2,
                "split.tensors.count": 2,
            },
            [(f"t{n}", [32], 0, bytes(128))],
        )
    added = daemon.add(tmp_path / "s-00001-of-00002.gguf")
    assert added["id"] == "s"
    assert added["parameters"] == 64
    (tmp_path / "s-00002-of-00002.gguf").unlink()
    answer = daemon.http.post(MODELS, json={"path": added["path"], "id": "again"})
    assert answer.status_code >= 400
    assert "00002-of-00002" in answer.json()["error"]["message"]
