# SPDX-License-Identifier: Apache-2.0
"""SPIN on tests/model/switch.pml: it holds, and each rule that it rests on is needed."""

import os
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parent / "model" / "switch.pml"
SAFETY = ["-noclaim"]
LIVENESS = ["-a", "-f"]  # under weak fairness


def search(folder: Path, text: str, how: list[str]) -> str:
    """What the search of all states says."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GCC_")}
    (folder / "m.pml").write_text(text)
    for step in (
        ["spin", "-DCLIENTS=2", "-a", "m.pml"],
        ["gcc", "-O2", "-w", "-DMEMLIM=2000", "-o", "pan", "pan.c"],
        ["./pan", "-m200000", *how],
    ):
        done = subprocess.run(step, cwd=folder, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("how", [SAFETY, LIVENESS], ids=["safety", "every request ends"])
def test_all_states_are_good(tmp_path, how):
    said = search(tmp_path, MODEL.read_text(), how)
    assert "errors: 0" in said, said
    assert "Search not completed" not in said, said


LEFT = "#define line_is_left (!busy && entry == NONE && !load_wanted && route == HELD)"


@pytest.mark.parametrize(
    ("rules", "how", "finds"),
    [
        ({"\troute_drain(old);\n": ""}, SAFETY, "assertion violated"),
        (
            {"route_hold() { atomic { routed = NONE; route = HELD } }": "route_hold() { skip }"},
            SAFETY,
            "assertion violated",
        ),
        (
            {":: running[old] == 0 -> worker_stop(old)": ":: worker_stop(old)"},
            SAFETY,
            "assertion violated",
        ),
        (
            {"change_go_on();\n\t\t\tassociation = old;": "change_go_on();"},
            SAFETY,
            "assertion violated",
        ),
        (
            {LEFT: "#define line_is_left (false)", "-> route_close() /* give_up": "-> skip /*"},
            LIVENESS,
            "acceptance cycle",
        ),
    ],
    ids=["drain", "hold", "finish the old", "put the association back", "close the route"],
)
def test_without_one_rule_something_is_lost(tmp_path, rules, how, finds):
    text = MODEL.read_text()
    for code, instead in rules.items():
        assert code in text
        text = text.replace(code, instead)
    said = search(tmp_path, text, how)
    assert finds in said, said
