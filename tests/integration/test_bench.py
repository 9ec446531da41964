# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: what is measured, kept, and used to choose a backend."""

import json
from pathlib import Path

import pytest

from daemon import processes_of, wait_until

MODEL = "tiny.Q8_0"
BENCH = f"/llm/api/models/{MODEL}/benchmark"
SWITCH = f"/llm/api/models/{MODEL}/switch-backend"


def measure(daemon, *backends: str) -> dict:
    """The finished task."""
    body = {"backends": list(backends)} if backends else {}
    return daemon.wait_task(daemon.post(BENCH, body, 202)["task_id"])


def measured(daemon) -> dict[str, dict]:
    return {b["gpu_backend"]: b for b in daemon.get(BENCH)["benchmarks"]}


def runs(model) -> list[list[str]]:
    """The words of each llama-bench that ran."""
    log = Path(f"{model.path}.bench.log")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def word_after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def log_of(daemon, task: dict) -> str:
    return daemon.http.get(f"/tasks/{task['id']}/log").text


def test_all_ready_backends_are_measured_and_kept(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    assert measured(daemon) == {}
    task = measure(daemon)
    assert task["state"] == "succeeded", task
    assert task["kind"] == "benchmark"
    found = measured(daemon)
    assert found.keys() == {"cpu", "vulkan"}
    cpu, vulkan = found["cpu"], found["vulkan"]
    assert (cpu["prompt_tokens_per_second"], cpu["answer_tokens_per_second"]) == (200, 20)
    assert (cpu["device"], cpu["driver"], cpu["module_digest"]) == ("none", None, None)
    assert (vulkan["device"], vulkan["stale"]) == ("Vulkan0", None)
    assert vulkan["seconds"] == pytest.approx(1024 / 1000 + 256 / 50)
    assert vulkan["base_digest"] == cpu["base_digest"]
    assert "Linux" in vulkan["driver"]
    assert daemon.stop() == 0
    daemon.start()
    assert measured(daemon) == found


def test_it_is_measured_with_the_models_own_options(daemon, model):
    options = {"n_gpu_layers": 7, "threads": 3, "flash_attn": "off", "cache_type_k": "q8_0"}
    daemon.call("PATCH", f"/llm/api/models/{MODEL}", options, 200)
    assert measure(daemon)["state"] == "succeeded"
    cpu, vulkan = runs(model)
    assert [word_after(cpu, f) for f in ("-dev", "-ngl", "-t", "-fa")] == ["none", "0", "3", "off"]
    assert [word_after(vulkan, f) for f in ("-dev", "-ngl", "-ctk", "-ctv")] == [
        "Vulkan0", "7", "q8_0", "f16",
    ]  # fmt: skip


def test_one_that_is_not_ready_is_named_before_a_task_is_made(daemon, model, fake_model):
    error = daemon.post(BENCH, {"backends": ["cpu", "cuda"]}, 409)["error"]
    assert "no cuda environment" in error["message"]
    assert "shunt env create" in error["hint"]
    assert "'quantum'" in daemon.post(BENCH, {"backends": ["quantum"]}, 400)["error"]["message"]
    daemon.add(fake_model("new.gguf").path)
    error = daemon.post("/llm/api/models/new/benchmark", {}, 409)["error"]
    assert "no environment that is ready" in error["message"]
    assert runs(model) == []


def test_one_that_cannot_be_measured_says_why(daemon, model, tmp_path):
    daemon.call("PATCH", f"/llm/api/models/{MODEL}", {"cache_type_k": "f32"}, 200)
    assert "cache_type_k=f32" in daemon.post(BENCH, {}, 501)["error"]["message"]
    daemon.call("PATCH", f"/llm/api/models/{MODEL}", {"cache_type_k": None}, 200)
    comma = tmp_path / "a,b.gguf"
    comma.write_bytes(model.path.read_bytes())
    daemon.add(comma, id="comma")
    assert "comma" in daemon.post("/llm/api/models/comma/benchmark", {}, 501)["error"]["message"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda daemon, model: model.path.touch(), "the file changed"),
        (
            lambda daemon, _: daemon.call(
                "PATCH", f"/llm/api/models/{MODEL}", {"n_gpu_layers": 1}, 200
            ),
            "the options changed",
        ),
        (
            lambda daemon, _: daemon.call(
                "DELETE",
                f"/llm/api/models/{MODEL}/delete-environment?gpu_backend=vulkan",
                status=200,
            ),
            "no vulkan environment",
        ),
    ],
)
def test_what_a_measurement_depended_on_makes_it_stale(daemon, model, change, what):
    measure(daemon, "vulkan")
    assert measured(daemon)["vulkan"]["stale"] is None
    change(daemon, model)
    assert what in measured(daemon)["vulkan"]["stale"]


