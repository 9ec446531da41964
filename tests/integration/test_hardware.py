# SPDX-License-Identifier: Apache-2.0
"""GPUs as NVIDIA's library and sysfs show them: fakes of both, and what the daemon says of them."""

import json
import time
from pathlib import Path

import pytest

from daemon import wait_until

ID = "tiny.Q8_0"
MODEL = f"/llm/api/models/{ID}"
DETECT = "/llm/api/hardware/detect"
NAVI = {
    "class": "0x030000",
    "vendor": "0x1002",
    "device": "0x744c",
    "mem_info_vram_total": "25753026560",
    "mem_info_vram_used": "753026560",
    "mem_info_vram_vendor": "samsung",
}


def test_gpus_are_known_before_any_environment(machine):
    daemon = machine("gpus 2\n", **{"0000:03:00.0": NAVI})
    names = [e["name"] for e in daemon.get("/llm/api/environments")["environments"]]
    for name in names:
        daemon.call("DELETE", f"/llm/api/environments/{name}", status=200)
    seen = daemon.get(DETECT)
    assert seen["nvidia"] == {
        "driver": "580.159.04", "cuda": "13.0", "why_not": None, "hint": None,
    }  # fmt: skip
    amd, first, second = seen["gpus"]
    assert amd == {
        "name": "amd 1002:744c",
        "kind": "discrete",
        "vendor": "amd",
        "pci": "0000:03:00.0",
        "uuid": None,
        "compute_capability": None,
        "driver": "amdgpu",
        "driver_version": None,
        "memory_bytes": 25753026560,
        "memory_used_bytes": 753026560,
        "memory_free_bytes": 25000000000,
        "devices": [],
    }
    assert [first["name"], first["compute_capability"], first["driver"], first["devices"]] == [
        "NVIDIA H200", "9.0", "nvidia", [],
    ]  # fmt: skip
    assert first["memory_bytes"] == first["memory_used_bytes"] + first["memory_free_bytes"]
    assert first["driver_version"] == "580.159.04"
    assert first["uuid"] != second["uuid"]
    assert [first["pci"], second["pci"]] == ["0000:0f:00.0", "0000:1f:00.0"]
    said = daemon.cli("doctor").stdout
    assert "✓ NVIDIA H200 (0000:1f:00.0): driver nvidia 580.159.04, runs CUDA up to 13.0" in said
    assert said.count("✓ NVIDIA H200") == 2
    assert "✗ amd 1002:744c (0000:03:00.0): no" in said, "the tree has no /dev/dri"


def test_a_module_s_device_is_the_card_that_the_driver_names(machine):
    daemon = machine("gpus 1\nname Fake Vulkan\n")
    (gpu,) = daemon.get(DETECT)["gpus"]
    assert gpu["uuid"].startswith("GPU-")
    assert [(d["backend"], d["device"]) for d in gpu["devices"]] == [("vulkan", "Vulkan0")]
    assert gpu["memory_bytes"] == 143771 << 20, "the driver's, not the module's"


def test_vulkan_tells_which_card_it_calls_vulkan0(machine):
    daemon = machine(
        "gpus 2\n",
        "device 2 0000:1f:00.0 1 4 8192 8000 Fake Vulkan\n"
        "device 2 0000:0f:00.0 0 4 8192 8000 Fake Vulkan\n"
        "device 4 - 9 13 2048 - llvmpipe\n",
    )
    seen = daemon.get(DETECT)
    first, second = seen["gpus"]
    assert (first["pci"], first["devices"]) == ("0000:0f:00.0", [])
    assert second["devices"] == [
        {"backend": "vulkan", "device": "Vulkan0", "driver": "NVIDIA 1.2.3"}
    ]
    assert seen["vulkan"]["version"] == "1.3.239"
    devices = seen["vulkan"]["devices"]
    assert [d["device"] for d in devices] == ["Vulkan0", "Vulkan1", None]
    assert [d["kind"] for d in devices] == ["discrete", "discrete", "software"]
    assert devices[0] == {
        "name": "Fake Vulkan",
        "kind": "discrete",
        "device": "Vulkan0",
        "pci": "0000:1f:00.0",
        "uuid": second["uuid"],
        "driver": "NVIDIA 1.2.3",
        "memory_bytes": 8192 << 20,
        "memory_free_bytes": 8000 << 20,
    }
    said = " ".join(daemon.cli("doctor").stdout.split())
    assert "✓ Vulkan0 is Fake Vulkan, 0000:1f:00.0: NVIDIA 1.2.3" in said
    assert "llvmpipe is a CPU that plays a GPU: llama.cpp leaves it out" in said


