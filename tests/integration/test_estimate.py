# SPDX-License-Identifier: Apache-2.0
"""What a load would take, and as many layers as fit: with fakes whose memory is little."""

import json
from pathlib import Path

import pytest

import gguf_file
from daemon import wait_until

ID = "tiny.Q8_0"
MODEL = f"/llm/api/models/{ID}"
MIB = 1 << 20
LAYERS = 17  # of `big`, the output counted


def estimate(daemon, model: str = ID, **body) -> dict:
    return daemon.post(f"/llm/api/models/{model}/estimate", body, 200)["estimate"]


def place(daemon, n: int = 0, model: str = ID, **body) -> dict:
    return estimate(daemon, model, **body)["memory"][n]


def load(daemon, model: str = ID, **options) -> None:
    daemon.post(f"/llm/api/models/{model}/load", options, 200)
    daemon.post(f"/llm/api/models/{model}/unload", status=200)


# --- asking ---------------------------------------------------------------------------------------


def test_it_is_said_without_a_load_and_nothing_is_kept(daemon, model):
    before = daemon.model(ID)
    small, large = (estimate(daemon, gpu_backend="vulkan", n_ctx=n) for n in (2048, 16384))
    assert [m["place"] for m in small["memory"]] == ["Vulkan0", "RAM"]
    for said in (small, large):
        assert said["by"] == "estimated"
        assert said["fits"] is True
        assert (said["gpu_layers"], said["layers"]) == (2, 2)
        assert (said["environment_ready"], said["shared"]) == (True, False)
        for m in said["memory"]:
            parts = ("weights_bytes", "cache_bytes", "compute_bytes", "other_bytes")
            assert m["bytes"] == sum(m[part] for part in parts)
    caches = [said["memory"][0]["cache_bytes"] for said in (small, large)]
    assert caches == [n * 2 * gguf_file.WIDTH * 2 for n in (2048, 16384)]
    assert small["memory"][0]["free_bytes"] == 8000 * MIB
    assert daemon.model(ID) == before
    assert before["state"] == "unloaded"


def test_bad_questions_are_refused(daemon, model):
    for body, word in [
        ({"gpu_backend": "abacus"}, "abacus"),
        ({"n_ctx": 1}, "n_ctx"),
        ({"n_gpu_layers": "many"}, "from -1 to 1000 or auto"),
        ({"colour": "red"}, "colour"),
    ]:
        assert word in daemon.post(f"{MODEL}/estimate", body, 400)["error"]["message"]
    daemon.post("/llm/api/models/nobody/estimate", {}, 404)


def test_a_model_without_a_backend_needs_one_named(daemon, fake_model):
    daemon.add(fake_model("new.gguf").path)
    assert "no backend" in daemon.post("/llm/api/models/new/estimate", {}, 409)["error"]["message"]
    assert estimate(daemon, "new", gpu_backend="cpu")["memory"][0]["place"] == "RAM"


def test_the_command_prints_a_table(daemon, model):
    done = daemon.cli("load", ID, "n_ctx=4096", "--estimate", "--backend=vulkan")
    assert done.returncode == 0, done.stderr
    head, device, ram, layers, verdict = done.stdout.splitlines()
    assert head.split() == ["MEMORY", "WEIGHTS", "CACHE", "COMPUTE", "OTHER", "SUM", "FREE"]
    assert device.startswith("Vulkan0 ")
    assert ram.startswith("RAM ")
    assert layers == "2 of 2 layers on Vulkan0"
    assert verdict.startswith("fits (estimated): Vulkan0 needs ")
    said = daemon.cli_json("load", ID, "n_ctx=4096", "--estimate", "--backend=vulkan")
    assert said["estimate"]["memory"][0]["cache_bytes"] == 4096 * 2 * gguf_file.WIDTH * 2
    assert daemon.model(ID)["options"] == {}
    refused = daemon.cli("load", ID, "--backend=vulkan")
    assert refused.returncode == 2
    assert f"shunt switch {ID} vulkan" in refused.stderr


