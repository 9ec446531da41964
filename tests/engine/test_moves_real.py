# SPDX-License-Identifier: Apache-2.0
"""A running answer of a real model goes on at another worker, word for word."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"
LOAD = f"/llm/api/models/{SMOLLM2}/load"
ASKED = {"model": SMOLLM2, "temperature": 0, "stream": True}
MORE = {"stream_options": {"include_usage": True}, "extra_body": {"ignore_eos": True}}


class Told:
    """A stream as a client sees it; `after` is called with the number of pieces so far."""

    def __init__(self, stream, after=lambda _: None):
        self.ids, self.roles, self.text, self.usage, self.finish = set(), 0, "", None, None
        self.times = []
        for chunk in stream:
            self.ids.add(chunk.id)
            self.usage = chunk.usage or self.usage
            for choice in chunk.choices:
                self.finish = choice.finish_reason or self.finish
                delta = getattr(choice, "delta", None)
                self.roles += delta is not None and delta.role is not None
                piece = (delta.content if delta else getattr(choice, "text", "")) or ""
                self.text += piece
                if piece:
                    self.times.append(time.monotonic())
                    after(len(self.times))

    def pause(self) -> float:
        return max(b - a for a, b in zip(self.times, self.times[1:], strict=False))


def chat(client, question: str, tokens: int):
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(**ASKED, max_tokens=tokens, messages=messages, **MORE)


def complete(client, prompt: str, tokens: int):
    return client.completions.create(**ASKED, max_tokens=tokens, prompt=prompt, **MORE)


def load_anew(daemon) -> None:
    """Nothing of an earlier answer is in its slots."""
    daemon.post(f"/llm/api/models/{SMOLLM2}/unload", {}, 200)
    daemon.post(LOAD, {"threads": 1}, 200)


@pytest.mark.parametrize(
    ("ask", "question", "tokens"),
    [
        (chat, "Tell me a story about a fox.", 2000),
        # Three tokens each. After more than a thousand they repeat themselves, and the next one is
        # a matter of rounding, which is another one on two threads.
        (chat, "Answer with emojis only: 🦊🐦🌲", 1000),
        (complete, "The capital of France is", 2000),
    ],
    ids=["story", "emojis", "completion"],
)
def test_word_for_word(client, on_cpu, ask, question, tokens):
    """With its conversation: computed again, as one batch, it could be rounded otherwise."""
    load_anew(on_cpu)
    whole = Told(ask(client, question, tokens))
    load_anew(on_cpu)
    with ThreadPoolExecutor(1) as pool:
        loads = []

        def move(pieces: int) -> None:
            if pieces == 100:  # so many that they are worth to be carried on any machine
                loads.append(pool.submit(on_cpu.post, LOAD, {"threads": 2}, 200))

        moved = Told(ask(client, question, tokens), move)
        loads[0].result()
    assert moved.text == whole.text
    assert moved.finish == whole.finish
    assert moved.usage.completion_tokens == whole.usage.completion_tokens
    assert moved.usage.prompt_tokens == whole.usage.prompt_tokens
    assert len(moved.ids) == 1
    assert moved.roles == whole.roles
    tasks = on_cpu.get(f"/tasks?model={SMOLLM2}")["tasks"]
    result = next(task["result"] for task in tasks if task["kind"] == "load" and task["result"])
    assert (result["moved"], result["drained"]) == (1, 0)
    assert result["context"]["tokens"] > 100, result["context"]
    print(f"\npause {moved.pause():.3f} s, else at most {whole.pause():.3f} s")
