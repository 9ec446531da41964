# SPDX-License-Identifier: Apache-2.0
"""/openapi.json: valid, whole, and what the daemon really answers."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import openapi_spec_validator
import pytest

from daemon import ROOT

HERE = Path(__file__).parent
KEY = "a-key-of-thirty-two-characters-00"
# A request to a worker may take what it takes; the events of all models never end.
ENDLESS = "streamEvents"


def rows() -> set[str]:
    """`METHOD path` of the table in the C file."""
    source = (ROOT / "src/api/endpoints.c").read_text()
    macros = dict(re.findall(r'#define (\w) "([^"]*)"', source))
    found = re.findall(r'\{"([A-Z]+)",\s*(\w?)\s*(?:"([^"]*)")?,', source)
    return {f"{method} {macros.get(start, '')}{tail}" for method, start, tail in found}


@pytest.fixture
def document(daemon):
    answer = daemon.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def operations(document: dict) -> dict[str, dict]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_the_document_is_valid_and_has_every_row(document):
    openapi_spec_validator.validate(document)
    shown = operations(document)
    table = rows()
    assert len(table) > 35
    assert table <= shown.keys()
    assert shown.keys() - table >= {"POST /v1/chat/completions", "POST /tokenize"}
    names = [operation["operationId"] for operation in shown.values()]
    assert len(set(names)) == len(names)
    for name, operation in shown.items():
        assert operation["summary"], name
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}


def test_fields_say_what_they_are(document):
    """Not one schema of an object's property without a description."""
    bare = []

    def look(where: str, schema) -> None:
        if isinstance(schema, list):
            for i, item in enumerate(schema):
                look(f"{where}/{i}", item)
        elif isinstance(schema, dict):
            for name, part in schema.get("properties", {}).items():
                if name != "success" and not part.get("description"):
                    bare.append(f"{where}/{name}")
            for name, part in schema.items():
                look(f"{where}/{name}", part)

    look("", document)
    assert bare == []


def closed(document: dict) -> dict:
    """The same, but an object has no other properties than those that are named."""

    def close(part) -> None:
        if isinstance(part, list):
            for item in part:
                close(item)
        elif isinstance(part, dict):
            if "properties" in part and "type" in part:
                part.setdefault("additionalProperties", False)
            for item in part.values():
                close(item)

    strict = copy.deepcopy(document)
    close(strict)
    return strict


class Checked:
    """Asks, and compares each answer with the document."""

    def __init__(self, daemon, document):
        self.daemon, self.document = daemon, closed(document)
        self.seen: set[str] = set()

    def __call__(self, method: str, path: str, body=None, status: int = 200, **params):
        operation = operations(self.document)[f"{method} {path}"]
        answer = self.daemon.http.request(method, path.format(**params), json=body)
        assert answer.status_code == status, answer.text
        self.seen.add(f"{method} {path}")
        shown = operation["responses"][str(status)]
        if not answer.content and "content" not in shown:
            return None
        kind = answer.headers["content-type"]
        media = shown["content"][kind]
        if kind != "application/json":
            return answer.text
        schema = {**media["schema"], "components": self.document["components"]}
        jsonschema.validate(answer.json(), schema, jsonschema.Draft202012Validator)
        return answer.json()


