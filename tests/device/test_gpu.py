# SPDX-License-Identifier: Apache-2.0
"""One GPU, two backends: what fakes and a CPU can't show. With -s it prints what was measured."""

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Iterator

import pytest

from crowd import Ask, Crowd, switch
from daemon import wait_until

STREAMS = 4
TOKENS = 300


def show(what: str, **figures) -> None:
    print(f"\n{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))


def back(daemon, model: str, backend: str) -> None:
    """There, and loaded."""
    daemon.switch(model, backend, 300, reload=True)


def question(daemon, model: str, text: str, tokens: int = 32) -> dict:
    answer = daemon.chat(model, text, max_tokens=tokens, temperature=0, ignore_eos=True)
    assert answer.status_code == 200, answer.text
    return answer.json()


def capital(daemon, model: str) -> str:
    """What only a model that computes right goes on with."""
    body = {"model": model, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    answer = daemon.post("/v1/completions", body, 200)
    text = answer["choices"][0]["text"]
    assert "Paris" in text
    return text


# --- facts ------------------------------------------------------------------------------------


def test_gpus_are_those_of_the_driver(daemon, big, pair, smi):
    hardware = daemon.get("/llm/api/hardware/detect")
    gpus = {g["uuid"]: g for g in hardware["gpus"] if g["vendor"] == "nvidia"}
    said = smi.ask("gpu", "uuid,name,driver_version,compute_cap,memory.total,pci.bus_id")
    assert {row[0] for row in said} == gpus.keys()
    for uuid, name, driver, capability, total, pci in said:
        gpu = gpus[uuid]
        assert gpu["name"] == name
        assert gpu["compute_capability"] == capability
        assert gpu["kind"] == "discrete"
        assert pci.lower().endswith(gpu["pci"].lower())
        assert abs(gpu["memory_bytes"] / 2**20 - int(total)) < 2048
        assert {d["backend"] for d in gpu["devices"]} >= set(pair)
        assert hardware["nvidia"]["driver"] == driver
    show("GPUs", **{g["pci"]: [d["device"] for d in g["devices"]] for g in gpus.values()})


def test_doctor_finds_nothing_wrong(daemon, big, pair):
    for backend in pair:
        done = daemon.cli("doctor", backend)
        print(f"\n{done.stdout}")
        assert "✗" not in done.stdout, done.stdout


# --- switches ---------------------------------------------------------------------------------


def test_the_documents_example(daemon, chatty, pair):
    for backend in (pair.first, pair.second, pair.first):
        began = time.monotonic()
        answer = daemon.switch(chatty, backend, reload=True)
        took = time.monotonic() - began
        text = capital(daemon, chatty)
        assert answer["instant_switch"] is True
        assert daemon.model(chatty)["worker"]["backend"] == backend
        show(backend, seconds=round(took, 2), answer=json.dumps(text))


def streams(client: int) -> Iterator[Ask]:
    for n in itertools.count():
        yield Ask(True, True, f"client {client} asks for the {n}th time", TOKENS)


def gap(crowd: Crowd, since: float, until: float) -> tuple[float, float]:
    """The longest time in which nobody got a token, and how long after `since` it began, in s."""
    times = sorted(at for a in crowd.answers for at, _ in a.pieces if since <= at <= until)
    return max((b - a, a - since) for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("model", ["big", "chatty"])
def test_no_request_is_lost(daemon, pair, model, request):
    """Six switches under four streams."""
    request.getfixturevalue(model)
    back(daemon, model, pair.first)
    switches = []
    more = {"ignore_eos": True}
    with Crowd(daemon, model, STREAMS, lambda _: None, streams, **more) as crowd:
        crowd.wait(total=STREAMS)
        for n in range(6):
            # In the middle of their answers.
            crowd.wait(total=len(crowd.answers) + STREAMS)
            switches.append(switch(daemon, model, (pair.second, pair.first)[n % 2]))
        crowd.wait(total=len(crowd.answers) + 2 * STREAMS)
    assert not crowd.failures, crowd.failures[:3]
    for said in crowd.answers:
        assert said.usage["completion_tokens"] == TOKENS
    for s in switches:
        result = s.task["result"]
        assert result["way"] == "beside", result
        show(
            f"{model} to {s.backend}",
            seconds=round(s.finished - s.asked, 2),
            gap_and_begin=[round(t, 3) for t in gap(crowd, s.asked, s.finished + 3)],
            **{k: result[k] for k in ("held_ms", "moved", "asked_again", "drained")},
            context={k: result["context"][k] for k in ("tokens", "save_ms", "restore_ms")},
            why=result["context"]["why_not"],
        )
    show("answers", count=len(crowd.answers), failed=len(crowd.failures))


def test_a_long_conversation_comes_along(daemon, big, pair):
    """Some 20 000 tokens: nearly each letter is one."""
    story = "".join(chr(97 + n * 7 % 26) for n in range(20000))
    for source, target in (pair, pair[::-1]):
        back(daemon, big, source)
        before = question(daemon, big, story)["timings"]
        assert before["prompt_n"] > 10000, before
        task = switch(daemon, big, target).task
        after = question(daemon, big, story)["timings"]
        carried = task["result"]["context"]
        if carried["why_not"] is None:
            assert carried["tokens"] > 10000, carried
            assert after["cache_n"] > 10000, after
        else:  # the device is as quick as the disk
            assert "are computed again in about" in carried["why_not"]
        show(
            f"{source} to {target}",
            prefill_ms=round(before["prompt_ms"]),
            again_ms=round(after["prompt_ms"]),
            cached=after["cache_n"],
            **carried,
        )
        daemon.post(f"/llm/api/models/{big}/unload", {}, 200)


# --- memory -----------------------------------------------------------------------------------


class Sampler(threading.Thread):
    """What each process has on the GPUs, ten times a second."""

    def __init__(self, smi):
        super().__init__(daemon=True)
        self.smi, self.seen, self.over = smi, [], threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            found = self.smi.processes()
            self.seen.append({pid: sum(mib for _, mib in on) for pid, on in found.items()})

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.join(30)


def test_both_are_in_memory_and_the_old_ones_comes_back(daemon, big, pair, smi):
    back(daemon, big, pair.first)
    question(daemon, big, "warm")
    old = daemon.model(big)["worker"]["pid"]

    def as_the_driver_counts() -> bool:
        said = daemon.get(f"/llm/api/models/{big}/health")["device_memory_bytes"] / 2**20
        return abs(said - smi.mib(old)) < 64

    wait_until(as_the_driver_counts, what="the driver's figure")
    with Sampler(smi) as sampler:
        switch(daemon, big, pair.second)
        new = daemon.model(big)["worker"]["pid"]
        began = time.monotonic()
        wait_until(lambda: old not in smi.processes(), 5, "the old one's end")
        gone = time.monotonic() - began
    most = {pid: max(s.get(pid, 0) for s in sampler.seen) for pid in (old, new)}
    assert any(min(s.get(old, 0), s.get(new, 0)) > 1000 for s in sampler.seen), sampler.seen
    show("MiB", first=most[old], second=most[new], back_after_s=round(gone, 2))
    daemon.post(f"/llm/api/models/{big}/unload", {}, 200)
    wait_until(lambda: new not in smi.processes(), 5, "the new one's end")


def test_what_does_not_fit_beside_comes_in_turn(daemon, big, pair, smi):
    """A context that takes more than half of the device: two are too many."""
    daemon.post(f"/llm/api/models/{big}/unload", {}, 200)
    total = min(int(row[0]) for row in smi.ask("gpu", "memory.total"))
    cell = 22 * 2 * 2048 * 2
    tokens = int(0.6 * total * 2**20) // cell // 1024 * 1024
    try:
        daemon.switch(big, pair.first, 300, reload=False)
        daemon.post(f"/llm/api/models/{big}/load", {"n_ctx": tokens}, 200)
        with Crowd(daemon, big, STREAMS, lambda _: None, streams, ignore_eos=True) as crowd:
            crowd.wait(total=STREAMS)
            task = switch(daemon, big, pair.second).task
            crowd.wait(total=len(crowd.answers) + STREAMS)
        assert not crowd.failures, crowd.failures[:3]
        assert task["result"]["way"] == "in turn", task["result"]
        assert "is stopped first" in task["result"]["why"]
        wait = round(crowd.longest_wait(), 2)
        show("in turn", why=task["result"]["why"], longest_wait_s=wait)
        # Twice as much fits nowhere: the worker that is there goes on.
        refused = daemon.http.post(
            f"/llm/api/models/{big}/load", json={"n_ctx": 2 * tokens}, timeout=300
        )
        show("refused", status=refused.status_code, error=refused.json().get("error"))
        assert refused.status_code != 200
        assert question(daemon, big, "still there?")["usage"]["completion_tokens"] == 32
    finally:
        daemon.post(f"/llm/api/models/{big}/unload", {"force": True}, 200)
        daemon.call("PATCH", f"/llm/api/models/{big}", {"n_ctx": 32768}, 200)


# --- drivers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "hidden"),
    [("cuda", "CUDA_VISIBLE_DEVICES="), ("vulkan", "VK_DRIVER_FILES=/nowhere")],
)
def test_a_device_that_hides_is_named(daemon, big, pair, backend, hidden):
    """The switch fails, the other backend goes on."""
    if backend not in pair:
        pytest.skip(f"{backend} is not of this pair")
    other = pair.first if backend == pair.second else pair.second
    daemon.post(f"/llm/api/models/{big}/unload", {}, 200)
    daemon.stop()
    daemon.settings["worker_env"] = hidden
    daemon.start()
    try:
        back(daemon, big, other)
        worker = daemon.model(big)["worker"]["pid"]
        answer = daemon.post(
            f"/llm/api/models/{big}/switch-backend", {"gpu_backend": backend, "reload": True}
        )
        task = daemon.wait_task(answer["task_id"], 120)
        assert task["state"] == "failed", task
        assert re.search(r"device|driver", task["error"]["message"]), task["error"]
        show(f"{hidden}", error=task["error"])
        assert question(daemon, big, "still there?")["usage"]["completion_tokens"] == 32
        assert daemon.model(big)["worker"]["backend"] == other
        assert daemon.model(big)["worker"]["pid"] == worker
    finally:
        daemon.stop()
        del daemon.settings["worker_env"]
        daemon.start()


# --- which is fastest -------------------------------------------------------------------------


def test_auto_takes_what_was_measured_faster(daemon, big, pair):
    task = daemon.post(f"/llm/api/models/{big}/benchmark", {}, 202)["task_id"]
    done = daemon.wait_task(task, 600)
    assert done["state"] == "succeeded", done
    found = {
        b["gpu_backend"]: b for b in daemon.get(f"/llm/api/models/{big}/benchmark")["benchmarks"]
    }
    assert found.keys() >= set(pair)
    answer = daemon.switch(big, "auto", 300)
    fastest = min(found, key=lambda name: found[name]["seconds"])
    assert daemon.model(big)["gpu_backend"] == fastest
    for name, b in found.items():
        rates = [b[f"{kind}_tokens_per_second"] for kind in ("prompt", "answer")]
        show(name, tokens_per_second=[round(rate) for rate in rates], driver=b["driver"])
    print(answer["message"])


# --- Python -----------------------------------------------------------------------------------


@pytest.mark.skipif("SHUNT_TEST_ENGINE" in os.environ, reason="it may lack the Python part")
def test_the_python_runtime_uses_the_gpu(daemon, chatty, pair, smi):
    for backend in pair:
        daemon.switch(chatty, backend, 300, reload=False)
        daemon.post(f"/llm/api/models/{chatty}/load", {"runtime": "python"}, 200)
        capital(daemon, chatty)
        worker = daemon.model(chatty)["worker"]
        assert smi.mib(worker["pid"]) > 100
        show(f"Python on {backend}", MiB=smi.mib(worker["pid"]), device=worker["device"])
    daemon.post(f"/llm/api/models/{chatty}/unload", {}, 200)
    daemon.call("PATCH", f"/llm/api/models/{chatty}", {"runtime": None}, 200)


# --- several GPUs -----------------------------------------------------------------------------


def test_a_model_runs_on_the_gpu_of_its_choice(daemon, big, pair, smi):
    gpus = daemon.get("/llm/api/hardware/detect")["gpus"]
    if sum(g["vendor"] == "nvidia" for g in gpus) < 2:
        pytest.skip("one GPU")
    for backend in pair:
        devices = [d["device"] for g in gpus for d in g["devices"] if d["backend"] == backend][:2]
        daemon.switch(big, backend, 300, reload=False)
        for more in ({"devices": devices[1:]}, {"devices": devices, "tensor_split": [3, 1]}):
            daemon.post(f"/llm/api/models/{big}/load", more, 200)
            question(daemon, big, "where?")
            on = dict(smi.processes()[daemon.model(big)["worker"]["pid"]])
            mine = {d["device"]: g["uuid"] for g in gpus for d in g["devices"]}
            sizes = [on.get(mine[device], 0) for device in more["devices"]]
            show(f"{more}", MiB=sizes)
            assert min(sizes) > 1000, (on, more)
            # A process may have some of the driver's own memory on each GPU.
            assert all(
                mib < 700
                for uuid, mib in on.items()
                if uuid not in {mine[device] for device in more["devices"]}
            ), (on, more)
            if len(sizes) == 2:
                assert sizes[0] > 2 * sizes[1], sizes
        daemon.post(f"/llm/api/models/{big}/unload", {}, 200)
        daemon.call("PATCH", f"/llm/api/models/{big}", dict.fromkeys(more), 200)
