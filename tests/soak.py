# SPDX-License-Identifier: Apache-2.0
"""Requests, switches, loads and unloads for long; what the daemon holds must not grow."""

import itertools
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx

from crowd import Crowd, Switch, judge_times, switch, timestamp
from daemon import Daemon

SAMPLE_SECONDS = 0.2


class Sample(NamedTuple):
    resident_kb: int
    descriptors: int
    threads: int


# What the medians of two quarters of the same load may differ by: SQLite's cache fills up to 2 MB,
# and clients come and go.
SLACK = Sample(resident_kb=2048, descriptors=12, threads=4)


def sample(pid: int) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Sample(int(fields["VmRSS"].split()[0]), descriptors, int(fields["Threads"]))


def growth(samples: list[Sample]) -> tuple[Sample, Sample]:
    """Medians of the first and the last quarter, after a fifth to warm up."""
    warm = samples[len(samples) // 5 :]
    quarter = len(warm) // 4
    assert quarter > 0, "too short"
    first, last = (
        Sample(*(int(statistics.median(column)) for column in zip(*part, strict=True)))
        for part in (warm[:quarter], warm[-quarter:])
    )
    return first, last


def grown(first: Sample, last: Sample) -> list[str]:
    return [
        f"{name}: {a}, then {b}"
        for name, a, b, slack in zip(Sample._fields, first, last, SLACK, strict=True)
        if b > a + slack
    ]


def changes(daemon: Daemon, model: str) -> list[Callable[[], object]]:
    """What is done to the model besides switching it, in turn."""
    path = f"/llm/api/models/{model}"

    def cancel() -> Switch | None:
        """A switch, if the cancel comes too late."""
        backend = "cpu" if daemon.model(model)["gpu_backend"] == "vulkan" else "vulkan"
        asked = time.time()
        answer = daemon.post(f"{path}/switch-backend", {"gpu_backend": backend}, 202)
        daemon.post(f"/tasks/{answer['task_id']}/cancel")
        task = daemon.wait_task(answer["task_id"])
        if task["state"] != "succeeded":
            return None
        return Switch(backend, asked, timestamp(task["finished"]), task)

    def leave() -> None:
        body = {"model": model, "stream": True, "max_tokens": 10000, "messages": []}
        url = f"{daemon.http.base_url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, timeout=60) as answer:
            next(answer.iter_lines())

    options = itertools.cycle([{"n_ctx": 512}, {"n_ctx": 1024}])
    return [
        lambda: daemon.post(f"{path}/unload", {}, 200),
        lambda: daemon.post(f"{path}/load", next(options), 200),
        leave,
        cancel,
    ]


def sampler(pid: int, samples: list[Sample], end: threading.Event) -> None:
    while not end.wait(SAMPLE_SECONDS):
        samples.append(sample(pid))


def soak(daemon: Daemon, model: str, seconds: float, clients: int = 8) -> dict:
    """Figures; the caller looks whether `grown` is empty. A request that fails ends it."""
    samples: list[Sample] = []
    end = threading.Event()
    others = itertools.cycle(changes(daemon, model))
    count = answered = 0
    until = time.monotonic() + seconds
    watch = threading.Thread(target=sampler, args=(daemon.process.pid, samples, end))
    watch.start()
    try:
        while time.monotonic() < until:
            rounds = [switch(daemon, model, "cpu")]
            with Crowd(daemon, model, clients) as crowd:
                for backend in ("vulkan", "cpu", "vulkan", "cpu", "vulkan", "cpu"):
                    rounds.append(switch(daemon, model, backend))
                    done = next(others)()
                    rounds += [done] if isinstance(done, Switch) else []
                crowd.wait(total=1)
            assert not crowd.failures, crowd.failures[:5]
            late, _ = judge_times(crowd.answers, rounds)
            assert not late, late[:5]
            count, answered = count + len(rounds), answered + len(crowd.answers)
    finally:
        end.set()
        watch.join()
    first, last = growth(samples)
    return {
        "switches": count,
        "requests": answered,
        "first": first,
        "last": last,
        "grown": grown(first, last),
    }
