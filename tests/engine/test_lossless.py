# SPDX-License-Identifier: Apache-2.0
"""Sixteen clients ask a real model while it changes between CPU and Vulkan: nobody notices."""

import itertools
from collections.abc import Iterator

import pytest

from crowd import Answer, Ask, Crowd, judge_times, need, switch

MODEL = "tiny"
TIMES = 6
ALONE = {"cache_prompt": False, "ignore_eos": True}
ASKS = [
    Ask(chat, stream, f"Question number {n}: why?", 6 + 4 * n)
    for n, (chat, stream) in enumerate(itertools.product((True, False), repeat=2))
]


def clients(first: int) -> Iterator[Ask]:
    return itertools.islice(itertools.cycle(ASKS), first, None)


def outcome(said: Answer) -> tuple:
    usage = {k: said.usage[k] for k in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return said.text, said.finish, usage


def alone(daemon, backend: str) -> dict[Ask, tuple]:
    """What one client after the other is told there."""
    switch(daemon, MODEL, backend)
    told = {}

    def remember(said: Answer) -> str:
        first = told.setdefault(said.ask, outcome(said))
        need(outcome(said) == first, f"{outcome(said)} after {first}")
        return backend

    with Crowd(daemon, MODEL, 1, remember, clients, **ALONE) as crowd:
        crowd.wait(total=3 * len(ASKS))
    assert not crowd.failures, crowd.failures[:5]
    return told


@pytest.fixture
def one_at_a_time(both):
    """With one slot no batch mixes requests, so that greedy text is always the same."""
    both.post(f"/llm/api/models/{MODEL}/load", {"parallel": 1}, 200)
    yield both
    both.http.patch(f"/llm/api/models/{MODEL}", json={"parallel": None}).raise_for_status()
    both.post(f"/llm/api/models/{MODEL}/unload", {}, 200)


def test_nobody_notices_a_switch(one_at_a_time):
    daemon = one_at_a_time
    told = {backend: alone(daemon, backend) for backend in ("vulkan", "cpu")}

    def judge(said: Answer) -> str | None:
        """None where both say the same."""
        may = [b for b in told if told[b][said.ask] == outcome(said)]
        need(may, f"{outcome(said)}, neither {[told[b][said.ask] for b in told]}")
        return may[0] if len(may) == 1 else None

    switches = [switch(daemon, MODEL, "cpu")]
    with Crowd(daemon, MODEL, judge=judge, asks=clients, **ALONE) as crowd:
        for n in range(TIMES):
            crowd.wait(since=switches[-1].finished, fresh=16)
            switches.append(switch(daemon, MODEL, ("vulkan", "cpu")[n % 2]))
        crowd.wait(since=switches[-1].finished, fresh=16)
    assert not crowd.failures, crowd.failures[:5]
    tellable = [said for said in crowd.answers if said.backend]
    late, _ = judge_times(tellable, switches)
    assert not late, late[:5]
    print(
        f"\n{len(crowd.answers)} requests, {len(tellable)} that tell where, {TIMES} switches"
        f" ({', '.join(s.task['result']['way'] for s in switches[1:])}): {crowd.figures()}"
    )
