# SPDX-License-Identifier: Apache-2.0
"""What holds of a daemon and its folders when nothing is being done, whatever was before."""

import contextlib
import fcntl
import json
import sqlite3
from pathlib import Path

from daemon import Daemon, wait_until

FINISHED = ("succeeded", "failed", "cancelled")


def processes(folder: Path) -> list[int]:
    """Those that work in the folder: a daemon, its workers, what they build with."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            cwd = Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # gone, or the kernel's
            continue
        if (cwd == folder or folder in cwd.parents) and state not in "ZX":
            found.append(int(entry.name))
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def locked(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def rows(db: sqlite3.Connection, sql: str) -> list[sqlite3.Row]:
    db.row_factory = sqlite3.Row
    return db.execute(sql).fetchall()


def check_database(db: sqlite3.Connection) -> None:
    assert [tuple(r) for r in rows(db, "PRAGMA integrity_check")] == [("ok",)]
    assert not rows(db, "PRAGMA foreign_key_check")
    for task in rows(db, "SELECT * FROM tasks"):
        assert task["state"] in FINISHED, dict(task)
        assert (task["error_type"] is None) == (task["state"] == "succeeded"), dict(task)
        assert task["finished"] > 0, dict(task)


def check_environments(daemon: Daemon, db: sqlite3.Connection) -> None:
    envs = daemon.state / "envs"
    names = set()
    for env in rows(db, "SELECT * FROM environments"):
        assert env["state"] in ("built", "ready", "failed"), dict(env)
        if env["state"] == "failed":
            assert env["reason"], dict(env)
            continue
        names.add(env["name"])
        check_environment(daemon, envs / env["name"], env)
    kept = {folder.name for folder in envs.iterdir()}
    failed = {e["name"] for e in rows(db, "SELECT * FROM environments WHERE state = 'failed'")}
    assert names <= kept <= names | failed, f"folders {kept}, environments {names} and {failed}"


def check_environment(daemon: Daemon, folder: Path, env: sqlite3.Row) -> None:
    store = Path(daemon.settings.get("store_dir", daemon.state / "store"))
    assert env["base_digest"], dict(env)
    assert (env["module_digest"] is None) == (env["backend"] == "cpu"), dict(env)
    facts = json.loads((folder / "env.json").read_text())
    for kind in ("base", "module"):
        digest = env[f"{kind}_digest"]
        assert facts[kind] == digest, f"{folder}: {facts}"
        assert digest is None or (store / digest / "manifest.json").is_file(), dict(env)
    links = [*folder.glob("bin/*"), *folder.glob("lib/*")]
    assert links
    assert all(link.exists() for link in links), f"{folder} has links to nothing"


def check_models(daemon: Daemon, db: sqlite3.Connection) -> None:
    for model in rows(db, "SELECT * FROM models"):
        shown = daemon.model(model["id"])
        assert shown["gpu_backend"] == model["backend"]
        assert shown["environment"] == model["environment"]
        if model["environment"] is None:
            continue
        sql = f"SELECT * FROM environments WHERE name = '{model['environment']}'"
        (env,) = rows(db, sql)
        assert env["backend"] == model["backend"], f"{dict(model)} and {dict(env)}"
        assert model["environment"].endswith(f"_{model['backend']}"), dict(model)


def check_processes(daemon: Daemon) -> None:
    models = daemon.get("/llm/api/models")["models"]
    for model in models:
        assert model["state"] in ("unloaded", "loaded", "failed"), model
        assert (model["state"] == "loaded") == (model["worker"] is not None), model
        assert model.get("task_id") is None, model
    workers = {m["worker"]["pid"] for m in models if m["worker"]}
    # Each worker is started by a guard of ours, which is the daemon's child.
    wanted = {daemon.process.pid} | workers | set(map(parent, workers))
    wait_until(lambda: set(processes(daemon.folder)) == wanted, 1, f"only {wanted}")
    folders = {Path(f"/proc/{pid}/cwd").readlink() for pid in workers}
    kept = {f for f in (daemon.state / "run").iterdir() if f.is_dir()}
    assert folders == kept, "folders of workers that are none"


def check_store(daemon: Daemon) -> None:
    """Other daemons of a shared store hold a lock for a moment, when they start."""
    store = Path(daemon.settings.get("store_dir", daemon.state / "store"))
    wait_until(lambda: not any(map(locked, store.glob(".lock-*"))), 5, "locks let go")


def check(daemon: Daemon) -> None:
    """Of a running daemon that has nothing to do."""
    with contextlib.closing(
        sqlite3.connect(f"file:{daemon.state}/shunt.db?mode=ro", uri=True)
    ) as db:
        check_database(db)
        check_environments(daemon, db)
        check_models(daemon, db)
    check_processes(daemon)
    check_store(daemon)


def check_answers(daemon: Daemon, model: str) -> None:
    """It can be loaded, if it isn't, and answers from where it says it is; on cpu if nowhere."""
    backend = daemon.model(model)["gpu_backend"]
    if backend is None:
        daemon.switch(model, backend := "cpu")
    daemon.post(f"/llm/api/models/{model}/load", {}, 200)
    said = daemon.chat(model, max_tokens=3)
    assert said.status_code == 200, said.text
    text = said.json()["choices"][0]["message"]["content"]
    assert text.startswith(f"{backend} "), f"{text!r} from {backend}"
    assert daemon.model(model)["worker"]["backend"] == backend
