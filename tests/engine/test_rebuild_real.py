# SPDX-License-Identifier: Apache-2.0
"""The document's rebuild with the real llama.cpp: other pieces behind a name, under its clients."""

import itertools
from collections.abc import Iterator

from crowd import Answer, Ask, Crowd, need

BUILD_SECONDS = 1800
NAME = "llm_tiny_cpu"


def clients(first: int) -> Iterator[Ask]:
    for n in itertools.count(first):
        yield Ask(chat=True, stream=n % 3 > 0, prompt=f"Question number {n}: why?", tokens=60)


def judge(said: Answer) -> None:
    """The tiny model's words mean nothing, but it says as many as it is let."""
    made = said.usage["completion_tokens"]
    need(made == said.ask.tokens, f"{made} tokens instead of {said.ask.tokens}")
    need(said.finish == "length", f"finish_reason {said.finish!r}")


def rebuild(daemon, backend: str) -> dict:
    url = f"/llm/api/venv/{NAME}/rebuild"
    task = daemon.post(url, {"gpu_backend": backend}, 202)["task_id"]
    done = daemon.wait_task(task, BUILD_SECONDS)
    assert done["state"] == "succeeded", done
    assert done["result"]["reloaded"] == ["tiny"]
    return daemon.get(f"/llm/api/environments/{NAME}")["environment"]


def test_answers_end_whole_on_what_they_began_with(both):
    daemon = both
    daemon.post("/llm/api/models/tiny/load", {}, 200)
    before = daemon.get(f"/llm/api/environments/{NAME}")["environment"]
    with Crowd(daemon, "tiny", 4, judge=judge, asks=clients, ignore_eos=True) as crowd:
        for backend, device in (("vulkan", "Vulkan0"), ("cpu", "none")):
            crowd.wait(total=len(crowd.answers) + 4)
            now = rebuild(daemon, backend)
            assert now["backend"] == backend
            model = daemon.model("tiny")
            assert (model["gpu_backend"], model["environment"]) == (backend, NAME)
            assert model["worker"]["device"] == device
            crowd.wait(total=len(crowd.answers) + 4)
    assert not crowd.failures, crowd.failures[:5]
    assert now["digests"] == before["digests"], "the pieces are those that were there"
    print(f"\n{len(crowd.answers)} answers, {crowd.figures()}")
    daemon.post("/llm/api/models/tiny/unload", {}, 200)