def test_answers_hold_what_the_document_says_and_nothing_else(daemon, document, fake_model):
    ask = Checked(daemon, document)
    model = "/llm/api/models/{id}"
    file = str(fake_model().path)
    ask("GET", "/llm/api/models")
    added = ask("POST", "/llm/api/models", {"path": file, "gpu_backend": "cpu"}, 201)
    tiny = {"id": added["model"]["id"]}
    daemon.wait_task(added["task_id"])
    options = {"n_ctx": 512, "temperature": None, "lora": [file], "chat_template_kwargs": {"a": 1}}
    assert ask("PATCH", model, options, **tiny)["needs_reload"]
    ask("PATCH", model, {"lora": None}, **tiny)
    ask("POST", f"{model}/load", {}, **tiny)
    for backend in ("cpu", "vulkan", "cuda"):
        ask("POST", f"{model}/estimate", {"gpu_backend": backend, "n_ctx": 512}, **tiny)
    assert daemon.chat(tiny["id"]).status_code == 200
    health = ask("GET", f"{model}/health", **tiny)
    assert health["tokens_per_second"] == pytest.approx(125)
    ask("GET", f"{model}/log", **tiny)
    folder = Path(file).parent / "more"
    folder.mkdir()
    fake_model("more/new.gguf")
    (folder / "broken.gguf").write_text("GGUF")
    found = ask("POST", "/llm/api/models/scan", {"path": str(folder.parent)})
    assert [len(found[name]) for name in ("added", "known", "skipped")] == [1, 1, 1]
    ask("GET", model, **tiny)
    ask("GET", "/llm/api/models/loaded")
    answer = ask("POST", f"{model}/switch-backend", {"gpu_backend": "vulkan"}, 202, **tiny)
    task = daemon.wait_task(answer["task_id"])
    ask("GET", "/tasks")
    ask("GET", "/tasks/{task}", task=task["id"])
    ask("GET", "/tasks/{task}/log", task=task["id"])
    ask("GET", "/tasks/{task}/stream", task=task["id"])
    ask("POST", "/tasks/{task}/cancel", status=409, task=task["id"])
    ask("POST", f"{model}/create-environment", {"gpu_backend": "cpu"}, 202, **tiny)
    status = ask("GET", f"{model}/environment-status", **tiny)["environments"]
    assert {e["state"] for e in status} == {"ready", "absent"}
    ask("GET", "/llm/api/environments")
    ask("GET", "/llm/api/environments/{name}", name=answer["environment"])
    ask("DELETE", "/llm/api/environments/{name}", status=409, name=answer["environment"])
    ask("POST", "/llm/api/environments/gc", {"dry_run": True})
    ask("GET", "/llm/api/backends")
    ask("POST", "/llm/api/backends/refresh")
    ask("GET", "/llm/api/toolkit/check/{backend}", backend="rocm")
    assert ask("GET", "/llm/api/hardware/detect")["gpus"]
    assert ask("GET", "/llm/api/doctor")["findings"]
    for path in ("/health", "/version", "/metrics", "/openapi.json", "/v1/models"):
        ask("GET", path)
    for path in ("/api/tags", "/api/ps", "/api/version"):
        ask("GET", path)
    ask("POST", "/api/show", {"model": tiny["id"]})
    ask("POST", "/api/show", {"model": "nobody"}, 404)
    ask("GET", "/v1/models/{id}", **tiny)
    measured = ask("POST", f"{model}/benchmark", {"backends": ["vulkan"]}, 202, **tiny)
    daemon.wait_task(measured["task_id"])
    assert len(ask("GET", f"{model}/benchmark", **tiny)["benchmarks"]) == 1
    answer = ask(
        "POST", "/llm/api/venv/{name}/rebuild", {"gpu_backend": "vulkan"}, 202,
        name=answer["environment"],
    )  # fmt: skip
    daemon.wait_task(answer["task_id"])
    ask("POST", f"{model}/unload", {}, **tiny)
    gone = f"{model}/delete-environment"
    assert daemon.http.delete(f"{gone.format(**tiny)}?gpu_backend=cpu").status_code == 200
    ask("DELETE", model, **tiny)
    for method, path, body, code in (
        ("GET", model, None, 404),
        ("POST", f"{model}/unload", {"now": True}, 400),
        ("POST", f"{model}/switch-backend", {"gpu_backend": "quantum"}, 400),
        ("GET", "/v1/models/{id}", None, 404),
    ):
        ask(method, path, body, code, **tiny)
    here = {n for n in operations(document) if "/llm/" in n or " /tasks" in n or n[:3] == "GET"}
    assert here - ask.seen == {
        "GET /llm/api/events",
        "DELETE /llm/api/models/{id}/delete-environment",  # asked, with its query
    }


# --- with other people's tools -----------------------------------------------------------------


@pytest.fixture
def with_key(make_daemon, fake_model, tmp_path):
    """A daemon that asks for a key, with a model on both backends; pip finds nothing."""
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    daemon = make_daemon(fresh=True, api_key_file=key, hf_endpoint="http://127.0.0.1:9")
    daemon.env |= {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    daemon.start()
    daemon.http.headers["Authorization"] = f"Bearer {KEY}"
    daemon.add(fake_model().path)
    for backend in ("vulkan", "cpu"):
        daemon.switch("tiny.Q8_0", backend)
    return daemon


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_schemathesis_finds_nothing(with_key, fake_model, tmp_path):
    files = [str(fake_model(f"model-{i}.gguf").path) for i in range(3)]
    url = f"http://127.0.0.1:{with_key.port}/openapi.json"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={HERE / 'schemathesis.toml'}",
            *("run", url, "-H", f"Authorization: Bearer {KEY}"),
            *("--exclude-operation-id", ENDLESS, "--generation-deterministic", "-n", "4"),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            *("--continue-on-failure", "--no-shrink", "--no-color", "--request-timeout", "30"),
        ],
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            "PYTHONPATH": str(HERE),
            "SHUNT_TEST_FILES": ":".join(files),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    report = done.stdout[done.stdout.find("= FAILURES") :] + done.stderr
    assert done.returncode == 0, report[:30000]
    # All were asked, and more than a few times.
    assert re.search(r"Operations: +[3-9]\d selected", done.stdout), done.stdout
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 500
    assert with_key.get("/health")["success"] is True


CLIENT = """
import sys
from shunt_client import AuthenticatedClient
from shunt_client.api.models import list_models, switch_backend
from shunt_client.api.tasks import get_task
from shunt_client.models import SwitchBackendBody

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
models = list_models.sync(client=client).models
assert [m.id for m in models] == ["tiny.Q8_0"], models
assert models[0].gpu_backend == "cpu", models[0]
body = SwitchBackendBody.from_dict({"gpu_backend": "vulkan"})
answer = switch_backend.sync("tiny.Q8_0", client=client, body=body)
assert answer.instant_switch is True, answer
task = get_task.sync(answer.task_id, client=client).task
assert (task.kind, task.model) == ("switch", "tiny.Q8_0"), task
wrong = get_task.sync("0123456789abcdef", client=client)
assert wrong.success is False and wrong.error.type_ == "not_found", wrong
"""


@pytest.mark.slow
def test_a_generated_client_works(with_key, tmp_path):
    (tmp_path / "openapi.json").write_text(json.dumps(with_key.get("/openapi.json")))
    (tmp_path / "config.yml").write_text(
        "project_name_override: shunt-client\npackage_name_override: shunt_client\npost_hooks: []\n"
    )
    made = subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"),
            *("generate", "--path", "openapi.json", "--config", "config.yml"),
            *("--meta", "none", "--output-path", "shunt_client", "--fail-on-warning"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (tmp_path / "use.py").write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, "use.py", f"http://127.0.0.1:{with_key.port}", KEY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
