# SPDX-License-Identifier: Apache-2.0
"""What breaks around Shunt: workers that die, disks that are full, daemons that are killed."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from daemon import wait_until

pytestmark = pytest.mark.slow

MODEL = "/llm/api/models/tiny.Q8_0"
SWITCH = f"{MODEL}/switch-backend"


@pytest.fixture
def model(daemon, fake_model):
    """Registered, on cpu, not loaded."""
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "cpu")
    return model


def waiting(daemon) -> int:
    return daemon.get(f"{MODEL}/health")["requests_waiting"]


# --- workers ----------------------------------------------------------------------------------


def test_workers_see_nothing_of_the_users_home(daemon, model):
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    seen = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    seen = dict(line.split("=", 1) for line in seen if "=" in line)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        assert seen[name].startswith(f"{daemon.state}/"), seen[name]
        assert not list(Path(seen[name]).rglob("*.ini"))


def test_a_workers_death_is_no_failure_of_those_who_waited(daemon, model):
    daemon.http.patch(MODEL, json={"parallel": 1})
    model.behave(token_seconds=0.05)
    daemon.post(f"{MODEL}/load", {}, 200)
    with ThreadPoolExecutor(4) as pool:
        running = pool.submit(daemon.chat, "tiny.Q8_0", max_tokens=2000)
        wait_until(lambda: daemon.model("tiny.Q8_0")["worker"]["requests"] == 1, what="the first")
        others = [pool.submit(daemon.chat, "tiny.Q8_0", max_tokens=3) for _ in range(3)]
        wait_until(lambda: waiting(daemon) == 3, what="three in line")
        model.behave()
        os.kill(daemon.model("tiny.Q8_0")["worker"]["pid"], signal.SIGSEGV)
        assert running.result().status_code == 502
        assert [o.result().status_code for o in others] == [200] * 3
    assert daemon.model("tiny.Q8_0")["state"] == "loaded"


def test_a_worker_that_dies_again_and_again_is_not_started_at_once(daemon, model):
    model.behave(crash_after_tokens=1)
    codes = [daemon.chat("tiny.Q8_0", max_tokens=9).status_code for _ in range(3)]
    wait_until(lambda: daemon.model("tiny.Q8_0")["state"] == "failed", what="failed")
    answer = daemon.chat("tiny.Q8_0")
    assert 502 in codes
    assert answer.status_code == 503
    assert "ended" in answer.json()["error"]["message"]
    model.behave()
    daemon.post(f"{MODEL}/load", {}, 200)  # who asks for a load gets one


def test_options_of_no_worker_replace_none(daemon, model):
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    kept = {"pinned": True, "idle_unload": 60, "migrate": "never", "aliases": ["small"]}
    daemon.post(f"{MODEL}/load", kept, 200)
    after = daemon.model("tiny.Q8_0")
    assert after["worker"]["pid"] == pid
    assert kept.items() <= after["options"].items()


# --- builds -----------------------------------------------------------------------------------


@pytest.fixture
def broken(make_daemon, fake_model, engine_source):
    """A model on cpu whose pieces someone has taken away; builds wait for `gate`."""
    source, gate = engine_source(), engine_source.gate
    daemon = make_daemon(fresh=True, engine_source=source).start()
    daemon.add(fake_model().path)
    daemon.switch("tiny.Q8_0", "cpu")
    assert daemon.stop() == 0
    for piece in (daemon.state / "store").iterdir():
        if len(piece.name) == 64:
            piece.chmod(0o755)
            piece.rename(daemon.folder / piece.name)
    source.joinpath("fake-build.json").write_text(json.dumps({"gate": str(gate)}))
    daemon.start()
    return daemon, gate


def test_requests_wait_for_a_load_that_must_build_first(broken):
    daemon, gate = broken
    task = daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(daemon.chat, "tiny.Q8_0")
        wait_until(lambda: waiting(daemon) == 1, what="the request in line")
        gate.touch()
        assert asked.result().status_code == 200
    assert daemon.wait_task(task)["state"] == "succeeded"


def test_who_waited_for_a_load_that_is_cancelled_hears_so(broken):
    daemon, _ = broken
    task = daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(daemon.chat, "tiny.Q8_0")
        wait_until(lambda: waiting(daemon) == 1, what="the request in line")
        daemon.post(f"/tasks/{task}/cancel", status=202)
        answer = asked.result()
    assert answer.status_code == 503
    assert "cancelled" in answer.json()["error"]["message"]


def test_unload_meets_a_load_that_has_not_begun(broken):
    daemon, gate = broken
    task = daemon.post(f"{MODEL}/load?wait=false", {}, 202)["task_id"]
    error = daemon.post(f"{MODEL}/unload", status=409)["error"]
    assert task in error["message"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(daemon.chat, "tiny.Q8_0")
        wait_until(lambda: waiting(daemon) == 1, what="the request in line")
        daemon.post(f"{MODEL}/unload", {"force": True}, 200)
        assert daemon.wait_task(task)["state"] == "cancelled"
        gate.touch()
        assert asked.result().status_code == 200, "it asked again, and was served"


def compile_lines(daemon, task: str) -> int:
    """How often a compilation was begun in that task."""
    return daemon.http.get(f"/tasks/{task}/log").text.count("[1/12]")


def stages(store: Path) -> list[Path]:
    return list(store.glob(".stage-*"))


@pytest.fixture
def fresh(make_daemon, fake_model, engine_source):
    """Makes daemons with an empty store and one model, from a source of their own."""

    def make(name: str = "d", start: bool = True, source: Path | None = None, **settings):
        source = source or engine_source(f"source-{name}")
        daemon = make_daemon(name, fresh=True, **({"engine_source": source} | settings))
        if start:
            daemon.start()
            daemon.add(fake_model().path)
        return daemon

    return make


def fails(daemon, backend: str = "cpu", kind: str | None = None) -> dict:
    """A switch that must fail and change nothing; its error."""
    before = daemon.model("tiny.Q8_0")["gpu_backend"]
    task = daemon.post(SWITCH, {"gpu_backend": backend}, 202)["task_id"]
    ended = daemon.wait_task(task)
    assert ended["state"] == "failed", ended
    assert kind is None or ended["error"]["type"] == kind, ended["error"]
    assert daemon.model("tiny.Q8_0")["gpu_backend"] == before
    return ended["error"]


# --- builds: what is missing -------------------------------------------------------------------


def test_no_space_for_a_build_is_said_before_it_begins(fresh, small_disk):
    folder, resize = small_disk
    daemon = fresh(store_dir=folder)
    error = fails(daemon, kind="no_space")
    assert str(folder) in error["message"]
    assert re.search(r"needs \d+ MiB .*\b(9\d|100) MiB are free", error["message"]), error
    assert error["hint"]
    assert not stages(folder)
    assert resize("4g")
    daemon.switch("tiny.Q8_0", "cpu")


def test_a_disk_that_fills_during_a_build_leaves_nothing(fresh, engine_source):
    source = engine_source(compile="no-space")
    daemon = fresh(source=source)
    fails(daemon, kind="no_space")
    assert not stages(daemon.state / "store")
    source.joinpath("fake-build.json").write_text("{}")
    daemon.switch("tiny.Q8_0", "cpu")


@pytest.mark.parametrize(
    ("absent", "named", "package"),
    [
        ("cmake", "cmake", "cmake"),
        ("ninja", "ninja", "ninja"),
        (r"(.*-)?(g\+\+|c\+\+|clang\+\+)(-[\d.]+)?", r"C\+\+ compiler", r"g\+\+|gcc"),
        (r"(.*-)?(cc|gcc|clang|c89|c99)(-[\d.]+)?", "C compiler", "gcc"),
    ],
    ids=["cmake", "ninja", "c++", "cc"],
)
def test_a_missing_tool_is_named_with_its_package(
    fresh, fake_model, tmp_path, absent, named, package
):
    programs = tmp_path / "bin"
    programs.mkdir()
    daemon = fresh(start=False)
    for folder in daemon.env["PATH"].split(":"):
        for program in Path(folder).glob("*"):
            link = programs / program.name
            if not re.fullmatch(absent, program.name) and not link.is_symlink():
                link.symlink_to(program)
    daemon.env["PATH"] = str(programs)
    daemon.start()
    daemon.add(fake_model().path)
    error = daemon.post(SWITCH, {"gpu_backend": "cpu"}, 424)["error"]
    assert error["type"] == "toolkit_missing"
    assert re.search(named, error["message"]), error
    assert re.search(package, error["message"] + error["hint"]), error
    assert daemon.get("/tasks")["tasks"] == []


def archive(source: Path) -> Path:
    path = source.parent / "engine.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(source, "engine")
    return path


def test_an_archive_with_another_hash_is_not_built(fresh, engine_source):
    path = archive(engine_source())
    wrong = "0" * 64
    daemon = fresh(source=f"file://{path} sha256={wrong}")
    error = fails(daemon)
    assert wrong in error["message"], error
    assert hashlib.sha256(path.read_bytes()).hexdigest() in error["message"]
    assert not stages(daemon.state / "store")
    assert daemon.stop() == 0
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    daemon.settings["engine_source"] = f"file://{path} sha256={right}"
    daemon.start()
    daemon.switch("tiny.Q8_0", "cpu")


def test_a_source_that_went_away_is_said(fresh, engine_source):
    source = engine_source()
    daemon = fresh(source=source)
    source.rename(source.parent / "elsewhere")
    error = fails(daemon)
    assert str(source) in error["message"], error
    assert not stages(daemon.state / "store")
    source.parent.joinpath("elsewhere").rename(source)
    daemon.switch("tiny.Q8_0", "cpu")


def test_an_absent_source_ends_the_start(fresh, tmp_path):
    daemon = fresh(start=False, source=tmp_path / "absent")
    done = daemon.cli("serve", *daemon.flags())
    assert done.returncode == 2
    assert str(tmp_path / "absent") in done.stderr


def test_two_daemons_that_share_a_store_build_once(fresh, engine_source, tmp_path):
    source = engine_source(gate=str(engine_source.gate))
    made = [fresh(name, source=source, store_dir=tmp_path / "store") for name in ("a", "b")]
    tasks = [d.post(SWITCH, {"gpu_backend": "cpu"}, 202)["task_id"] for d in made]

    def begun() -> int:
        return sum(compile_lines(d, t) for d, t in zip(made, tasks, strict=True))

    wait_until(begun, what="a compilation")
    for daemon, task in zip(made, tasks, strict=True):
        state = daemon.get(f"/tasks/{task}")["task"]["state"]
        assert state == "running", state
    engine_source.gate.touch()
    for daemon, task in zip(made, tasks, strict=True):
        assert daemon.wait_task(task)["state"] == "succeeded"
    assert begun() == 1
    assert [d.chat("tiny.Q8_0").status_code for d in made] == [200, 200]


# --- the state folder -------------------------------------------------------------------------


def refused(daemon) -> str:
    done = daemon.cli("serve", *daemon.flags())
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_a_state_folder_that_cannot_be_made_ends_the_start(fresh, tmp_path):
    tmp_path.joinpath("file").write_text("x")
    assert f"{tmp_path}/file" in refused(fresh(start=False, state_dir=tmp_path / "file/state"))


def test_a_state_folder_on_a_read_only_disk_ends_the_start(fresh, small_disk):
    folder, _ = small_disk
    words = ["mount", "-o", "remount,ro", str(folder)]
    subprocess.run(words, check=True)
    said = refused(fresh(start=False, state_dir=folder / "state"))
    assert str(folder) in said
    assert "read-only" in said.lower()


# --- verification -----------------------------------------------------------------------------


@pytest.fixture
def unproved(fresh, prepared, tmp_path):
    """A daemon with built pieces that nobody has verified, a model on cpu, and the settings of the
    fake module: behave(list_devices=False)."""
    store = tmp_path / "store"
    # The pieces alone: who uses them and what is being made changes while other tests run.
    pieces_only = shutil.ignore_patterns("roots", ".*")
    shutil.copytree(prepared.state / "store", store, symlinks=True, ignore=pieces_only)
    daemon = fresh(source=prepared.settings["engine_source"], store_dir=store)
    daemon.switch("tiny.Q8_0", "cpu")
    module = next(store.glob("*/libggml-vulkan.so"))

    def behave(**what) -> None:
        module.parent.chmod(0o755)
        module.with_name("libggml-vulkan.so.fake.json").write_text(json.dumps(what))

    return daemon, behave


def environment(daemon, backend: str = "vulkan") -> dict:
    return daemon.get(f"/llm/api/environments/llm_tiny_{backend}")["environment"]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"list_devices": False}, "no .*device"),
        ({"logprob_shift": 1.5}, "wrong numbers|add up"),
        ({"wrong_device": True}, "no weights"),
        ({"crash_on_load": "SIGILL"}, "SIGILL|instruction"),
    ],
    ids=["no device", "bad numbers", "the CPU instead", "SIGILL"],
)
def test_a_failed_verification_keeps_the_build_and_the_association(unproved, fault, word):
    daemon, behave = unproved
    behave(**fault)
    error = fails(daemon, "vulkan", "verification_failed")
    assert re.search(word, error["message"]), error
    failed = environment(daemon)
    assert failed["state"] == "failed"
    assert re.search(word, failed["reason"]), failed
    assert daemon.chat("tiny.Q8_0").status_code == 200
    behave()
    task = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert compile_lines(daemon, task) == 0, "the build is kept: only verified again"
    assert environment(daemon)["state"] == "ready"


def test_no_memory_for_the_check_leaves_it_to_the_first_load(unproved):
    daemon, behave = unproved
    behave(free_mib=1)
    daemon.switch("tiny.Q8_0", "vulkan")
    built = environment(daemon)
    assert built["state"] == "built"
    assert "MiB" in built["reason"]
    daemon.switch("tiny.Q8_0", "vulkan", reload=True)
    assert not stages(daemon.state / "store")
    assert environment(daemon)["state"] == "ready"
    assert "vulkan" in daemon.chat("tiny.Q8_0").json()["choices"][0]["message"]["content"]


# --- the daemon's own end ---------------------------------------------------------------------


def alive(pid: int) -> bool:
    """Not so is also one whose end its new parent has not looked at yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_a_killed_daemon_takes_its_worker_along_and_finds_all_as_it_was(daemon, model):
    daemon.post(f"{MODEL}/load", {"n_ctx": 512}, 200)
    before = daemon.model("tiny.Q8_0")
    environments = daemon.get("/llm/api/environments")["environments"]
    pid = before["worker"]["pid"]
    daemon.kill()
    wait_until(lambda: not alive(pid), 1, "the worker's end")
    daemon.start()
    after = daemon.model("tiny.Q8_0")
    assert after["state"] == "unloaded"
    assert {k: after[k] for k in ("gpu_backend", "environment", "options")} == {
        k: before[k] for k in ("gpu_backend", "environment", "options")
    }
    assert daemon.get("/llm/api/environments")["environments"] == environments
    assert daemon.chat("tiny.Q8_0").status_code == 200


