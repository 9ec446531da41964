# SPDX-License-Identifier: Apache-2.0
"""Every FAULT() of src/ (see base/fault.h), visit by visit, in a model's whole life."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

import gguf_file
import invariants
from daemon import ROOT, Daemon

HOWS = ("fail", "full", "crash")
MODEL = "m"
PATH = f"/llm/api/models/{MODEL}"
STORY = " ".join(f"word{i}" for i in range(200))  # long enough to be carried along


def points() -> list[str]:
    text = "".join(file.read_text() for file in (ROOT / "src").rglob("*.c"))
    return sorted(set(re.findall(r'\bFAULT\("([^"]+)"\)', text)))


def spec(point: str, visit: int, how: str) -> str:
    return f"{point}:{visit}" + ("" if how == "fail" else f":{how}")


def model_file(folder: Path) -> Path:
    return gguf_file.tiny_llama(folder / f"{MODEL}.gguf", layers=1)


def task(daemon: Daemon, answer: dict) -> None:
    if "task_id" in answer:
        daemon.wait_task(answer["task_id"], 30)


def steps(daemon: Daemon, gguf: Path) -> Iterator[Callable[[], object]]:
    """A model's life, from its registration on two backends to a stop while it is loaded."""

    def post(path: str, body: dict | None = None) -> Callable[[], None]:
        return lambda: task(daemon, daemon.post(path, body))

    def ask(**more) -> None:
        """On a connection of its own, which another part of the gateway serves."""
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": STORY}],
            "max_tokens": 3,
            **more,
        }
        httpx.post(f"{daemon.http.base_url}/v1/chat/completions", json=body, timeout=60)

    yield post("/llm/api/models", {"path": str(gguf), "keep_context": True})
    yield post(f"{PATH}/switch-backend", {"gpu_backend": "cpu"})
    yield lambda: daemon.chat(MODEL, max_tokens=3)  # loads it
    yield ask
    yield post(f"{PATH}/create-environment", {"gpu_backend": "vulkan"})
    yield post(f"{PATH}/switch-backend", {"gpu_backend": "vulkan"})
    yield lambda: ask(stream=True)
    yield post(f"{PATH}/load", {"n_ctx": 512})
    yield post(f"{PATH}/unload")
    yield post(f"{PATH}/switch-backend", {"gpu_backend": "cpu", "reload": True})


def was_hit(daemon: Daemon) -> bool:
    return any("fault hit" in line for line in daemon.lines)


def live(daemon: Daemon, gguf: Path) -> None:
    """Errors may come, but each is said: no answer is without a status, no call hangs. Unless the
    daemon has died, the model answers at the end, all the same."""
    try:
        for step in steps(daemon, gguf):
            step()
        if was_hit(daemon) and daemon.get("/llm/api/models")["models"]:
            invariants.check_answers(daemon, MODEL)
    except httpx.TransportError:
        assert daemon.process.wait(10) == -signal.SIGKILL


def break_once(daemon: Daemon, gguf: Path, fault: str) -> bool:
    """Lives with that fault, then without; False: it never came to that point."""
    daemon.env["FAULT"] = fault
    try:
        daemon.start()
    except AssertionError:
        assert daemon.process.wait(10) in (1, -signal.SIGKILL), daemon.lines
    else:
        live(daemon, gguf)
    status = daemon.stop()
    text, hit = "".join(daemon.lines), was_hit(daemon)
    dies = hit and fault.endswith("crash")
    assert status in ((-signal.SIGKILL,) if dies else (0, 1) if hit else (0,)), text
    del daemon.env["FAULT"]
    daemon.start()
    invariants.check(daemon)
    if not daemon.get("/llm/api/models")["models"]:
        daemon.add(gguf)
    invariants.check_answers(daemon, MODEL)
    invariants.check(daemon)
    assert daemon.stop() == 0
    return hit
