# SPDX-License-Identifier: Apache-2.0
"""llama-server and llama_cpp.server: loaded, asked, moved, watched and stopped in the same way."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

import gguf_file
from crowd import Answer, Ask, Crowd, need, switch
from daemon import wait_until

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]
# the first time in an environment: pip
LOAD_SECONDS = 300


def load(daemon, model: str, **options) -> dict:
    task = daemon.post(f"/llm/api/models/{model}/load?wait=false", options, 202)["task_id"]
    done = daemon.wait_task(task, LOAD_SECONDS)
    assert done["state"] == "succeeded", done
    return daemon.model(model)


@pytest.fixture(params=["server", "python"])
def runtime(request, both):
    """Both models are loaded by it, on the CPU."""
    # One slot for tiny, which goes to llvmpipe: with four, its server crashes now and then.
    slots = {SMOLLM2: None, "tiny": 1 if request.param == "server" else None}
    for model, parallel in slots.items():
        found = load(both, model, runtime=request.param, parallel=parallel)
        assert found["runtime"] == request.param
    yield request.param
    for model in slots:
        both.call("PATCH", f"/llm/api/models/{model}", {"runtime": None, "parallel": None}, 200)
        both.post(f"/llm/api/models/{model}/unload", {}, 200)


def worker(daemon, model: str) -> dict:
    return daemon.get(f"/llm/api/models/{model}/health")["worker"]


def test_a_real_answer_whole_and_as_a_stream(runtime, client):
    asked = {"model": SMOLLM2, "messages": QUESTION, "temperature": 0, "max_tokens": 20}
    whole = client.chat.completions.create(**asked)
    assert "4" in whole.choices[0].message.content
    assert whole.model == SMOLLM2
    assert whole.usage.completion_tokens > 0
    pieces = client.chat.completions.create(**asked, stream=True)
    text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == whole.choices[0].message.content
    prompt = "The capital of France is"
    said = client.completions.create(model=SMOLLM2, prompt=prompt, temperature=0, max_tokens=5)
    assert "Paris" in said.choices[0].text


def test_more_clients_than_slots(runtime, client, on_cpu):
    assert worker(on_cpu, SMOLLM2)["slots"] == {"server": 4, "python": 1}[runtime]

    def ask(_) -> str:
        said = client.chat.completions.create(
            model=SMOLLM2, messages=QUESTION, temperature=0, max_tokens=20
        )
        return said.choices[0].message.content

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert all("4" in answer for answer in answers), answers


def clients(first: int):
    n = first
    while True:
        yield Ask(n % 2 == 0, n % 4 < 2, f"Question number {n}: why?", 6 + n % 20)
        n += 1


def judge(said: Answer) -> None:
    need(said.text, "an answer without text")
    need(said.finish in ("length", "stop"), f"finish_reason {said.finish!r}")


def test_nobody_is_lost_in_a_switch(runtime, both):
    with Crowd(both, "tiny", 6, judge=judge, asks=clients) as crowd:
        switches = []
        for backend in ("vulkan", "cpu", "vulkan", "cpu"):
            crowd.wait(total=len(crowd.answers) + 8)
            switches.append(switch(both, "tiny", backend))
            now = worker(both, "tiny")
            assert now["backend"] == backend
            assert now["device"].startswith({"vulkan": "Vulkan", "cpu": "none"}[backend])
        crowd.wait(total=len(crowd.answers) + 8)
    assert not crowd.failures, crowd.failures[:5]
    print(f"\n{runtime}: {len(crowd.answers)} answers, {len(switches)} switches")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_client_that_goes_away_stops_its_answer(runtime, on_cpu, stream):
    pid = worker(on_cpu, SMOLLM2)["pid"]
    body = {"model": SMOLLM2, "prompt": "Once upon a time", "max_tokens": 4000, "stream": stream}
    with pytest.raises(httpx.ReadTimeout), httpx.Client(timeout=1.5) as one:  # noqa: SIM117
        with one.stream(
            "POST", f"http://127.0.0.1:{on_cpu.port}/v1/completions", json=body
        ) as answer:
            for _ in zip(range(3), answer.iter_lines(), strict=False):
                pass
            raise httpx.ReadTimeout("enough")
    wait_until(lambda: worker(on_cpu, SMOLLM2)["requests"] == 0, 5, "its end")
    time.sleep(1.5)  # llama-server looks once a second
    before = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - before < 0.3, "it computes on, for nobody"


def test_an_answer_by_a_schema(runtime, client):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "n": {"type": "integer"}},
        "required": ["city", "n"],
    }
    said = client.chat.completions.create(
        model=SMOLLM2,
        messages=[{"role": "user", "content": "A city, and how many live there?"}],
        max_tokens=60,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}},
    )
    found = json.loads(said.choices[0].message.content)
    assert isinstance(found["city"], str)
    assert isinstance(found["n"], int)


@pytest.mark.parametrize("runtime", ["python"], indirect=True)
def test_a_wrong_request_is_the_clients_fault(runtime, client, on_cpu):
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.completions.create(model=SMOLLM2, prompt="secret", extra_body={"temperature": "hot"})
    with pytest.raises(openai.BadRequestError, match="one prompt at a time"):
        client.completions.create(model=SMOLLM2, prompt=["a", "b"])
    assert "secret" not in on_cpu.cli("logs", SMOLLM2).stdout


def test_both_make_the_same_vectors(client, on_cpu, tmp_path):
    on_cpu.add(gguf_file.tiny_llama(tmp_path / "embed.gguf", pooling=1))
    on_cpu.switch("embed", "cpu")
    found = {}
    for runtime in ("server", "python"):
        load(on_cpu, "embed", runtime=runtime, n_ctx=256)
        found[runtime] = client.embeddings.create(
            model="embed", input=["hello", "goodbye"], encoding_format="float"
        ).data
        # llama-server says 500
        with pytest.raises(openai.APIStatusError, match="batch size"):
            client.embeddings.create(model="embed", input="x" * 3000, encoding_format="float")
    for a, b in zip(*found.values(), strict=True):
        assert a.embedding == pytest.approx(b.embedding, abs=1e-4)
    on_cpu.call("DELETE", "/llm/api/models/embed", status=200)


def test_a_type_of_the_cache_that_the_binding_does_not_name(both):
    load(both, "tiny", runtime="python", cache_type_k="bf16", cache_type_v="bf16")
    assert both.chat("tiny", max_tokens=2).status_code == 200
    load(both, "tiny", runtime=None, cache_type_k=None, cache_type_v=None)
    both.post("/llm/api/models/tiny/unload", {}, 200)


def test_one_that_dies_is_started_again(runtime, client, on_cpu):
    pid = worker(on_cpu, SMOLLM2)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: on_cpu.model(SMOLLM2)["state"] == "failed", 10, "its end")
    said = client.chat.completions.create(model=SMOLLM2, messages=QUESTION, max_tokens=2)
    assert said.choices[0].message.content
    assert worker(on_cpu, SMOLLM2)["pid"] != pid


def test_unload_ends_its_process(runtime, on_cpu):
    pid = worker(on_cpu, SMOLLM2)["pid"]
    on_cpu.post(f"/llm/api/models/{SMOLLM2}/unload", {}, 200)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("runtime", ["python"], indirect=True)
def test_what_python_lacks_is_said(runtime, client, on_cpu):
    url = f"/llm/api/models/{SMOLLM2}"
    for path in ("/tokenize", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"):
        body = {"model": SMOLLM2, "content": "a", "input": "a", "messages": QUESTION}
        said = on_cpu.http.post(path, json=body | {"max_tokens": 1})
        assert said.status_code == 501, said.text
        assert f"runtime python has no {path}" in said.text
        assert "runtime=server" in said.text
    error = on_cpu.call("PATCH", url, {"parallel": 2}, 409)["error"]
    assert error["message"] == "parallel does nothing with runtime python"
    error = on_cpu.call("PATCH", url, {"mode": "rerank"}, 409)["error"]
    assert error["message"] == "mode rerank does nothing with runtime python"
    with pytest.raises(openai.BadRequestError, match="mode chat"):
        client.embeddings.create(model=SMOLLM2, input="hello")


def test_a_switch_of_the_runtime_is_one_like_others(client, on_cpu):
    load(on_cpu, SMOLLM2)
    question = [{"role": "user", "content": "Tell me a long story."}]
    stream = client.chat.completions.create(
        model=SMOLLM2, messages=question, max_tokens=60, stream=True
    )
    first = next(stream)
    done = load(on_cpu, SMOLLM2, runtime="python")
    assert done["runtime"] == "python"
    pieces = [first, *stream]
    assert pieces[-1].choices[0].finish_reason in ("length", "stop")
    said = client.chat.completions.create(model=SMOLLM2, messages=QUESTION, max_tokens=2)
    assert said.choices[0].message.content
    load(on_cpu, SMOLLM2, runtime=None)
