# SPDX-License-Identifier: Apache-2.0
"""The real llama-bench, on the CPU and on Vulkan (llvmpipe), and the choice by it."""

import gguf_file

BENCH = "/llm/api/models/small/benchmark"


def test_both_backends_are_measured_on_their_own_device(both, tmp_path):
    both.add(gguf_file.tiny_llama(tmp_path / "small.gguf", layers=1))
    for backend in ("vulkan", "cpu"):
        both.switch("small", backend)
    task = both.post(BENCH, {}, 202)["task_id"]
    done = both.wait_task(task, 300)
    assert done["state"] == "succeeded", done
    log = both.http.get(f"/tasks/{task}/log").text
    assert log.count("generation run 2/2") == 2
    assert '"backends": "Vulkan"' in log
    assert '"devices": "Vulkan0"' in log
    assert '"devices": "none"' in log
    found = {b["gpu_backend"]: b for b in both.get(BENCH)["benchmarks"]}
    assert found.keys() == {"cpu", "vulkan"}
    assert found["vulkan"]["device"] == "Vulkan0"
    for b in found.values():
        assert min(b["prompt_tokens_per_second"], b["answer_tokens_per_second"]) > 1
        assert b["stale"] is None
    answer = both.switch("small", "auto")
    fastest = min(found, key=lambda name: found[name]["seconds"])
    assert answer["instant_switch"] is True
    assert answer["message"].startswith(f"{fastest}: ")
    assert both.model("small")["gpu_backend"] == fastest
    both.call("DELETE", "/llm/api/models/small", status=200)
