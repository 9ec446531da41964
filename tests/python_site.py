# SPDX-License-Identifier: Apache-2.0
"""An installed Shunt whose environments have a Python: a real one, a real hook and pip; the binding
and what it needs are fakes."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

from daemon import FAKES, ROOT, Daemon


def make_wheel(
    folder: Path, name: str, version: str = "1.0", files: dict[str, bytes] | None = None
) -> str:
    """A package that says its version, or has these files, executable when they are scripts; the
    wheel's SHA-256."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = files or {f"{name}.py": f"version = '{version}'\n".encode()}
    with zipfile.ZipFile(path, "w") as wheel:
        for file, data in files.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = (0o100755 if data.startswith(b"#!") else 0o100644) << 16
            wheel.writestr(entry, data)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        record = "".join(f"{file},,\n" for file in files)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/METADATA,,\n{info}/WHEEL,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Site:
    """An installed Shunt whose Python piece needs one wheel, from a folder that stands for the
    index; a python3 that can be taken away."""

    def __init__(self, binary: Path, folder: Path, keep: bool = False):
        """keep: one that is there already stays as it is."""
        self.folder, self.wheels = folder, folder / "wheels"
        self.binary = folder / "usr/bin/shunt"
        self.data = folder / "usr/share/shunt/engine/0.3.36/python"
        self.programs = folder / "programs"
        self.source = folder / "source"
        if keep and folder.exists():
            return
        self.binary.parent.mkdir(parents=True)
        shutil.copy(binary, self.binary)
        shutil.copytree(ROOT / "engine", folder / "usr/share/shunt/engine")
        self.pin(make_wheel(self.wheels, "needed"))
        launcher = FAKES.joinpath("serve.py").read_text().replace("@ROOT@", str(ROOT))
        self.data.joinpath("serve.py").write_text(launcher)
        shutil.copytree(FAKES / "engine-source", self.source)
        shutil.copytree(FAKES / "llama_cpp", self.source / "llama_cpp")
        binding = self.source / "llama_cpp/__init__.py"
        binding.write_text(binding.read_text().replace("@ROOT@", str(ROOT)))
        self.programs.mkdir()
        self.offer(shutil.which("python3"))

    def pin(self, sha256: str, *files: str) -> None:
        """In both lists, or in those that are named."""
        for name in files or ("requirements.txt", "requirements-server.txt"):
            self.data.joinpath(name).write_text(f"needed==1.0 --hash=sha256:{sha256}\n")

    def hold(self) -> Path:
        """From the next build on, `import llama_cpp` waits as long as this file is there."""
        gate = self.folder / "gate"
        gate.touch()
        with self.source.joinpath("llama_cpp/__init__.py").open("a") as binding:
            binding.write(
                f"import time\nwhile os.path.exists({str(gate)!r}):\n    time.sleep(0.05)\n"
            )
        return gate

    def offer(self, python: str | None) -> None:
        """Which python3 is found first."""
        link = self.programs / "python3"
        link.unlink(missing_ok=True)
        if python:
            link.symlink_to(python)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": f"{self.programs}:{FAKES}:{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            # none of which may get into builds and workers
            "PYTHONPATH": "/nowhere",
            "GGML_FAKE_NO_DEVICE": "1",
            "LLAMA_CPP_LIB_PATH": "/nowhere",
            # which would have pip refuse, or install elsewhere
            "PIP_USER": "1",
            "PIP_REQUIRE_VIRTUALENV": "1",
        }

    def daemon(self, **env: str) -> Daemon:
        (self.folder / "d").mkdir(exist_ok=True)
        return Daemon(
            self.binary,
            self.folder / "d",
            self.env | env,
            engine_source=self.source,
            build_priority="normal",
        )


def environment(daemon: Daemon, backend: str, name: str = "llm_tiny_{}") -> dict:
    return daemon.get(f"/llm/api/environments/{name.format(backend)}")["environment"]