def test_sigterm_with_an_open_stream_stops_soon(daemon, model):
    model.behave(token_seconds=0.02, stop_hangs=True)
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model("tiny.Q8_0")["worker"]["pid"]
    body = {"model": "tiny.Q8_0", "stream": True, "max_tokens": 100000, "messages": []}
    url = f"{daemon.http.base_url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=30) as answer:
        next(answer.iter_lines())
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 8
    assert not alive(pid)


@pytest.mark.parametrize(
    "fault",
    [
        "fs.rename:4:crash",
        "fs.write:1",
        "fs.write:3",
        "store.publish:1:crash",
        "db.write:9:crash",
        "db.commit:1",
    ],
)
def test_a_first_switch_that_breaks_anywhere_can_be_done_again(fresh, fake_model, fault):
    daemon = fresh(start=False)
    daemon.env["FAULT"] = fault
    path = fake_model().path
    with contextlib.suppress(AssertionError, httpx.TransportError):
        daemon.start()
        daemon.add(path)
        task = daemon.post(SWITCH, {"gpu_backend": "vulkan"}, 202)["task_id"]
        daemon.wait_task(task)
    assert daemon.stop() in ((-signal.SIGKILL,) if "crash" in fault else (0, 1))
    del daemon.env["FAULT"]
    daemon.start()
    assert all(s.joinpath("note").exists() for s in stages(daemon.state / "store"))
    if not daemon.get("/llm/api/models")["models"]:
        daemon.add(path)
    for task in daemon.get("/tasks")["tasks"]:
        assert task["state"] in ("succeeded", "failed"), task
    daemon.switch("tiny.Q8_0", "vulkan", reload=True)
    assert not stages(daemon.state / "store")
    assert environment(daemon)["state"] == "ready"
    assert "vulkan" in daemon.chat("tiny.Q8_0").json()["choices"][0]["message"]["content"]