def test_options_given_to_a_load_are_kept(daemon, model):
    assert daemon.cli("load", ID, "n_ctx=4096").returncode == 0
    assert daemon.model(ID)["options"] == {"n_ctx": 4096}
    assert daemon.model(ID)["state"] == "loaded"


def test_a_backend_without_an_environment_is_asked_of_the_driver(machine, fake_model):
    daemon = machine("gpus 1\n")
    daemon.add(fake_model().path)
    said = estimate(daemon, gpu_backend="cuda")
    assert (said["environment_ready"], said["device"], said["fits"]) == (False, "CUDA0", True)
    assert said["memory"][0]["other_bytes"] == 590 * MIB
    gpu = next(g for g in daemon.get("/llm/api/hardware/detect")["gpus"] if g["uuid"])
    assert said["memory"][0]["free_bytes"] == gpu["memory_free_bytes"]
    out = daemon.cli("load", ID, "--estimate", "--backend=cuda").stdout
    assert "its environment for cuda is not made yet" in out
    second = estimate(daemon, gpu_backend="cuda", devices=["CUDA1"])
    assert second["memory"][0]["free_bytes"] is None
    assert second["fits"] is None


# --- what loads teach -----------------------------------------------------------------------------


def test_a_load_calibrates_what_is_said_of_other_options(daemon, model):
    model.behave(compute_mib=96)
    daemon.switch(ID, "vulkan")
    before = place(daemon, n_ctx=8192)
    load(daemon, n_ctx=2048)
    same, other = (estimate(daemon, n_ctx=n) for n in (2048, 8192))
    assert (same["by"], other["by"]) == ("measured", "calibrated")
    assert same["memory"][0]["compute_bytes"] == 96 * MIB
    # The mask of so many cells, for 512 tokens, is known; the rest is as large as with the others.
    mask = (8192 - 2048) * 512 * 2
    assert abs(other["memory"][0]["compute_bytes"] - 96 * MIB - mask) < 0.2 * MIB
    assert other["memory"][0]["weights_bytes"] == before["weights_bytes"]
    assert other["memory"][0]["cache_bytes"] == before["cache_bytes"]
    # Another backend is another matter.
    assert estimate(daemon, gpu_backend="cpu", n_ctx=8192)["by"] == "estimated"


@pytest.mark.server
def test_what_the_driver_took_is_expected_of_the_next_model(machine, tmp_path, fake_model):
    daemon = machine("gpus 1\n")
    model, other = fake_model(), fake_model("other.gguf")
    model.behave(load_seconds=2, memory_mib=300)
    for path in (model.path, other.path):
        daemon.add(path)
        daemon.switch(path.stem, "vulkan")
    assert place(daemon)["other_bytes"] == 64 * MIB
    task = daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]
    log = Path(f"{model.path}.fake.log")
    pid = started(log)
    (tmp_path / "nvml.fake").write_text(f"gpus 1\nprocess 0 {pid} {600 * MIB}\n")
    assert daemon.wait_task(task)["state"] == "succeeded"
    daemon.post(f"{MODEL}/unload", status=200)
    buffers = int(92.1 * MIB) + int(11.25 * MIB)
    assert place(daemon)["other_bytes"] == 600 * MIB - buffers
    assert place(daemon, model="other")["other_bytes"] == 600 * MIB - buffers
    # So does what its process had, more than the 192 MiB that are counted without a load.
    assert place(daemon, 1, model="other")["other_bytes"] == place(daemon, 1)["other_bytes"]
    assert place(daemon, 1)["other_bytes"] > 300 * MIB
    # Nobody counted this one: what was known stays known.
    (tmp_path / "nvml.fake").write_text("gpus 1\n")
    load(daemon, "other")
    assert place(daemon, model="other")["other_bytes"] == 600 * MIB - buffers


