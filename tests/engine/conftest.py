# SPDX-License-Identifier: Apache-2.0
"""The real llama.cpp, built by Shunt itself into a store that outlives the run."""

import os
from pathlib import Path

import openai
import pytest

import gguf_file
from daemon import Daemon

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"
BUILD_SECONDS = 1800
# The words of SmolLM2's own, and functions, which that one knows nothing of.
KNOWS_TOOLS = """
{%- if tools %}<|im_start|>system
Call one of these functions:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.content %}{{ m.content }}{% endif %}
{%- for call in m.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.fixture(scope="session")
def real(shunt_binary, tmp_path_factory) -> Daemon:
    """With SmolLM2 and a tiny model of random weights. x86-64-v3 so that a kept store fits any
    machine of today; llvmpipe stands for a GPU."""
    cache = Path(os.environ.get("SHUNT_TEST_CACHE", Path.home() / ".cache/shunt"))
    folder = tmp_path_factory.mktemp("real")
    daemon = Daemon(
        shunt_binary,
        folder,
        {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_")) or "proxy" in k},
        store_dir=cache / "store",
        engine_cpu="x86-64-v3",
        build_priority="normal",
        worker_env="GGML_VK_VISIBLE_DEVICES=0",
    ).start()
    task = daemon.post("/llm/api/models", {"pull": "smollm2"}, 202)["task_id"]
    done = daemon.wait_task(task, 300)
    assert done["state"] == "succeeded", done
    daemon.add(gguf_file.tiny_llama(folder / "tiny.gguf"))
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="session")
def on_cpu(real) -> Daemon:
    real.switch(SMOLLM2, "cpu", BUILD_SECONDS)
    real.switch("tiny", "cpu", BUILD_SECONDS)
    return real


@pytest.fixture(scope="session")
def caller(on_cpu) -> str:
    """SmolLM2 under another name, with a template that knows functions."""
    path = on_cpu.model(SMOLLM2)["path"]
    on_cpu.add(path, id="caller", chat_template=KNOWS_TOOLS)
    on_cpu.switch("caller", "cpu", BUILD_SECONDS)
    return "caller"


@pytest.fixture(scope="session")
def both(on_cpu) -> Daemon:
    """The tiny model has environments for cpu and vulkan."""
    on_cpu.switch("tiny", "vulkan", BUILD_SECONDS)
    on_cpu.switch("tiny", "cpu")
    return on_cpu


@pytest.fixture
def client(on_cpu) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"http://127.0.0.1:{on_cpu.port}/v1", api_key="none", max_retries=0
    )
