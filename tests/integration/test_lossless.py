# SPDX-License-Identifier: Apache-2.0
"""Sixteen clients ask while the model changes its backend again and again: nobody notices."""

import pytest

from crowd import Crowd, judge_times, switch

MODEL = "tiny.Q8_0"
WAYS = {"beside": 8000, "in turn": 1}  # MiB that the GPU has free
BACKENDS = ("vulkan", "cpu")


@pytest.fixture(params=WAYS)
def way(request) -> str:
    return request.param


@pytest.fixture
def daemon(make_daemon, way):
    return make_daemon(worker_env=f"FAKE_FREE_MIB={WAYS[way]}").start()


@pytest.mark.parametrize(
    ("times", "requests"),
    [(6, 120), pytest.param(50, 1000, marks=[pytest.mark.slow, pytest.mark.timeout(180)])],
    ids=["short", "long"],
)
def test_nobody_notices_a_switch(daemon, model, way, times, requests):
    switches = [switch(daemon, MODEL, "cpu")]
    with Crowd(daemon, MODEL, pause=0.1) as crowd:
        for n in range(times):
            # Some that no switch disturbs, so that there is something to tell from what.
            share = requests * (n + 1) // (times + 1)
            crowd.wait(total=share, since=switches[-1].finished, fresh=8)
            switches.append(switch(daemon, MODEL, BACKENDS[n % 2]))
        crowd.wait(total=requests, since=switches[-1].finished, fresh=8)
    assert not crowd.failures, crowd.failures[:5]
    late, decisive = judge_times(crowd.answers, switches)
    assert not late, late[:5]
    assert decisive > 8 * times
    assert {said.backend for said in crowd.answers} == set(BACKENDS)
    # Main memory has room in any case.
    assert {s.task["result"]["way"] for s in switches[1:] if s.backend == "vulkan"} == {way}
    print(f"\n{len(crowd.answers)} requests, {times} switches, {way}: {crowd.figures()}")