def started(log: Path) -> int:
    """The process that a load began; it loads for seconds."""
    wait_until(log.exists, what="the start")
    wait_until(lambda: b'"start"' in log.read_bytes(), what="the start")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["pid"] for line in lines if line["event"] == "start"][-1]


# --- as many layers as fit ------------------------------------------------------------------------


@pytest.fixture
def big(make_daemon, fake_model, tmp_path):
    """16 layers of 64 MiB and their output, on the CPU; Vulkan is ready."""
    path = gguf_file.hollow_llama(tmp_path / "big.gguf", LAYERS - 1, 64)
    Path(f"{path}.fake.json").write_text(json.dumps({"layers": LAYERS}))
    daemon = with_free(make_daemon(), 8000)
    daemon.add(path, n_gpu_layers="auto")
    for backend in ("vulkan", "cpu"):
        daemon.switch("big", backend)
    return daemon


def with_free(daemon, mib: int):
    """From now on the driver says so."""
    daemon.stop()
    daemon.settings["worker_env"] = f"FAKE_FREE_MIB={mib}"
    return daemon.start()


def asked_layers(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "big.gguf.fake.log").read_text().splitlines()]
    starts = [line["args"] for line in lines if line["event"] == "start"]
    return [args[args.index("--n-gpu-layers") + 1] for args in starts]


def load_task(daemon, **options) -> dict:
    task = daemon.post("/llm/api/models/big/load", options, 200)["task_id"]
    return daemon.get(f"/tasks/{task}")["task"]


@pytest.mark.server
def test_as_many_layers_as_fit_are_on_the_device(big, tmp_path):
    big.switch("big", "vulkan")
    with_free(big, 900)
    said = estimate(big, "big")
    # 64 MiB of the driver, 64 a layer, a margin of 256: 8 layers, and the output
    assert (said["gpu_layers"], said["layers"], said["fits"]) == (9, LAYERS, True)
    assert "9 of 17 layers fit on Vulkan0" in said["why"]
    assert "9 of 17 layers fit on Vulkan0" in load_task(big)["message"]
    worker = big.model("big")["worker"]
    assert (worker["gpu_layers"], worker["layers"]) == (9, LAYERS)
    assert "9 of 17 layers on Vulkan0" in big.cli("status").stdout
    # It is found out at each load.
    with_free(big, 8000)
    load_task(big)
    assert big.model("big")["worker"]["gpu_layers"] == LAYERS
    assert big.model("big")["options"] == {"n_gpu_layers": "auto"}
    with_free(big, 100)
    assert "none of 17 layers fits on Vulkan0" in load_task(big)["message"]
    assert asked_layers(tmp_path) == ["9", "all", "0"]


@pytest.mark.server
def test_what_is_free_unknown_all_layers_are_tried(big, tmp_path):
    big.switch("big", "vulkan")
    with_free(big, 8192)  # as much as there is: no driver that counts
    load_task(big)
    assert asked_layers(tmp_path) == ["all"]


@pytest.mark.server
def test_a_switch_gets_the_layers_that_fit_and_does_not_stop_the_cpu_for_them(big):
    with_free(big, 900)
    load_task(big)
    answer = big.switch("big", "vulkan")
    result = big.get(f"/tasks/{answer['task_id']}")["task"]["result"]
    assert result["way"] == "beside"
    assert "9 of 17 layers fit on Vulkan0" in result["why"]
    assert big.model("big")["worker"]["gpu_layers"] == 9


@pytest.mark.server
def test_an_old_worker_on_the_device_goes_first_where_not_all_layers_fit(big, tmp_path):
    """Few layers beside it would be slow for as long as the model is loaded."""
    with_free(big, 900)
    big.switch("big", "vulkan")
    load_task(big)
    task = load_task(big, n_ctx=4096)
    assert task["result"]["way"] == "in turn"
    assert asked_layers(tmp_path) == ["9", "9"]
