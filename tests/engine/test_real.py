# SPDX-License-Identifier: Apache-2.0
"""A real model, a real answer: CPU, Vulkan on llvmpipe, and the official OpenAI client."""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

import gguf_file
from daemon import wait_until

BUILD_SECONDS = 1800
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]


def test_a_real_answer_on_the_cpu(client):
    said = client.chat.completions.create(
        model=SMOLLM2, messages=QUESTION, temperature=0, max_tokens=20
    )
    assert "4" in said.choices[0].message.content
    assert said.model == SMOLLM2
    assert said.usage.completion_tokens > 0


def test_pulling_again_names_the_model_that_is_there(real):
    said = real.cli("pull", "smollm2")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(f"{SMOLLM2}: llama, Q4_1")


def test_a_stream_says_the_same(client):
    whole = client.chat.completions.create(
        model=SMOLLM2, messages=QUESTION, temperature=0, max_tokens=20
    )
    pieces = client.chat.completions.create(
        model=SMOLLM2, messages=QUESTION, temperature=0, max_tokens=20, stream=True
    )
    text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == whole.choices[0].message.content


def test_completions(client):
    said = client.completions.create(
        model=SMOLLM2, prompt="The capital of France is", temperature=0, max_tokens=5
    )
    assert "Paris" in said.choices[0].text


def test_embeddings_of_a_model_that_pools(client, on_cpu, tmp_path):
    added = on_cpu.add(gguf_file.tiny_llama(tmp_path / "embed.gguf", pooling=1))
    assert added["mode"] == "embedding"
    on_cpu.switch("embed", "cpu")
    vectors = client.embeddings.create(
        model="embed", input=["hello", "hello", "goodbye"], encoding_format="float"
    ).data
    assert vectors[0].embedding == pytest.approx(vectors[1].embedding, abs=1e-4)
    assert vectors[0].embedding != pytest.approx(vectors[2].embedding, abs=1e-3)
    on_cpu.call("DELETE", "/llm/api/models/embed", status=200)


def test_a_chat_model_has_no_embeddings(client):
    with pytest.raises(openai.BadRequestError, match="mode chat"):
        client.embeddings.create(model=SMOLLM2, input="hello")


def test_an_unknown_model_is_the_clients_not_found(client):
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.chat.completions.create(model="nobody", messages=QUESTION)


def test_a_cancelled_stream_stops_the_generation(client, on_cpu):
    stream = client.chat.completions.create(
        model=SMOLLM2,
        messages=[{"role": "user", "content": "Count to one thousand."}],
        max_tokens=2000,
        stream=True,
    )
    for _ in zip(range(3), stream, strict=False):
        pass
    assert on_cpu.model(SMOLLM2)["worker"]["requests"] == 1
    stream.close()
    wait_until(lambda: on_cpu.model(SMOLLM2)["worker"]["requests"] == 0, 3, "its end")


def test_the_documents_example_with_cpu_and_vulkan(both):
    url = "/llm/api/models/tiny"
    answer = both.switch("tiny", "vulkan")
    assert answer["instant_switch"] is True
    assert answer["message"] == "Switching to existing vulkan environment (instant switch)..."
    worker = both.post(f"{url}/load", {"n_gpu_layers": -1}, 200)["model"]["worker"]
    assert worker["device"].startswith("Vulkan")
    on_vulkan = both.chat("tiny", max_tokens=8, temperature=0).json()
    began = time.monotonic()
    answer = both.switch("tiny", "cpu")
    print(f"\nloaded model, vulkan to cpu: {time.monotonic() - began:.2f} s")
    assert answer["message"] == "Switching to existing cpu environment (instant switch)..."
    assert both.model("tiny")["worker"]["device"] == "none"
    on_cpu = both.chat("tiny", max_tokens=8, temperature=0).json()
    assert on_cpu["usage"]["completion_tokens"] == on_vulkan["usage"]["completion_tokens"]
    both.post(f"{url}/unload", status=200)


def ram_needed(daemon, backend: str) -> tuple[float, str]:
    """MiB of RAM that a switch found needed, and how it knew."""
    task = daemon.switch(SMOLLM2, backend, BUILD_SECONDS)["task_id"]
    why = daemon.get(f"/tasks/{task}")["task"]["result"]["why"]
    print(f"\n{why}")
    needs = re.search(r" needs ([\d.]+) ([MG])iB of RAM \((\w+)\)", why)
    return float(needs[1]) * (1024 if needs[2] == "G" else 1), needs[3]


def test_what_a_worker_needs_is_estimated_and_then_known(both):
    """llvmpipe's memory is the machine's: one pool."""
    both.switch(SMOLLM2, "cpu", reload=True)
    both.post(f"/llm/api/models/{SMOLLM2}/load", {"n_ctx": 2048}, 200)
    estimate, how = ram_needed(both, "vulkan")
    assert how == "estimated"
    cpu, how = ram_needed(both, "cpu")
    assert how == "measured"
    assert 45 < cpu < 250  # 45 MiB of cache, 92 MiB of weights in the file
    known, how = ram_needed(both, "vulkan")
    assert how == "measured"
    assert 0.75 < estimate / known < 1.25
    both.switch(SMOLLM2, "cpu")
    both.post(f"/llm/api/models/{SMOLLM2}/load", {"n_ctx": None}, 200)


def test_environments_say_where_they_were_verified(both):
    found = {e["name"]: e for e in both.get("/llm/api/environments")["environments"]}
    assert found["llm_tiny_cpu"]["state"] == "ready"
    vulkan = found["llm_tiny_vulkan"]
    assert vulkan["state"] == "ready"
    assert vulkan["verification"]["device"].startswith("Vulkan")
    assert (
        "llvmpipe" in vulkan["verification"]["device_name"].lower()
        or (vulkan["verification"]["device_name"])
    )


def test_a_second_model_on_a_known_backend_compiles_nothing(both, tmp_path):
    both.add(gguf_file.tiny_llama(tmp_path / "second.gguf"))
    began = time.monotonic()
    task = both.switch("second", "vulkan", 60)["task_id"]
    log = both.http.get(f"/tasks/{task}/log").text
    assert not re.search(r"^\[\d+/\d+\]", log, re.M), "ninja ran"
    print(f"\nsecond model on vulkan: {time.monotonic() - began:.2f} s")
    both.http.delete("/llm/api/models/second").raise_for_status()


def test_pieces_are_relocatable(both):
    store = both.settings["store_dir"]
    elves = [p for p in store.glob("*/*") if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"]
    assert len(elves) > 5
    for elf in elves:
        dynamic = subprocess.run(
            ["readelf", "-d", elf], capture_output=True, text=True, check=True
        ).stdout
        for entries in re.findall(r"(?:RUNPATH|RPATH).*\[(.*)\]", dynamic):
            # A module of CUDA finds its libraries in their own piece.
            own, *others = entries.split(":")
            assert own == "$ORIGIN", f"{elf}: {entries}"
            for other in others:
                beside = re.fullmatch(r"\$ORIGIN/\.\./[0-9a-f]{64}/nvidia/cu13/lib", other)
                assert beside and elf.name == "libggml-cuda.so", f"{elf}: {entries}"
        assert b".stage-" not in elf.read_bytes(), elf


def test_sixteen_clients_at_once(client):
    def ask(n: int) -> str:
        said = client.chat.completions.create(
            model=SMOLLM2, messages=QUESTION, temperature=0, max_tokens=20
        )
        return said.choices[0].message.content

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    assert all("4" in answer for answer in answers), answers
