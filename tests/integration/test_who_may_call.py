# SPDX-License-Identifier: Apache-2.0
"""The contract's "Who may call", on a real socket."""

import os
import stat

import httpx
import pytest

MODELS = "/llm/api/models"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]", "localhost:7717"])
def test_literal_hosts_are_fine(daemon, host):
    assert daemon.http.get(MODELS, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", ""])
def test_other_hosts_are_refused(daemon, host):
    answer = daemon.http.get(MODELS, headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert "Host" in answer.text


def test_a_configured_host_is_fine(make_daemon):
    daemon = make_daemon(allowed_hosts="gpu.lan").start()
    assert daemon.http.get(MODELS, headers={"Host": "gpu.lan:7717"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_foreign_pages_are_refused(daemon, headers):
    answer = daemon.http.post(f"{MODELS}/x/unload", headers=headers)
    assert answer.status_code == 403
    assert next(iter(headers)) in answer.json()["error"]["message"]


def test_allowed_origins_get_their_preflight(make_daemon):
    daemon = make_daemon(allowed_origins="https://chat.example").start()
    answer = daemon.http.options(
        "/v1/chat/completions",
        headers={
            "Origin": "https://chat.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-api-key, anthropic-version",
        },
    )
    assert answer.status_code == 204
    assert "anthropic-version" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"
    answer = daemon.http.get(MODELS, headers={"Origin": "https://chat.example"})
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"


def test_a_body_needs_the_json_content_type(daemon):
    answer = daemon.http.post(MODELS, content=b'{"path": "/x"}')
    assert answer.status_code in (400, 415)
    assert "application/json" in answer.text


def test_a_key_is_asked_for_on_other_addresses(make_daemon, tmp_path):
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123\n")
    daemon = make_daemon(listen="0.0.0.0:0", api_key_file=key).start()
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer 0123456789abcdef0123"}, 200),
        ({"X-Api-Key": "0123456789abcdef0123"}, 200),
    ):
        assert daemon.http.get(MODELS, headers=headers).status_code == status, headers
    assert daemon.cli("status").returncode == 0  # the Unix socket needs none


def test_another_address_without_a_key_is_refused_at_start(make_daemon):
    daemon = make_daemon(listen="0.0.0.0:0")
    with pytest.raises(AssertionError, match="api_key_file"):
        daemon.start()


def test_the_unix_socket_is_the_users_own(daemon):
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket))) as client:
        assert client.get("http://localhost/health").status_code == 200


def test_a_taken_port_is_said(make_daemon, daemon):
    second = make_daemon("second", listen=f"127.0.0.1:{daemon.port}")
    with pytest.raises(AssertionError, match=str(daemon.port)):
        second.start()


def test_a_held_state_folder_is_said_with_the_pid(make_daemon, daemon):
    second = make_daemon("second", state_dir=daemon.state)
    with pytest.raises(AssertionError, match=str(daemon.process.pid)):
        second.start()


def test_a_dead_daemons_socket_is_replaced(daemon):
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    assert daemon.cli("status").returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_state_folder_is_said(make_daemon, tmp_path):
    (tmp_path / "ro").mkdir(mode=0o500)
    with pytest.raises(AssertionError, match="state-dir"):
        make_daemon(state_dir=tmp_path / "ro/state").start()


def test_an_unwritable_state_folder_is_said(make_daemon):
    with pytest.raises(AssertionError, match="state-dir"):
        make_daemon(state_dir="/proc/shunt").start()
