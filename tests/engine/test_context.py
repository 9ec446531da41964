# SPDX-License-Identifier: Apache-2.0
"""Conversations move between real workers: what the next token's log-probabilities say of them.

One model of random weights for each kind of memory. Greedy tokens may differ between batches of
different shape; log-probabilities tell what was restored from what was not."""

import json

import pytest

import gguf_file

PROMPT = [1] + [3 + i * 7 % 250 for i in range(1500)]
NEXT = [*PROMPT, 9]
CLOSE = 0.05

MODELS = {
    "full": lambda path: gguf_file.tiny_llama(path, scale=0.05),
    "sliding": gguf_file.tiny_sliding,
    "recurrent": gguf_file.tiny_recurrent,
    "hybrid": gguf_file.tiny_hybrid,
}


def say(daemon, model: str, prompt: list[int], **fields) -> dict:
    body = {"model": model, "prompt": prompt, "temperature": 0, "max_tokens": 1, **fields}
    said = daemon.http.post("/v1/completions", json=body, timeout=300)
    assert said.status_code == 200, said.text
    return said.json()


def ask(daemon, model: str, prompt: list[int], **fields) -> tuple[int, dict[str, float]]:
    """How many tokens its slot had, and the log-probabilities of the next one."""
    # Several tokens: a first one that is half a character is told with the next.
    said = say(daemon, model, prompt, logprobs=200, max_tokens=8, ignore_eos=True, **fields)
    first = said["choices"][0]["logprobs"]["content"][0]
    found = {str(t["id"]): t["logprob"] for t in first["top_logprobs"]}
    return said["timings"]["cache_n"], found


def distance(a: dict[str, float], b: dict[str, float]) -> float:
    common = a.keys() & b.keys()
    assert len(common) > 100
    return max(abs(a[token] - b[token]) for token in common)


def replace(daemon, model: str, **fields) -> dict:
    """Another worker; what came along."""
    path = f"/llm/api/models/{model}"
    if "gpu_backend" in fields:
        task = daemon.post(f"{path}/switch-backend", fields, 202)["task_id"]
    else:
        task = daemon.post(f"{path}/load", fields, 200)["task_id"]
    ended = daemon.wait_task(task, 300)
    assert ended["state"] == "succeeded", ended
    return ended["result"]["context"]


@pytest.fixture
def loaded(on_cpu, tmp_path):
    """Makes models of a kind, loaded on the CPU."""
    made = []

    def make(kind: str, name: str | None = None) -> str:
        name = name or kind
        on_cpu.add(MODELS[kind](tmp_path / f"{name}.gguf"))
        made.append(name)
        on_cpu.switch(name, "cpu", 300, reload=True)
        return name

    yield make
    for name in made:
        on_cpu.call("DELETE", f"/llm/api/models/{name}", status=200)


def goes_on(daemon, model: str, prompt: list[int]) -> None:
    """It had the whole prompt, and computes with it what it computes from nothing."""
    longer = [*prompt, 9]
    held, restored = ask(daemon, model, longer)
    assert held == len(prompt)
    _, computed = ask(daemon, model, longer, cache_prompt=False)
    assert distance(restored, computed) <= CLOSE
    _, other = ask(daemon, model, longer[::-1], cache_prompt=False)
    assert distance(other, computed) > 4 * CLOSE, "the prompt makes no difference"


@pytest.mark.parametrize("kind", ["full", "sliding", "recurrent", "hybrid"])
def test_a_conversation_goes_on_in_the_next_worker(on_cpu, loaded, kind):
    model = loaded(kind)
    # So small a model computes about as fast as a file is written: what pays is measured anew.
    for temperature in (0.5, 0.6, 0.7, 0.8):
        say(on_cpu, model, PROMPT)
        context = replace(on_cpu, model, temperature=temperature)
        if "are computed again" not in (context["why_not"] or ""):
            break
    assert (context["slots"], context["tokens"]) == (1, len(PROMPT)), str(context)
    print(f"\n{kind}: {context}")
    goes_on(on_cpu, model, PROMPT)


def test_a_conversation_goes_on_on_the_gpu_and_back(both, loaded):
    model, prompt = loaded("full"), PROMPT[:150]  # llvmpipe is slow
    say(both, model, prompt)
    for backend in ("vulkan", "cpu"):
        context = replace(both, model, gpu_backend=backend)
        if backend == "cpu" and "computed again" in (context["why_not"] or ""):
            return  # so fast that it does not pay: "in about 2 ms"
        assert context["tokens"] >= len(prompt), str(context)
        print(f"\nto {backend}: {context}")
        goes_on(both, model, prompt)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def alter(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def of_another_model(path):
    """What llama-server would take, as the shapes are the same."""
    manifest = json.loads((path.parent / "kept.json").read_text())
    key = manifest["key"].splitlines()
    manifest["key"] = "\n".join(["file=1:2:3 4 ", *key[1:]])
    (path.parent / "kept.json").write_text(json.dumps(manifest))


def of_other_slots(path):
    """llama-server would take slot 63 for slot 3."""
    manifest = json.loads((path.parent / "kept.json").read_text())
    manifest["files"][0]["slot"] = 63
    (path.parent / "kept.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("spoil", [None, cut, alter, of_another_model, of_other_slots])
def test_only_what_was_kept_whole_reaches_the_server(on_cpu, loaded, spoil):
    model = loaded("full")
    url = f"/llm/api/models/{model}"
    on_cpu.http.patch(url, json={"keep_context": True}).raise_for_status()
    say(on_cpu, model, PROMPT)
    on_cpu.post(f"{url}/unload", status=200)
    (file,) = (on_cpu.state / "context" / model).glob("*.kv")
    if spoil:
        spoil(file)
    context = replace(on_cpu, model)
    held = say(on_cpu, model, NEXT)["timings"]["cache_n"]
    if spoil:
        assert context["tokens"] == held == 0, str(context)
    else:
        assert context["tokens"] == held == len(PROMPT), str(context)
    assert not list(file.parent.iterdir())
