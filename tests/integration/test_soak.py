# SPDX-License-Identifier: Apache-2.0
"""Long runs, cut short for CI: bench/soak, bench/kills and bench/faults do all of it."""

import hashlib
from pathlib import Path

import pytest

import fault_points
import kills
import soak

pytestmark = pytest.mark.slow

MODEL = "tiny.Q8_0"


def sanitized(pid: int) -> bool:
    maps = Path(f"/proc/{pid}/maps").read_text()
    return "libasan" in maps or "libtsan" in maps


@pytest.mark.timeout(180)
def test_a_soak_leaves_no_traces(daemon, model):
    memory_is_ours = not sanitized(daemon.process.pid)
    done = soak.soak(daemon, MODEL, 45)
    print(done)
    assert done["switches"] >= 7  # a round
    grown = [what for what in done["grown"] if memory_is_ours or "resident" not in what]
    assert not grown, done


@pytest.mark.timeout(180)
def test_a_killed_daemon_finds_all_as_before_or_as_after(daemon, model):
    daemon.post(f"/llm/api/models/{MODEL}/load", {}, 200)
    kills.storm(daemon, MODEL, 20, seed=0)


@pytest.mark.parametrize("how", fault_points.HOWS)
@pytest.mark.parametrize("point", fault_points.points())
def test_a_fault_is_said_and_leaves_nothing_half_done(make_daemon, tmp_path, point, how):
    """One visit of each point, another for each way to fail; bench/faults goes through all."""
    visit = 1 + hashlib.sha256(f"{point} {how}".encode()).digest()[0] % 6
    gguf = fault_points.model_file(tmp_path)
    fault_points.break_once(make_daemon(), gguf, fault_points.spec(point, visit, how))
