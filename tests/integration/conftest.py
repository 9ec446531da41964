# SPDX-License-Identifier: Apache-2.0
"""The daemon with fakes, and models for it.

Building and verifying the fake pieces takes seconds, so it is done once a run: daemons start from
a copy of a state in which `tiny` has ready environments for cpu and vulkan, and share its store.
Tests of building itself ask for a fresh one.
"""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import gguf_file
from daemon import FAKES, Daemon
from python_site import Site

ENV = {"PATH": f"{FAKES}:{os.environ['PATH']}"}
SOURCE = FAKES / "engine-source"
# Not idle: on a busy machine a build would have to wait until the other tests are done.
DEFAULTS = {"engine_source": SOURCE, "build_priority": "normal"}


class FakeModel:
    """A tiny GGUF whose fake server behaves as `behave` says, from the next start on."""

    def __init__(self, path: Path):
        self.path = gguf_file.tiny_llama(path, layers=1)
        self.control = Path(f"{path}.fake.json")

    def behave(self, **what) -> None:
        self.control.write_text(json.dumps(what))


@pytest.fixture
def fake_model(tmp_path):
    def make(name: str = "tiny.Q8_0.gguf") -> FakeModel:
        return FakeModel(tmp_path / name)

    yield make
    for log in tmp_path.glob("*.fake.log"):
        asked = [json.loads(line) for line in log.read_text().splitlines()]
        strange = [a for a in asked if a["event"] == "stranger"]
        assert not strange, f"this runtime has no such path: {strange}"


def pytest_addoption(parser):
    parser.addoption(
        "--runtime",
        choices=("server", "python"),
        default="server",
        help="what models are run by, where a test doesn't say",
    )


@pytest.fixture(autouse=True)
def for_this_runtime(request):
    if (
        request.node.get_closest_marker("server")
        and request.config.getoption("runtime") != "server"
    ):
        pytest.skip("of what the runtime server alone can do")


@pytest.fixture(scope="session")
def nvml(tmp_path_factory) -> Path:
    """NVIDIA's library. A link to it, with nvml.fake beside, is found by LD_LIBRARY_PATH."""
    return compiled(tmp_path_factory.mktemp("nvml"), "libnvidia-ml.so.1", "nvml.c")


@pytest.fixture(scope="session")
def vulkan(tmp_path_factory) -> Path:
    """Vulkan's loader, likewise with vulkan.fake."""
    return compiled(tmp_path_factory.mktemp("vulkan"), "libvulkan.so.1", "vulkan.c")


def compiled(folder: Path, library: str, source: str) -> Path:
    made = folder / library
    words = ["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", made, FAKES / source, "-ldl"]
    subprocess.run(words, check=True)
    return made


@pytest.fixture(scope="session")
def prepared(shunt_binary, tmp_path_factory, pytestconfig) -> Daemon:
    """A stopped daemon whose state and store others start from; tests that run beside share it."""
    top = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent
    folder = top / "prepared"
    with Path(top / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if pytestconfig.getoption("runtime") == "python":
            site = Site(shunt_binary, top / "site", keep=True)
            daemon = Daemon(
                site.binary, folder, site.env, **(DEFAULTS | {"engine_source": site.source})
            )
            daemon.fields = {"runtime": "python"}
        else:
            daemon = Daemon(shunt_binary, folder, ENV, **DEFAULTS)
        if not (folder / "done").exists():
            folder.mkdir()
            daemon.start()
            daemon.add(FakeModel(folder / "tiny.gguf").path)
            for backend in ("cpu", "vulkan"):
                daemon.switch("tiny", backend)
            daemon.call("DELETE", "/llm/api/models/tiny", status=200)
            assert daemon.stop() == 0
            (folder / "done").touch()
    return daemon


@pytest.fixture
def make_daemon(shunt_binary, prepared, tmp_path):
    """Makes daemons; what is left running is stopped at the end."""
    made = []

    def make(name: str = "d", fresh: bool = False, **settings) -> Daemon:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        defaults = DEFAULTS | {"engine_source": prepared.settings["engine_source"]}
        if not fresh and "state_dir" not in settings:
            (folder / "state").mkdir()
            for kept in ("shunt.db", "owner"):
                shutil.copy(prepared.state / kept, folder / "state")
            defaults["store_dir"] = prepared.state / "store"
        made.append(Daemon(prepared.binary, folder, prepared.given, **(defaults | settings)))
        made[-1].fields = prepared.fields
        return made[-1]

    yield make
    for daemon in made:
        daemon.stop()


@pytest.fixture
def daemon(make_daemon) -> Daemon:
    return make_daemon().start()


@pytest.fixture
def model(daemon, fake_model):
    """Registered, on cpu, not loaded; vulkan is ready too."""
    model = fake_model()
    daemon.add(model.path)
    daemon.switch("tiny.Q8_0", "vulkan")
    daemon.switch("tiny.Q8_0", "cpu")
    return model


@pytest.fixture
def fresh_daemon(make_daemon) -> Daemon:
    """With an empty store: the first switch builds."""
    return make_daemon(fresh=True).start()


@pytest.fixture
def engine_source(tmp_path, prepared):
    """Makes copies of the fake engine's source whose build behaves as said (fakes/README.md)."""

    def make(name: str = "source", **what) -> Path:
        source = tmp_path / name
        shutil.copytree(prepared.settings["engine_source"], source)
        source.joinpath("fake-build.json").write_text(json.dumps(what))
        return source

    make.gate = tmp_path / "gate"
    return make


@pytest.fixture
def site(shunt_binary, tmp_path):
    return Site(shunt_binary, tmp_path / "site")


@pytest.fixture
def start(site, fake_model):
    """Starts the site's daemon with `tiny` registered, once the site is as a test wants it."""
    started = []

    def start(**env: str) -> Daemon:
        started.append(site.daemon(**env).start())
        started[-1].add(fake_model().path)
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 100 MB, and a function that makes it as large as said."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a file system")
    folder = tmp_path / "small"
    folder.mkdir()

    def mount(*options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    if not mount("size=100m"):
        pytest.skip("this machine lets nobody mount")
    yield folder, lambda size: mount("remount", f"size={size}")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def machine(make_daemon, nvml, vulkan, tmp_path):
    """A daemon on a machine with these PCI cards, and libraries of NVIDIA and Vulkan that behave
    so."""

    def make(behaviour: str | None = None, vulkan_has: str = "create -9\n", **cards: dict):
        for address, files in cards.items():
            folder = tmp_path / "sys/bus/pci/devices" / address
            folder.mkdir(parents=True)
            for name, text in files.items():
                (folder / name).write_text(f"{text}\n")
            if files["vendor"] == "0x1002":
                (folder / "driver").symlink_to("../../../drivers/amdgpu")
        daemon = make_daemon()
        daemon.env |= {"SYSFS_PATH": str(tmp_path / "sys"), "LD_LIBRARY_PATH": str(tmp_path)}
        (tmp_path / vulkan.name).symlink_to(vulkan)
        (tmp_path / "vulkan.fake").write_text(vulkan_has)
        if behaviour is not None:
            (tmp_path / nvml.name).symlink_to(nvml)
            (tmp_path / "nvml.fake").write_text(behaviour)
        return daemon.start()

    return make
