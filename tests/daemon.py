# SPDX-License-Identifier: Apache-2.0
"""The real daemon in a folder of its own, and its command line, for tests."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
FAKES = ROOT / "tests/fakes"


class Daemon:
    """`shunt serve`. Everything it keeps is below `folder`; start() may be called again."""

    def __init__(self, binary: Path, folder: Path, env: dict[str, str] | None = None, **settings):
        self.binary, self.folder = binary, folder
        self.state = folder / "state"
        self.socket = folder / "s"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        # sanitizers and their reports
        self.env |= {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        self.given = env or {}
        self.env |= self.given
        self.settings = {"state_dir": self.state, "socket": self.socket, "listen": "127.0.0.1:0"}
        self.settings |= settings
        self.fields: dict = {}  # of every model that is added
        self.process: subprocess.Popen | None = None
        self.lines: list[str] = []
        self.port = 0
        self.http = httpx.Client()

    def flags(self) -> list[str]:
        return [f"--{key.replace('_', '-')}={value}" for key, value in self.settings.items()]

    def start(self) -> "Daemon":
        self.lines = []
        self.process = subprocess.Popen(
            [self.binary, "serve", *self.flags()],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        ready = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        self.reader.start()
        assert ready.wait(30), "no daemon after 30 s:\n" + "".join(self.lines)
        found = [re.search(r"ready .*\bport=(\d+)", line) for line in self.lines]
        ports = [int(m[1]) for m in found if m]
        assert ports, "the daemon did not start:\n" + "".join(self.lines)
        self.port = ports[0]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        return self

    def _read(self, process: subprocess.Popen, ready: threading.Event) -> None:
        for line in process.stderr:
            self.lines.append(line)
            if "ready " in line and "port=" in line:
                ready.set()
        ready.set()  # it has ended

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        if self.process is None:
            return 0
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def signal(self) -> None:
        """SIGTERM, and it is heard of."""
        before = len(self.lines)
        self.process.send_signal(signal.SIGTERM)
        wait_until(
            lambda: (
                self.process.poll() is not None
                or any("stopping signal=" in line for line in self.lines[before:])
            ),
            what="SIGTERM",
        )

    def ended(self) -> int:
        """The exit status of a daemon that was told to end."""
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the daemon did not stop:\n" + "".join(self.lines)) from None
        self.reader.join(5)
        self.process = None
        return status

    def kill(self) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait(10)
        self.process = None

    # --- talking to it ------------------------------------------------------------------------

    def call(self, method: str, path: str, body=None, status: int | None = None) -> dict:
        """A management call; its JSON. With status: that is asserted."""
        answer = self.http.request(method, path, json=body)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.text}"
        return answer.json()

    def get(self, path: str, status: int = 200) -> dict:
        return self.call("GET", path, status=status)

    def post(self, path: str, body=None, status: int | None = None) -> dict:
        return self.call("POST", path, body, status)

    def model(self, model: str) -> dict:
        return self.get(f"/llm/api/models/{model}")["model"]

    def add(self, path: Path, **fields) -> dict:
        return self.post("/llm/api/models", {"path": str(path), **self.fields, **fields}, 201)[
            "model"
        ]

    def wait_task(self, task: str, seconds: float = 60) -> dict:
        """The task's last snapshot, once it is finished."""
        end = time.monotonic() + seconds
        while True:
            snapshot = self.get(f"/tasks/{task}")["task"]
            if snapshot["state"] in ("succeeded", "failed", "cancelled"):
                return snapshot
            assert time.monotonic() < end, f"not finished after {seconds} s: {snapshot}"
            time.sleep(0.02)

    def switch(self, model: str, backend: str, seconds: float = 60, **fields) -> dict:
        """switch-backend to its end, which must be success; the answer to the POST."""
        answer = self.post(
            f"/llm/api/models/{model}/switch-backend", {"gpu_backend": backend, **fields}, 202
        )
        task = self.wait_task(answer["task_id"], seconds)
        assert task["state"] == "succeeded", task
        return answer

    def chat(self, model: str, text: str = "hello", **fields) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.http.post("/v1/chat/completions", json=body)

    def cli(self, *args, **kwargs) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.binary, f"--socket={self.socket}", *map(str, args)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            **kwargs,
        )

    def cli_json(self, *args) -> dict:
        done = self.cli("--json", *args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def wait_until(true, seconds: float = 10, what: str = "it"):
    """Waits until true() is; for what has no event to wait for."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)
    return value


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes whose working folder or words are below this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            cwd = str(process.joinpath("cwd").readlink())
        except OSError:
            continue
        if str(folder) in words or cwd.startswith(str(folder)):
            found.append(words)
    return found
