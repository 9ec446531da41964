# SPDX-License-Identifier: Apache-2.0
"""What a load was expected to take, against what the real llama.cpp says that it took."""

import pytest

import gguf_file
import gguf_shapes

SMALL, LARGE = 2048, 8192  # n_ctx


def estimate(daemon, model: str, **body) -> dict:
    return daemon.post(f"/llm/api/models/{model}/estimate", body, 200)["estimate"]


def buffers(estimate: dict) -> int:
    """Of all memories, without what the process and the driver have beside."""
    return sum(m["bytes"] - m["other_bytes"] for m in estimate["memory"])


@pytest.mark.parametrize("shape", gguf_shapes.SHAPES, ids=lambda shape: shape.__name__)
def test_the_estimate_of_a_shape_is_near(on_cpu, tmp_path, shape):
    daemon, name = on_cpu, f"shape-{shape.__name__}"
    daemon.add(shape(large=False).write(tmp_path / "m.gguf"), id=name)
    daemon.switch(name, "cpu")
    pure = {n: estimate(daemon, name, n_ctx=n) for n in (SMALL, LARGE)}
    took = {}
    for n in (SMALL, LARGE):
        again = estimate(daemon, name, n_ctx=n)
        assert again["by"] == ("estimated" if n == SMALL else "calibrated")
        daemon.post(f"/llm/api/models/{name}/load", {"n_ctx": n}, 200)
        daemon.post(f"/llm/api/models/{name}/unload", status=200)
        took[n] = estimate(daemon, name, n_ctx=n)
        assert took[n]["by"] == "measured"
        assert buffers(pure[n]) == pytest.approx(buffers(took[n]), rel=0.1)
        for part in ("weights_bytes", "cache_bytes"):
            assert pure[n]["memory"][-1][part] == pytest.approx(
                took[n]["memory"][-1][part], rel=0.02
            )
    assert buffers(again) == pytest.approx(buffers(took[LARGE]), rel=0.01)
    daemon.call("DELETE", f"/llm/api/models/{name}", status=200)


def test_layers_are_where_the_worker_says(both, tmp_path):
    both.add(gguf_file.tiny_llama(tmp_path / "layers.gguf", layers=4), n_gpu_layers=2)
    both.switch("layers", "vulkan")
    said = estimate(both, "layers")
    assert (said["gpu_layers"], said["layers"], said["shared"]) == (2, 5, True)
    worker = both.post("/llm/api/models/layers/load", {}, 200)["model"]["worker"]
    assert (worker["gpu_layers"], worker["layers"]) == (2, 5)
    # There is room for all: auto is all.
    worker = both.post("/llm/api/models/layers/load", {"n_gpu_layers": "auto"}, 200)["model"]
    assert (worker["worker"]["gpu_layers"], worker["worker"]["layers"]) == (5, 5)
    both.post("/llm/api/models/layers/unload", status=200)
