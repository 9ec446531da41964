# SPDX-License-Identifier: Apache-2.0
"""The command line as people and scripts use it."""

import json
import os
import pty

import pytest


@pytest.fixture
def model(daemon, fake_model):
    model = fake_model()
    assert daemon.cli("add", model.path).returncode == 0
    return model


def test_a_first_session(fresh_daemon, fake_model):
    daemon = fresh_daemon
    assert daemon.cli("add", fake_model().path).returncode == 0
    done = daemon.cli("switch", "tiny", "vulkan")
    assert done.returncode == 0, done.stderr
    assert "Creating vulkan environment" in done.stderr
    assert "%" in done.stderr
    assert "vulkan" in done.stdout
    said = daemon.cli("chat", "tiny.Q8_0", "hello", "there")
    assert said.returncode == 0, said.stderr
    assert "vulkan" in said.stdout
    status = daemon.cli("status")
    assert "tiny.Q8_0" in status.stdout
    assert "Vulkan0" in status.stdout
    assert "\x1b" not in status.stdout
    assert daemon.cli("unload", "tiny").returncode == 0
    assert "ready" in daemon.cli("env", "ls").stdout
    assert "llama" in daemon.cli("logs", "tiny").stdout.lower()


def test_exit_codes(daemon, model):
    for code, *args in (
        (0, "version"),
        (2, "nonsense"),
        (2, "switch", "tiny"),
        (2, "status", "--nonsense"),
        (2, "switch", "tiny", "quantum"),
        (3, "chat", "nobody", "hello"),
        (3, "cancel", "0123456789abcdef"),
        (4, "load", "tiny"),
        (1, "switch", "tiny", "rocm"),
    ):
        done = daemon.cli(*args)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        if code:
            assert done.stderr


def test_a_daemon_that_is_not_there_is_5(daemon, tmp_path):
    daemon.stop()
    done = daemon.cli("status")
    assert done.returncode == 5
    assert "shunt serve" in done.stderr


def test_json_is_what_the_api_said(daemon, model):
    assert daemon.cli_json("status")["models"][0]["id"] == "tiny.Q8_0"
    assert daemon.cli_json("switch", "tiny", "cpu")["model"]["gpu_backend"] == "cpu"
    assert daemon.cli_json("set", "tiny", "n_ctx=512")["model"]["options"]["n_ctx"] == 512
    assert daemon.cli_json("chat", "tiny", "hello")["text"]
    assert len(daemon.cli_json("backends")["backends"]) == 4
    assert daemon.cli_json("tasks")["tasks"]


def test_quiet_says_nothing_when_all_is_well(daemon, model):
    done = daemon.cli("--quiet", "switch", "tiny", "cpu")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failed_switch_tells_why_and_what_to_do(daemon, model):
    assert daemon.cli("switch", "tiny", "cpu").returncode == 0
    assert daemon.cli("switch", "tiny", "vulkan").returncode == 0
    assert daemon.cli("load", "tiny").returncode == 0
    model.behave(only_backend="cpu", crash_on_load="SIGSEGV")
    done = daemon.cli("switch", "tiny", "cpu")
    assert done.returncode == 1
    assert "still answers from vulkan" in done.stderr
    assert "try:" in done.stderr


def test_detach_and_follow(daemon, fake_model):
    assert daemon.cli("add", fake_model("new.gguf").path).returncode == 0
    done = daemon.cli("switch", "new", "vulkan", "--detach")
    task = done.stdout.split()[-2]
    assert daemon.cli("tasks", task, "--follow").returncode == 0
    log = daemon.cli("tasks", task, "--log")
    assert log.returncode == 0
    assert log.stdout
    assert daemon.cli("tasks", task).stdout.startswith("succeeded")


def test_run_goes_from_a_file_to_an_answer(daemon, fake_model):
    done = daemon.cli("run", fake_model().path, "hello")
    assert done.returncode == 0, done.stderr
    assert "cpu" in done.stdout


def test_removing_a_model_and_what_it_used(fresh_daemon, fake_model):
    daemon, model = fresh_daemon, fake_model()
    assert daemon.cli("add", model.path).returncode == 0
    assert daemon.cli("switch", "tiny", "cpu").returncode == 0
    name = daemon.cli_json("env", "ls")["environments"][0]["name"]
    assert daemon.cli("env", "rm", name).returncode == 4
    assert daemon.cli("rm", "tiny").returncode == 0
    assert model.path.exists()
    assert daemon.cli("env", "rm", name).returncode == 0
    assert "would free" in daemon.cli("env", "gc", "--dry-run").stdout
    assert len(daemon.cli_json("env", "gc")["removed"]) == 1
    assert daemon.cli_json("env", "gc")["removed"] == []


def test_doctor_names_what_is_missing(daemon):
    done = daemon.cli("doctor", "rocm")
    assert done.returncode == 1
    assert "✗ hipcc: missing" in done.stdout
    assert "all packages at once:\n  " in done.stdout
    assert "in the way" in done.stderr
    found = daemon.get("/llm/api/doctor?gpu_backend=amd")
    assert found["state"] == "bad"
    assert "hipcc" in found["install"]


def test_doctor_tells_what_is_there(daemon):
    done = daemon.cli("doctor", "vulkan", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (found["state"] == "bad")
    assert {"machine", "build", "python", "gpu", "vulkan"} <= {
        f["topic"] for f in found["findings"]
    }
    assert "cuda" not in {f["topic"] for f in found["findings"]}
    said = daemon.cli("doctor").stdout
    assert "✓ cmake" in said
    assert "✓ memory:" in said
    assert daemon.cli("doctor", "quantum").returncode == 2


def test_doctor_needs_no_daemon(daemon):
    daemon.stop()
    for words in ((), ("vulkan",)):
        done = daemon.cli("doctor", *words)
        assert done.returncode in (0, 1), done.stderr
        assert "! no daemon answers on" in done.stdout
        assert "✓ cmake" in done.stdout
    found = json.loads(daemon.cli("doctor", "--json").stdout)
    assert found["findings"][0]["topic"] == "daemon"
    assert daemon.cli("doctor", "quantum").returncode == 2


def test_colours_on_a_terminal_and_not_with_no_color(daemon, model):
    def on_terminal(**env) -> str:
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(
                daemon.binary, [daemon.binary, f"--socket={daemon.socket}", "status"],
                daemon.env | {"TERM": "xterm"} | env,
            )  # fmt: skip
        out = b""
        try:
            while piece := os.read(fd, 65536):
                out += piece
        except OSError:
            pass  # the terminal's other end is closed
        os.waitpid(pid, 0)
        return out.decode()

    assert "\x1b[" in on_terminal()
    assert "\x1b[" not in on_terminal(NO_COLOR="1")


def test_config_show_can_be_read_again(daemon, tmp_path):
    shown = daemon.cli("config", "show").stdout
    file = tmp_path / "shunt.conf"
    file.write_text(shown)
    assert daemon.cli(f"--config={file}", "config", "show").stdout == shown


def test_an_unknown_setting_is_an_error_with_its_line(daemon, tmp_path):
    file = tmp_path / "shunt.conf"
    file.write_text("listen = 127.0.0.1:0\ncolour = red\n")
    done = daemon.cli(f"--config={file}", "config", "show")
    assert done.returncode == 2
    assert "colour" in done.stderr
    assert "2" in done.stderr
