# SPDX-License-Identifier: Apache-2.0
"""The user's document, response by response, with the CPU in CUDA's place."""


def test_the_example(daemon, fake_model):
    model = fake_model("mistral-7b-instruct-v0.2.Q8_0.gguf")
    assert daemon.add(model.path)["id"] == "mistral-7b-instruct-v0.2.Q8_0"
    url = "/llm/api/models/mistral-7b-instruct-v0.2.Q8_0"

    # Current state: on a first backend.
    daemon.switch("mistral-7b-instruct-v0.2.Q8_0", "cpu")
    assert daemon.model("mistral-7b-instruct-v0.2.Q8_0")["environment"] == (
        "llm_mistral_7b_instruct_v0_2_cpu"
    )

    # Step 1: switch backend; it creates the environment.
    answer = daemon.post(f"{url}/switch-backend", {"gpu_backend": "vulkan"}, 202)
    assert answer["success"] is True
    assert answer["instant_switch"] is False
    assert answer["message"] == "Creating vulkan environment (first time setup)..."
    assert answer["environment"] == "llm_mistral_7b_instruct_v0_2_vulkan"

    # Step 2: wait for the task.
    task = daemon.wait_task(answer["task_id"])
    assert (task["state"], task["percent"], task["kind"]) == ("succeeded", 100, "switch")
    assert daemon.model("mistral-7b-instruct-v0.2.Q8_0")["environment"] == answer["environment"]

    # Step 3: load.
    loaded = daemon.post(f"{url}/load", {"n_gpu_layers": -1}, 200)
    assert loaded["model"]["state"] == "loaded"
    assert loaded["model"]["worker"]["device"] == "Vulkan0"
    assert loaded["model"]["options"]["n_gpu_layers"] == -1

    # Step 4: back, at once.
    answer = daemon.post(f"{url}/switch-backend", {"gpu_backend": "cpu"}, 202)
    assert answer["success"] is True
    assert answer["instant_switch"] is True
    assert answer["message"] == "Switching to existing cpu environment (instant switch)..."
    assert daemon.wait_task(answer["task_id"])["state"] == "succeeded"
    assert daemon.model("mistral-7b-instruct-v0.2.Q8_0")["gpu_backend"] == "cpu"

    # Troubleshooting: unload takes no body, load again.
    assert daemon.post(f"{url}/unload", status=200)["success"] is True
    assert daemon.post(f"{url}/load", status=200)["model"]["worker"]["device"] == "none"


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
