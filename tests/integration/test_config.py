# SPDX-License-Identifier: Apache-2.0
"""`shunt config show` and what a broken configuration stops."""

import os
import subprocess


def shunt(binary, *args, **variables):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    return subprocess.run([binary, *args], capture_output=True, text=True, timeout=20, env=env)


def test_what_is_shown_is_read_again(shunt_binary, tmp_path):
    file = tmp_path / "shunt.conf"
    first = shunt(shunt_binary, "config", "show", "--listen", "", "--hold-bytes=3GB",
                  SHUNT_WORKER_ENV='A=0,1 B="x y"')  # fmt: skip
    assert first.returncode == 0, first.stderr
    assert 'listen = ""\n' in first.stdout
    assert 'worker_env = A=0,1 B="x y"\n' in first.stdout
    file.write_text(first.stdout)
    again = shunt(shunt_binary, "config", "show", "--config", file)
    assert again.stdout == first.stdout


def test_a_broken_file_stops_all_but_version_and_help(shunt_binary, tmp_path):
    file = tmp_path / "shunt.conf"
    file.write_text("listen = 127.0.0.1:0\nhold_limt = 5\n")
    for command in ("serve", "status", "config"):
        done = shunt(shunt_binary, f"--config={file}", command)
        assert done.returncode == 2
        assert done.stderr.startswith(f"shunt: {file}:2: unknown setting 'hold_limt'\n")
    for command in ("version", "help"):
        assert shunt(shunt_binary, f"--config={file}", command).returncode == 0


def test_a_named_file_must_be_there(shunt_binary, tmp_path):
    done = shunt(shunt_binary, "config", "show", "--config", tmp_path / "absent")
    assert done.returncode != 0
    assert "absent" in done.stderr