def test_devices_of_vulkan_are_known_before_an_environment(machine):
    daemon = machine(
        "", "device 2 0000:0f:00.0 0 4 9000 8000 Card A\ndevice 4 - 9 13 8 - llvmpipe\n"
    )
    for e in daemon.get("/llm/api/environments")["environments"]:
        daemon.call("DELETE", f"/llm/api/environments/{e['name']}", status=200)
    found = {b["name"]: b for b in daemon.get("/llm/api/backends")["backends"]}
    assert found["vulkan"]["devices"] == [
        {
            "backend": "vulkan",
            "device": "Vulkan0",
            "name": "Card A",
            "driver": "NVIDIA 1.2.3",
            "memory_bytes": 9000 << 20,
            "memory_free_bytes": 8000 << 20,
        }
    ]
    assert found["vulkan"]["devices_why_not"] is None
    assert found["cuda"]["devices"] == []
    assert "no ready environment" in found["cuda"]["devices_why_not"]
    if not found["vulkan"]["why_not"]:
        assert "Vulkan0 Card A" in daemon.cli("backends").stdout


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [("hang\n", "did not answer within 2 s"), ("crash\n", "killed by SIGABRT")],
)
def test_a_broken_vulkan_driver_is_named_and_harms_nothing(machine, behaviour, why):
    daemon = machine("gpus 1\n", behaviour)
    seen = daemon.get(DETECT)
    assert why in seen["vulkan"]["why_not"]
    assert seen["vulkan"]["devices"] == []
    assert len([g for g in seen["gpus"] if g["uuid"]]) == 1
    said = " ".join(daemon.cli("doctor").stdout.split())
    assert why in said
    assert "/usr/share/vulkan/icd.d" in said
    seen = " ".join(daemon.cli("doctor", "cuda").stdout.split())
    assert why not in seen


@pytest.mark.parametrize(
    ("behaviour", "why", "remedy"),
    [
        (None, "no driver that computes", "install the NVIDIA driver"),
        ("init 9\n", "kernel module is not loaded", "sudo modprobe nvidia"),
        ("init 18\n", "of two versions", "restart"),
        ("hang\n", "did not answer within 2 s", "nvidia-smi -pm 1"),
    ],
)
def test_half_a_driver_is_named_and_harms_nothing(machine, behaviour, why, remedy):
    card = {"class": "0x030200", "vendor": "0x10de", "device": "0x2335"}
    daemon = machine(behaviour, **{"0000:0f:00.0": card})
    seen = daemon.get(DETECT)
    assert why in seen["nvidia"]["why_not"]
    assert remedy in seen["nvidia"]["hint"]
    assert ("nvidia 10de:2335", None) in [(g["name"], g["memory_bytes"]) for g in seen["gpus"]]
    done = daemon.cli("doctor", "--json")
    (gpu,) = (f for f in json.loads(done.stdout)["findings"] if "10de:2335" in f["what"])
    assert gpu["state"] == "bad"
    assert gpu["command"] or gpu["advice"]
    assert done.returncode == 1


@pytest.mark.server
@pytest.mark.parametrize(("driver_says", "believed"), [(5 << 30, True), (1, False)])
def test_health_has_the_memory_that_the_driver_counts(
    machine, tmp_path, fake_model, driver_says, believed
):
    """Less than its buffers is another process's: of the host, whose pids a container's are not."""
    daemon = machine("")
    daemon.add(fake_model().path)
    daemon.switch(ID, "vulkan")
    daemon.post(f"{MODEL}/load", {}, 200)
    pid = daemon.model(ID)["worker"]["pid"]
    (tmp_path / "nvml.fake").write_text(f"process 0 {pid} {driver_says}\n")
    health = daemon.get(f"{MODEL}/health")
    assert health["device_memory_bytes"] > 0, "nobody waits for the driver"
    if believed:

        def has_it() -> bool:
            return daemon.get(f"{MODEL}/health")["device_memory_bytes"] == driver_says

        wait_until(has_it, 60, "the driver's word")
        health = daemon.get(f"{MODEL}/health")
    else:
        time.sleep(1)
        health = daemon.get(f"{MODEL}/health")
        assert health["device_memory_bytes"] > driver_says
    assert health["memory_bytes"] > health["device_memory_bytes"]
    daemon.switch(ID, "cpu")
    assert daemon.get(f"{MODEL}/health")["device_memory_bytes"] == 0


def asks_nvml(folder: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            asks = b"probe-nvml" in (process / "cmdline").read_bytes()
            if asks and str(folder).encode() in (process / "environ").read_bytes():
                return True
        except OSError:  # it has gone
            pass
    return False


@pytest.mark.server
def test_health_does_not_wait_for_a_driver_that_hangs(machine, fake_model, tmp_path):
    daemon = machine("hang\n")
    daemon.add(fake_model().path)
    daemon.switch(ID, "vulkan")
    daemon.post(f"{MODEL}/load", {}, 200)
    daemon.get(f"{MODEL}/health")
    wait_until(lambda: asks_nvml(tmp_path), what="the question, which is asked beside")


@pytest.mark.server
def test_a_benchmark_knows_the_maker_s_driver(machine, fake_model):
    daemon = machine("gpus 1\n", "device 2 0000:0f:00.0 0 4 8192 8000 Fake Vulkan\n")
    daemon.add(fake_model().path)
    daemon.switch(ID, "vulkan")
    task = daemon.post(f"{MODEL}/benchmark", {"backends": ["vulkan"]}, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    (found,) = daemon.get(f"{MODEL}/benchmark")["benchmarks"]
    assert found["driver"].endswith(", NVIDIA 1.2.3")
    assert found["stale"] is None
