# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: the daemon under test, percentiles, a table or one JSON line."""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import crowd  # noqa: E402
import fault_points  # noqa: E402
import gguf_file  # noqa: E402
import kills  # noqa: E402
import soak  # noqa: E402
from daemon import FAKES, Daemon, wait_until  # noqa: E402

__all__ = ["FAKES", "Daemon", "crowd", "fault_points", "gguf_file", "kills", "soak", "wait_until"]


def arguments(what: str, **options) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of a table")
    for name, default in options.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def binary() -> Path:
    """The release build: figures of another one say nothing."""
    path = Path(os.environ.get("SHUNT_BINARY", ROOT / "build/release/shunt"))
    if not path.is_file():
        sys.exit(f"{path} is not built: cmake --preset release && cmake --build --preset release")
    return path


@contextmanager
def fake_daemon(**settings):
    """A daemon that builds with the fakes, in a folder that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as folder:
        env = {"PATH": f"{FAKES}:{os.environ['PATH']}"}
        settings = {"engine_source": FAKES / "engine-source"} | settings
        daemon = Daemon(binary(), Path(folder), env, **settings)
        try:
            yield daemon
        finally:
            daemon.stop()


def prepare(folder: Path) -> Daemon:
    """A stopped daemon that has built for cpu and vulkan."""
    folder.mkdir()
    env = {"PATH": f"{FAKES}:{os.environ['PATH']}"}
    daemon = Daemon(binary(), folder, env, engine_source=FAKES / "engine-source").start()
    daemon.add(gguf_file.tiny_llama(folder / "first.gguf", layers=1))
    for backend in ("vulkan", "cpu"):
        daemon.switch("first", backend)
    daemon.call("DELETE", "/llm/api/models/first", status=200)
    assert daemon.stop() == 0
    return daemon


def copy_of(ready: Daemon, folder: Path, empty: bool = False) -> Daemon:
    """With the same builds, or none, and no model."""
    folder.mkdir()
    if not empty:
        shutil.copytree(ready.state, folder / "state", symlinks=True)
    return Daemon(ready.binary, folder, ready.env, engine_source=ready.settings["engine_source"])


def model_file(folder: Path) -> Path:
    return gguf_file.tiny_llama(folder / "m.gguf", layers=1)


@contextmanager
def ready_daemon(**settings):
    """A running daemon with a model "m" that is ready for cpu and vulkan, on cpu."""
    with fake_daemon(**settings) as daemon:
        daemon.start()
        daemon.add(model_file(daemon.folder))
        for backend in ("vulkan", "cpu"):
            daemon.switch("m", backend)
        yield daemon


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def report(options: argparse.Namespace, title: str, rows: dict[str, dict[str, float]]) -> None:
    """rows: name → column → figure; columns carry their unit in their name."""
    if options.json:
        print(json.dumps(rows))
        return
    cpu = platform.processor() or platform.machine()
    print(f"{title}  ({cpu}, {os.cpu_count()} cores, Linux {platform.release()})")
    columns = list(next(iter(rows.values())))
    print(f"{'':24}" + "".join(f"{column:>14}" for column in columns))
    for name, row in rows.items():
        print(
            f"{name:24}" + "".join(f"{row.get(column, float('nan')):14.3f}" for column in columns)
        )
