# SPDX-License-Identifier: Apache-2.0
"""Completions, in the shells themselves where they are installed."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest


@pytest.fixture
def line(daemon, fake_model, tmp_path):
    """A folder in which `shunt` is the one under test and talks to a daemon with two models."""
    for name in ("tiny.gguf", "tall.gguf"):
        daemon.add(fake_model(name).path)
    program = tmp_path / "bin/shunt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {daemon.binary} --socket={daemon.socket} "$@"\n')
    program.chmod(0o755)
    daemon.env |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb"}
    return daemon


def words(daemon, *line: str) -> dict[str, str]:
    done = daemon.cli("completion", "words", "--", *line)
    assert done.returncode == 0, done.stderr
    return dict(row.split("\t") for row in done.stdout.splitlines())


def test_the_words_that_may_come_next(line):
    commands = words(line, "")
    helped = line.cli("help").stdout
    assert len(commands) > 18
    for name, meaning in commands.items():
        assert meaning
        assert name in helped
    assert words(line, "swi").keys() == {"switch"}
    assert words(line, "switch", "t") == {"tiny": "unloaded", "tall": "unloaded"}
    assert words(line, "--json", "switch", "tin").keys() == {"tiny"}
    backends = {"cpu", "cuda", "rocm", "vulkan"}
    assert words(line, "switch", "tiny", "").keys() == backends | {"auto"}
    assert words(line, "bench", "tiny", "cpu", "").keys() == backends
    assert words(line, "switch", "--force", "tiny", "v").keys() == {"vulkan"}
    assert words(line, "switch", "tiny", "cpu", "") == {}
    assert words(line, "switch", "tiny", "--").keys() == {
        "--no-reload", "--detach", "--force", "--arch", "--yes", "--json", "--quiet", "--help",
    }  # fmt: skip
    assert words(line, "switch", "--", "--") == {}
    assert {"ls", "create", "rm", "gc", "path"} <= words(line, "env", "").keys()
    assert words(line, "env", "create", "tall", "c").keys() == {"cpu", "cuda"}
    assert words(line, "env", "ls", "") == {}
    ready = {e["name"] for e in line.get("/llm/api/environments")["environments"]}
    assert words(line, "env", "path", "").keys() == ready != set()
    assert words(line, "run", "x", "--backend", "").keys() == {"cpu", "cuda", "rocm", "vulkan"}
    assert words(line, "add", "x.gguf", "--id", "") == {}
    assert words(line, "add", "") == {"": ""}  # files
    assert words(line, "set", "tiny", "n_c").keys() == {"n_ctx=", "n_cpu_moe="}
    assert words(line, "set", "tiny", "n_ctx=1", "n_ct").keys() == {"n_ctx="}
    assert words(line, "serve", "--store").keys() == {"--store-dir"}
    assert words(line, "nonsense", "") == {}
    assert words(line, "config", "").keys() == {"show"}


def test_without_a_daemon_there_are_still_commands(line):
    line.stop()
    assert words(line, "stat").keys() == {"status"}
    assert words(line, "switch", "") == {}


def shell(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def test_bash(line, tmp_path):
    def complete(*typed: str) -> list[str]:
        script = (
            'source <(shunt completion bash); COMP_WORDS=(shunt "$@"); COMP_CWORD=$#; _shunt; '
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            [shell("bash"), "--norc", "-c", script, "bash", *typed],
            env=line.env, cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert "unbound" not in done.stderr
        return done.stdout.split()

    assert complete("swi") == ["switch"]
    assert complete("switch", "ti") == ["tiny"]
    assert complete("switch", "tiny", "cu") == ["cuda"]
    assert "--force" in complete("switch", "tiny", "cuda", "--f")
    assert complete("add", "tin") == ["tiny.gguf"]


def test_fish(line, tmp_path):
    def complete(typed: str) -> list[str]:
        done = subprocess.run(
            [shell("fish"), "--no-config", "-c",
             "shunt completion fish | source; complete -C $argv", typed],
            env=line.env, cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [row.split("\t")[0] for row in done.stdout.splitlines()]

    assert complete("shunt swi") == ["switch"]
    assert complete("shunt switch ti") == ["tiny"]
    assert complete("shunt switch tiny cu") == ["cuda"]
    assert sorted(complete("shunt switch ")) == ["tall", "tiny"]
    assert complete("shunt switch tiny cuda --f") == ["--force"]
    assert complete("shunt add tin") == ["tiny.gguf"]


def test_zsh(line, tmp_path):
    """Zsh completes only at a terminal: ours reads what Tab makes of a line."""
    (tmp_path / "rc").mkdir()
    (tmp_path / "rc/.zshrc").write_text(
        "PS1='> '; unsetopt zle_bracketed_paste beep prompt_sp; autoload -Uz compinit; "
        "compinit -u -D; source <(shunt completion zsh); print -r READY\n"
    )
    environment = line.env | {"ZDOTDIR": str(tmp_path / "rc"), "TERM": "dumb"}
    program = shell("zsh")
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(program, [program, "-i"], environment)
    seen = ""

    def read(until: str) -> str:
        nonlocal seen
        end = time.monotonic() + 30
        while until not in seen:
            assert time.monotonic() < end, f"no {until!r} in {seen!r}"
            if select.select([fd], [], [], 1)[0]:
                seen += os.read(fd, 65536).decode(errors="replace")
        before, _, seen = seen.partition(until)
        return before

    try:
        read("READY")
        for typed, then in (
            ("shunt swi\t", "switch "),
            ("shunt switch ti\t", "tiny "),
            ("shunt switch tiny cu\t", "cuda "),
            ("shunt add tin\t", "tiny.gguf "),
        ):
            os.write(fd, typed.encode())
            read(then)
            os.write(fd, b"\x15")  # the line is forgotten
    finally:
        os.close(fd)
        os.waitpid(pid, 0)