def test_a_failure_keeps_the_other_and_says_what_it_was(daemon, model):
    model.behave(bench={"cpu": [200, 20], "fails": "vulkan"})
    task = measure(daemon)
    assert task["state"] == "failed"
    assert "measuring 'tiny.Q8_0' on vulkan" in task["error"]["message"]
    assert "failed to create context" in task["error"]["message"]
    assert measured(daemon).keys() == {"cpu"}
    model.behave(bench={"oom": "vulkan"})
    assert measure(daemon, "vk")["error"]["type"] == "no_space"


def test_a_cancelled_one_leaves_no_process(daemon, model):
    model.behave(bench={"hangs": "cpu"})
    task = daemon.post(BENCH, {}, 202)["task_id"]
    wait_until(lambda: runs(model), 60, what="llama-bench")
    daemon.post(f"/tasks/{task}/cancel", status=202)
    assert daemon.wait_task(task)["state"] == "cancelled"
    assert not [words for words in processes_of(daemon.folder.parent) if "llama-bench" in words]
    assert len(runs(model)) == 1
    assert measured(daemon) == {}


def test_a_loaded_model_is_named_and_stays_loaded(daemon, model):
    daemon.switch(MODEL, "cpu", reload=True)
    pid = daemon.model(MODEL)["worker"]["pid"]
    task = measure(daemon, "vulkan")
    assert task["state"] == "succeeded", task
    assert f"Loaded meanwhile: {MODEL}." in log_of(daemon, task)
    assert daemon.model(MODEL)["worker"]["pid"] == pid


def test_beside_a_loaded_model_it_must_fit(make_daemon, fake_model):
    daemon = make_daemon(memory_limit="1MB").start()
    model = fake_model()
    daemon.add(model.path)
    daemon.switch(MODEL, "cpu", reload=True)
    task = measure(daemon, "cpu")
    assert task["error"]["type"] == "no_space"
    assert f"shunt unload {MODEL}" in task["error"]["hint"]
    assert runs(model) == []
    daemon.post(f"/llm/api/models/{MODEL}/unload", {}, 200)
    assert measure(daemon, "cpu")["state"] == "succeeded"


