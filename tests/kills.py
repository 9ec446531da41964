# SPDX-License-Identifier: Apache-2.0
"""SIGKILL for the daemon while it switches, loads and unloads; what is there afterwards."""

import random
import time

import httpx

import invariants
from crowd import Crowd
from daemon import Daemon, wait_until

BACKENDS = ("cpu", "vulkan")


def environments(daemon: Daemon) -> list[dict]:
    """Without who uses them: that is the association."""
    found = daemon.get("/llm/api/environments")["environments"]
    return [{k: v for k, v in env.items() if k != "models"} for env in found]


def begin(daemon: Daemon, model: str, dice: random.Random) -> dict:
    """A change, asked for and not waited for: what the model's fields may be after it."""
    path = f"/llm/api/models/{model}"
    kind = dice.choice(["switch", "switch", "load", "options", "unload"])
    if kind == "switch":
        backend = dice.choice(BACKENDS)
        body = {"gpu_backend": backend, "reload": dice.choice(["auto", True, False])}
        daemon.post(f"{path}/switch-backend", body, 202)
        return {"gpu_backend": backend}
    if kind == "options":
        options = {"n_ctx": dice.choice([512, 1024, 2048])}
        daemon.post(f"{path}/load?wait=false", options, 202)
        return {"options": options}
    daemon.post(f"{path}/unload", {"force": True}, 200)
    if kind == "load":
        daemon.post(f"{path}/load?wait=false", {}, 202)
    return {}


def newest_task(daemon: Daemon) -> dict:
    return daemon.get("/tasks?limit=1")["tasks"][0]


def check_fields(before: dict, asked: dict, after: dict, task: dict) -> None:
    """Old or new, and the task says which."""
    backends = {before["gpu_backend"], asked.get("gpu_backend", before["gpu_backend"])}
    assert after["gpu_backend"] in backends, f"{before} became {after}, asked {asked}"
    options = before["options"] | asked.get("options", {})
    assert after["options"] in (before["options"], options), f"{before} became {after}"
    if task["kind"] == "switch" and len(backends) == 2:
        moved = after["gpu_backend"] != before["gpu_backend"]
        assert (task["state"] == "succeeded") == moved, f"{after['gpu_backend']} after {task}"


def kill_once(daemon: Daemon, model: str, latest: float, dice: random.Random) -> None:
    """From a loaded model to a loaded model; killed at most so many seconds after a call."""
    before, envs = daemon.model(model), environments(daemon)
    with Crowd(daemon, model, clients=2):
        asked = begin(daemon, model, dice)
        time.sleep(dice.uniform(0, latest))
        daemon.kill()
        wait_until(lambda: not invariants.processes(daemon.folder), 1, "the workers' end")
    daemon.start()
    invariants.check(daemon)
    now = environments(daemon)
    assert now == envs, f"{envs} became {now}"
    check_fields(before, asked, daemon.model(model), newest_task(daemon))
    invariants.check_answers(daemon, model)


def switch_seconds(daemon: Daemon, model: str) -> float:
    """How long one takes on this machine today."""
    began = time.monotonic()
    for backend in ("vulkan", "cpu"):
        daemon.switch(model, backend, reload=True)
    return (time.monotonic() - began) / 2


def storm(daemon: Daemon, model: str, times: int, seed: int) -> None:
    """A failure says its seed: the same numbers again are nearly the same moments."""
    latest = 1.5 * switch_seconds(daemon, model)
    for n in range(times):
        try:
            kill_once(daemon, model, latest, random.Random(seed + n))
        except (AssertionError, httpx.HTTPError) as e:
            raise AssertionError(f"kill {n}, seed {seed + n}: {e}") from e