def test_the_command(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    said = daemon.cli("bench", "tiny")
    assert said.returncode == 0, said.stderr
    head, cpu, vulkan = said.stdout.splitlines()
    assert head.split()[:2] == ["BACKEND", "DEVICE"]
    assert cpu.split()[0] == "cpu"
    assert vulkan.split()[:4] == ["vulkan", "Vulkan0", "1000.0", "50.0"]
    daemon.call("PATCH", f"/llm/api/models/{MODEL}", {"threads": 1}, 200)
    shown = daemon.cli_json("bench", MODEL, "cpu")["benchmarks"]
    assert [b["stale"] for b in shown] == [None, "the options changed"]
    assert "stale: the options changed" in daemon.cli("bench", MODEL, "cpu").stdout
    refused = daemon.cli("bench", MODEL, "cuda")
    assert refused.returncode == 4
    assert "shunt env create" in refused.stderr


def test_a_forgotten_model_leaves_nothing(daemon, model):
    measure(daemon, "cpu")
    daemon.call("DELETE", f"/llm/api/models/{MODEL}", status=200)
    daemon.add(model.path)
    assert measured(daemon) == {}


# --- auto --------------------------------------------------------------------------------------


def switch_auto(daemon, **fields) -> tuple[dict, dict]:
    """The answer, and the finished task."""
    answer = daemon.post(SWITCH, {"gpu_backend": "auto", **fields}, 202)
    return answer, daemon.wait_task(answer["task_id"])


def test_auto_measures_what_is_missing_and_takes_the_fastest(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    measure(daemon, "cpu")
    answer, task = switch_auto(daemon)
    assert (answer["instant_switch"], answer["environment"]) == (False, None)
    assert task["state"] == "succeeded", task
    assert task["message"] == "vulkan: 6.1 s for 1024 + 256 tokens, cpu 18 s"
    assert daemon.model(MODEL)["gpu_backend"] == "vulkan"
    assert [word_after(words, "-dev") for words in runs(model)] == ["none", "Vulkan0"]


def test_it_weighs_reading_and_writing(daemon, model):
    # faster at reading only: 1.0 + 12.8 s; at writing: 5.1 + 2.6 s
    model.behave(bench={"vulkan": [1000, 20], "cpu": [200, 100]})
    daemon.switch(MODEL, "vulkan")
    _, task = switch_auto(daemon)
    assert task["message"] == "cpu: 7.7 s for 1024 + 256 tokens, vulkan 14 s"
    assert daemon.model(MODEL)["gpu_backend"] == "cpu"


def test_with_fresh_measurements_it_is_instant(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    measure(daemon)
    answer, _ = switch_auto(daemon)
    assert answer["instant_switch"] is True
    assert answer["message"].startswith("vulkan: 6.1 s for 1024 + 256 tokens, cpu 18 s. ")
    assert daemon.model(MODEL)["gpu_backend"] == "vulkan"
    assert len(runs(model)) == 2


def test_it_measures_again_what_is_stale(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    measure(daemon)
    daemon.switch(MODEL, "cpu")
    daemon.call("PATCH", f"/llm/api/models/{MODEL}", {"n_gpu_layers": 1}, 200)  # not for the CPU
    model.behave(bench={"vulkan": [10, 1]})
    _, task = switch_auto(daemon)
    assert task["message"].startswith("cpu: 18 s")
    assert daemon.model(MODEL)["gpu_backend"] == "cpu"
    assert len(runs(model)) == 3


def test_a_loaded_model_moves_while_it_serves(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    daemon.switch(MODEL, "cpu", reload=True)
    _, task = switch_auto(daemon)
    assert task["state"] == "succeeded", task
    assert task["result"]["way"] == "beside"
    assert daemon.model(MODEL)["worker"]["backend"] == "vulkan"


def test_one_ready_backend_is_taken_unmeasured(daemon, model):
    daemon.call(
        "DELETE", f"/llm/api/models/{MODEL}/delete-environment?gpu_backend=vulkan", status=200
    )
    answer, _ = switch_auto(daemon)
    assert answer["message"].startswith("cpu is the only backend that is ready. ")
    assert runs(model) == []


def test_without_any_ready_it_says_how_to_make_one(daemon, model, fake_model):
    daemon.add(fake_model("new.gguf").path)
    path = "/llm/api/models/new/switch-backend"
    error = daemon.post(path, {"gpu_backend": "auto"}, 409)["error"]
    assert "no environment that is ready" in error["message"]
    assert "shunt env create new cpu" in error["hint"]
    # only a switch chooses
    for path in ("/llm/api/models/new/create-environment", "/llm/api/venv/llm_tiny_cpu/rebuild"):
        assert "'auto'" in daemon.post(path, {"gpu_backend": "auto"}, 400)["error"]["message"]


def test_a_backend_that_fails_is_left_out_but_not_all(daemon, model):
    model.behave(bench={"cpu": [200, 20], "fails": "vulkan"})
    _, task = switch_auto(daemon)
    assert task["message"] == "cpu: 18 s for 1024 + 256 tokens, vulkan not measured"
    assert "vulkan is left out: measuring 'tiny.Q8_0' on vulkan" in log_of(daemon, task)
    daemon.call("PATCH", f"/llm/api/models/{MODEL}", {"threads": 1}, 200)
    broken = Path(f"{model.path}.fake.json")
    broken.write_text(json.dumps({"bench": {"cpu": [0, 0], "vulkan": [0, 0]}}))
    _, task = switch_auto(daemon)
    assert task["state"] == "failed"
    assert "no backend could be measured" in task["error"]["message"]
    assert daemon.model(MODEL)["gpu_backend"] == "cpu"


def test_no_room_beside_what_is_loaded_moves_nothing(make_daemon, fake_model):
    daemon = make_daemon(memory_limit="1MB").start()
    model = fake_model()
    daemon.add(model.path)
    daemon.switch(MODEL, "cpu", reload=True)
    _, task = switch_auto(daemon)
    assert task["error"]["type"] == "no_space"
    assert f"shunt unload {MODEL}" in task["error"]["hint"]
    assert daemon.model(MODEL)["worker"]["backend"] == "cpu"


def test_while_it_measures_the_model_is_used_and_others_join_or_wait(daemon, model):
    model.behave(bench={"hangs": "vulkan"})
    first = daemon.post(SWITCH, {"gpu_backend": "auto"}, 202)["task_id"]
    wait_until(lambda: len(runs(model)) == 2, 60, what="llama-bench")
    assert daemon.chat(MODEL).status_code == 200
    assert daemon.post(SWITCH, {"gpu_backend": "Auto"}, 202)["task_id"] == first
    assert first in daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 409)["error"]["message"]
    daemon.post(f"/tasks/{first}/cancel", status=202)
    assert daemon.wait_task(first)["state"] == "cancelled"
    daemon.switch(MODEL, "vulkan")


def test_the_command_says_why(daemon, model):
    model.behave(bench={"cpu": [200, 20], "vulkan": [1000, 50]})
    for _ in range(2):
        said = daemon.cli("switch", MODEL, "auto")
        assert said.returncode == 0, said.stderr
        assert "vulkan: 6.1 s for 1024 + 256 tokens, cpu 18 s" in said.stderr
        assert f"{MODEL} is on vulkan" in said.stdout
