# SPDX-License-Identifier: Apache-2.0
"""Pulling from a hub: what is chosen, what is checked, and all that can go wrong on the way."""

import hashlib
import json
import os
import subprocess
import threading
import time

import pytest

import gguf_file
from daemon import wait_until
from hub import Hub

MODELS = "/llm/api/models"
REPO = "owner/Tiny-GGUF"
FILE = "Tiny.Q4_K_M.gguf"


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def gguf(tmp_path) -> bytes:
    return gguf_file.tiny_llama(tmp_path / "content", layers=1).read_bytes()


@pytest.fixture
def projector(tmp_path):
    """The content of one whose name says which it is."""

    def make(name: str) -> bytes:
        return gguf_file.projector(tmp_path / "projector").read_bytes() + name.encode()

    return make


@pytest.fixture
def daemon(make_daemon, hub):
    return make_daemon(hf_endpoint=hub.url).start()


def pull(daemon, name=f"hf:{REPO}", **fields) -> dict:
    """To its end; the task."""
    task = daemon.post(MODELS, {"pull": name, **fields}, 202)["task_id"]
    return daemon.wait_task(task)


def pulled(daemon, *args, **fields) -> dict:
    """The task's result, which must be success."""
    task = pull(daemon, *args, **fields)
    assert task["state"] == "succeeded", task
    return task["result"]


def refused(daemon, *args, **fields) -> dict:
    task = pull(daemon, *args, **fields)
    assert task["state"] == "failed", task
    assert task["error"]["hint"]
    return task["error"]


def left_over(daemon) -> list[str]:
    folder = daemon.state / "models"
    return sorted(
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if p.is_file() and p.name not in (".lock", ".verified")
    )


def test_a_model_comes_is_checked_and_registered(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    result = pulled(daemon)
    assert result["model"] == "Tiny.Q4_K_M"
    model = daemon.model("Tiny.Q4_K_M")
    assert model["path"] == str(daemon.state / "models/hf" / REPO / FILE)
    assert model["sha256"] == hashlib.sha256(gguf).hexdigest()
    assert model["pulled"] is True
    assert left_over(daemon) == [f"hf/{REPO}/{FILE}"]

    pulled(daemon)  # it is here
    daemon.call("DELETE", f"{MODELS}/Tiny.Q4_K_M", status=200)
    pulled(daemon)  # the file is here, and is looked at
    assert len(hub.contents()) == 1
    path = daemon.state / "models/hf" / REPO / FILE
    path.write_bytes(bytes(len(gguf)))
    daemon.call("DELETE", f"{MODELS}/Tiny.Q4_K_M", status=200)
    pulled(daemon)  # something else is here
    assert len(hub.contents()) == 2
    assert path.read_bytes() == gguf
    daemon.call("DELETE", f"{MODELS}/Tiny.Q4_K_M?delete_file=true", status=200)
    assert left_over(daemon) == []


def test_a_model_that_changed_at_the_hub_is_what_its_file_says(daemon, hub, gguf, tmp_path):
    hub.add(REPO, FILE, gguf)
    pulled(daemon)
    larger = gguf_file.tiny_llama(tmp_path / "larger", layers=2).read_bytes()
    hub.add(REPO, FILE, larger)
    pulled(daemon)
    model = daemon.model("Tiny.Q4_K_M")
    assert model["size_bytes"] == len(larger) > len(gguf)
    assert model["sha256"] == hashlib.sha256(larger).hexdigest()
    daemon.switch("Tiny.Q4_K_M", "cpu", reload=True)


def test_the_command(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    said = daemon.cli("pull", f"hf:{REPO}:Q4_K_M", "--id", "mine")
    assert said.returncode == 0, said.stderr
    assert "mine" in said.stdout
    assert daemon.model("mine")["pulled"] is True
    assert daemon.cli("pull", f"hf:{REPO}:Q8_0").returncode == 3
    assert daemon.cli("pull", "hf:owner").returncode == 2


NAMES = [
    "Tiny-Q4_K_M.gguf",
    "Tiny-UD-Q4_K_M.gguf",
    "Tiny-Q8_0.gguf",
    "Tiny-q5_k_m.gguf",
    "Tiny.IQ2_XXS.gguf",
    "big/Tiny-F16.gguf",
    "Tiny-Q2_K-v1.gguf",
    "Tiny-Q3_K_S-00001-of-00002.gguf",  # its second part is missing
    "imatrix-Q4_K_M.gguf",
    "mmproj-Tiny-Q4_K_M.gguf",
    "README.md",
]


CHOSEN = {
    "": "Tiny-Q4_K_M.gguf",
    ":Q4_K_M": "Tiny-Q4_K_M.gguf",
    ":UD-Q4_K_M": "Tiny-UD-Q4_K_M.gguf",
    ":Q5_K_M": "Tiny-q5_k_m.gguf",
    ":iq2_xxs": "Tiny.IQ2_XXS.gguf",
    ":F16": "big/Tiny-F16.gguf",
    ":big": "big/Tiny-F16.gguf",
    ":Tiny-Q2_K-v1.gguf": "Tiny-Q2_K-v1.gguf",
}


def test_the_file_is_chosen_by_its_quantisation(daemon, hub, gguf, projector):
    for name in NAMES:
        hub.add(REPO, name, gguf)
    hub.add(REPO, "mmproj-Tiny-Q4_K_M.gguf", projector("mmproj"))
    for quant, file in CHOSEN.items():
        result = pulled(daemon, f"hf:{REPO}{quant}", id="x")
        assert result["file"] == file, quant
        assert result["mmproj"] == "mmproj-Tiny-Q4_K_M.gguf"
        daemon.call("DELETE", f"{MODELS}/x?delete_file=true", status=200)
    assert left_over(daemon) == []
    came = len(hub.contents())
    for quant in ("Q3_K_S", "Q4", "Q44_K_M", "README.md", "mmproj-Tiny-Q4_K_M.gguf"):
        error = refused(daemon, f"hf:{REPO}:{quant}")
        assert error["type"] == "not_found", quant
        assert "Tiny-Q8_0.gguf" in error["message"]
        assert "FILE" in error["hint"]
    assert len(hub.contents()) == came


def test_what_is_ambiguous_is_listed_and_the_nearest_taken(daemon, hub, gguf):
    for name in ("a-Q8_0.gguf", "a-Q6_K.gguf", "a-Q5_K_S.gguf"):
        hub.add("o/near", name, gguf)
    assert pulled(daemon, "hf:o/near")["file"] == "a-Q5_K_S.gguf"
    for name in ("one-Q4_K_M.gguf", "two-Q4_K_M.gguf"):
        hub.add("o/two", name, gguf)
    for name in ("hf:o/two", "hf:o/two:q4_k_m"):
        error = refused(daemon, name)
        assert error["type"] == "invalid_request"
        assert "one-Q4_K_M.gguf, two-Q4_K_M.gguf" in error["message"]
    for name in ("one.gguf", "two.gguf"):
        hub.add("o/none", name, gguf)
    assert "one.gguf, two.gguf" in refused(daemon, "hf:o/none")["message"]
    hub.add("o/single", "什么 名字.gguf", gguf)
    result = pulled(daemon, "hf:o/single")
    assert result["file"] == "什么 名字.gguf"
    assert daemon.model(result["model"])["path"].endswith("什么 名字.gguf")
    hub.add("o/empty", "README.md", b"text")
    assert "no GGUF" in refused(daemon, "hf:o/empty")["message"]


def test_long_lists_have_pages(daemon, hub, gguf):
    for number in range(7):
        hub.add(REPO, f"{number}-Q8_0.gguf", gguf)
    hub.add(REPO, FILE, gguf)
    hub.page = 3
    assert pulled(daemon)["file"] == FILE
    hub.next_at = "/"  # without the host
    assert pulled(daemon)["file"] == FILE


def test_a_list_that_cannot_be_read_whole_is_no_list(daemon, hub, gguf):
    for number in range(60):
        hub.add(REPO, f"{number}-Q8_0.gguf", gguf)
    hub.add(REPO, FILE, gguf)  # on the last page
    other = Hub()
    hub.page = 3
    hub.next_at = other.url
    error = refused(daemon)
    assert error["type"] == "unavailable"
    assert f"goes on at another place: {other.url}/api" in error["message"]
    assert "hf_endpoint" in error["hint"]
    assert other.requests == [], "the token would go there"
    other.close()
    hub.next_at = ""
    hub.page = 1
    error = refused(daemon)
    assert error["type"] == "too_large"
    assert "more than 50 pages" in error["message"]
    assert hub.contents() == []


def add_split(hub, tmp_path) -> None:
    for part in range(2):
        path = tmp_path / "part"
        meta = {"split.no": part, "split.count": 2, "split.tensors.count": 2}
        if part == 0:
            meta = {"general.architecture": "llama", "llama.block_count": 1} | meta
        tensor = (f"blk.{part}.x.weight", [32], 0, bytes(128))
        name = f"Q4_K_M/Big-Q4_K_M-0000{part + 1}-of-00002.gguf"
        hub.add(REPO, name, gguf_file.write(path, meta, [tensor]).read_bytes())


def test_split_files_come_together_and_go_together(daemon, hub, tmp_path):
    add_split(hub, tmp_path)
    result = pulled(daemon)
    assert result["model"] == "Big-Q4_K_M"
    sizes = [len(d) for d in hub.repos[REPO].values()]
    assert daemon.model("Big-Q4_K_M")["size_bytes"] == sum(sizes) == result["size_bytes"]
    assert len(left_over(daemon)) == 2
    daemon.call("DELETE", f"{MODELS}/Big-Q4_K_M?delete_file=true", status=200)
    assert left_over(daemon) == []


def test_what_was_checked_is_not_checked_again(daemon, hub, tmp_path):
    def hashed() -> list[str]:
        task = pull(daemon)
        assert task["state"] == "succeeded", task
        log = daemon.http.get(f"/tasks/{task['id']}/log").text
        return [line.split(":")[0][-14:-5] for line in log.splitlines() if "SHA-256" in line]

    add_split(hub, tmp_path)
    pulled(daemon)
    folder = daemon.state / "models/hf" / REPO
    assert hashed() == []
    second = folder / "Q4_K_M/Big-Q4_K_M-00002-of-00002.gguf"
    os.utime(second)
    assert hashed() == ["-of-00002"], "its time is another"
    assert hashed() == []
    second.write_bytes(bytes(second.stat().st_size))
    assert hashed() == ["-of-00002"]
    assert len(hub.contents()) == 3, "something else was there"
    assert hashed() == []
    (folder / ".verified").write_text("[]")
    assert hashed() == ["-of-00002"] * 2
    assert len(hub.contents()) == 3


def test_a_projector_comes_with_its_model(daemon, hub, gguf, projector):
    contents = {
        "mmproj-F32.gguf": projector("F32, the largest"),
        "mmproj-Tiny-Q8_0.gguf": projector("Q8_0"),
        "mmproj-BF16.gguf": projector("BF16"),
        "mmproj-model-f16.gguf": projector("F16"),
        "other/mmproj-F16.gguf": projector("of another model"),
        "Q8_0/mmproj-Q8_0.gguf": projector("beside"),
    }
    hub.add(REPO, FILE, gguf)
    hub.add(REPO, "Q8_0/Tiny-Q8_0.gguf", gguf)
    for name, content in contents.items():
        hub.add(REPO, name, content)
    folder = daemon.state / "models/hf" / REPO
    result = pulled(daemon)
    assert result["mmproj"] == "mmproj-model-f16.gguf"
    assert result["size_bytes"] == len(gguf) + len(contents["mmproj-model-f16.gguf"])
    model = daemon.model("Tiny.Q4_K_M")
    assert model["options"] == {"mmproj": str(folder / "mmproj-model-f16.gguf")}
    assert model["capabilities"] == ["chat", "vision"]
    assert model["size_bytes"] == len(gguf)
    assert (folder / "mmproj-model-f16.gguf").read_bytes() == contents["mmproj-model-f16.gguf"]
    assert pulled(daemon)["mmproj"] == "mmproj-model-f16.gguf"
    assert len(hub.contents()) == 2

    assert pulled(daemon, f"hf:{REPO}:Q8_0")["mmproj"] == "Q8_0/mmproj-Q8_0.gguf", "the nearest"
    best = "mmproj-model-f16.gguf"
    for second in ("mmproj-BF16.gguf", "mmproj-Tiny-Q8_0.gguf", "mmproj-F32.gguf"):
        daemon.call("DELETE", f"{MODELS}/Tiny.Q4_K_M?delete_file=true", status=200)
        assert not list(folder.glob("*.gguf"))
        del hub.repos[REPO][best]
        assert pulled(daemon)["mmproj"] == second
        best = second


def test_a_projector_is_only_taken_where_nobody_chose(daemon, hub, gguf, projector, tmp_path):
    own = gguf_file.projector(tmp_path / "own.gguf", vision=False, audio=True)
    hub.add(REPO, FILE, gguf)
    assert pulled(daemon, id="known")["mmproj"] is None
    hub.add(REPO, "mmproj-F16.gguf", projector("F16"))
    task = pull(daemon, id="known")
    assert task["result"]["mmproj"] is None
    assert daemon.model("known")["options"] == {}, "a known model keeps its options"
    assert "mmproj-F16.gguf is in the repo" in daemon.http.get(f"/tasks/{task['id']}/log").text
    assert pulled(daemon, id="own", mmproj=str(own))["mmproj"] is None
    wait_until(lambda: daemon.model("own")["options"].get("mmproj") == str(own))
    assert len(hub.contents()) == 1

    assert pulled(daemon, id="one")["mmproj"] == "mmproj-F16.gguf"
    assert pulled(daemon, id="two")["mmproj"] == "mmproj-F16.gguf"
    path = daemon.state / "models/hf" / REPO / "mmproj-F16.gguf"
    daemon.call("DELETE", f"{MODELS}/one?delete_file=true", status=200)
    assert path.exists(), "the other one uses it"
    for name in ("known", "own", "two"):
        daemon.call("DELETE", f"{MODELS}/{name}?delete_file=true", status=200)
    assert left_over(daemon) == []
    assert own.exists()


def test_the_runtime_python_gets_no_projector(daemon, hub, gguf, projector):
    hub.add(REPO, FILE, gguf)
    hub.add(REPO, "mmproj-F16.gguf", projector("F16"))
    task = pull(daemon, id="python", runtime="python", n_ctx=512)
    assert task["result"]["mmproj"] is None
    assert "runtime python has no use" in daemon.http.get(f"/tasks/{task['id']}/log").text
    wanted = {"runtime": "python", "n_ctx": 512}
    wait_until(lambda: daemon.model("python")["options"] == wanted, what="its options")
    assert left_over(daemon) == [f"hf/{REPO}/{FILE}"]


@pytest.mark.parametrize("option", ["mmproj", "lora", "draft_model"])
def test_a_file_that_another_model_uses_stays(
    daemon, hub, gguf, projector, fake_model, tmp_path, option
):
    """Whatever name the other has for it, and for whatever it uses it."""
    hub.add(REPO, FILE, gguf)
    hub.add(REPO, "mmproj-F16.gguf", projector("F16"))
    pulled(daemon, id="pulled")
    folder = daemon.state / "models/hf" / REPO
    file = folder / ("mmproj-F16.gguf" if option == "mmproj" else FILE)
    (tmp_path / "link").symlink_to(folder)
    names = [str(tmp_path / "link" / file.name), f"{folder}/../{folder.name}/{file.name}"]
    for n, name in enumerate(names):
        daemon.add(fake_model().path, id=f"other{n}")
        value = [name] if option == "lora" else name
        daemon.call("PATCH", f"{MODELS}/other{n}", {option: value}, status=200)
    daemon.call("DELETE", f"{MODELS}/other0?delete_file=true", status=200)
    assert file.exists(), "not pulled: nothing of it goes"
    answer = daemon.call("DELETE", f"{MODELS}/pulled?delete_file=true", status=200)
    assert file.exists(), "other1 uses it"
    assert answer["file_deleted"] is (option == "mmproj")


def test_a_projector_goes_whatever_its_name_is(daemon, hub, gguf, projector, tmp_path):
    hub.add(REPO, FILE, gguf)
    hub.add(REPO, "mmproj-F16.gguf", projector("F16"))
    pulled(daemon, id="pulled")
    link = tmp_path / "link.gguf"
    link.symlink_to(daemon.state / "models/hf" / REPO / "mmproj-F16.gguf")
    daemon.call("PATCH", f"{MODELS}/pulled", {"mmproj": str(link)}, status=200)
    daemon.call("DELETE", f"{MODELS}/pulled?delete_file=true", status=200)
    assert left_over(daemon) == []
    assert link.is_symlink(), "the user's"


def test_a_projector_that_is_none_is_left_out(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    hub.add(REPO, "mmproj-F16.gguf", gguf)
    task = pull(daemon)
    assert task["state"] == "succeeded"
    assert task["result"]["mmproj"] is None
    assert daemon.model("Tiny.Q4_K_M")["options"] == {}
    assert "without mmproj-F16.gguf" in daemon.http.get(f"/tasks/{task['id']}/log").text


def test_trouble_on_the_way_is_waited_for_and_gone_on_after(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    hub.trouble = [503, ("break", 20000), (429, "1"), ("break", 9000)]
    task = daemon.post(MODELS, {"pull": f"hf:{REPO}"}, 202)["task_id"]
    assert daemon.wait_task(task)["state"] == "succeeded"
    assert daemon.model("Tiny.Q4_K_M")["sha256"] == hashlib.sha256(gguf).hexdigest()
    asked = [h.get("Range") for h in hub.contents()]
    assert asked == [None, None, "bytes=20000-", "bytes=20000-", "bytes=29000-"]
    assert all("If-Range" in h for h in hub.contents() if "Range" in h)
    log = daemon.http.get(f"/tasks/{task}/log").text
    assert "answered 503" in log
    assert "again in 1.0 s" in log


def test_what_does_not_pass_is_told(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    hub.trouble = [(429, "86400")]
    error = refused(daemon)
    assert error["type"] == "unavailable"
    assert "429" in error["message"]
    assert len(hub.contents()) == 1, "nobody waits a day"
    assert refused(daemon, "hf:owner/nothing")["type"] == "not_found"
    hub.lists[REPO] = b"<html>a proxy's page</html>"
    assert "hf_endpoint" in refused(daemon)["hint"]


def test_a_wrong_hash_leaves_nothing(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    hub.hashes[FILE] = "0" * 64
    error = refused(daemon)
    assert error["type"] == "verification_failed"
    assert hashlib.sha256(gguf).hexdigest() in error["message"]
    assert left_over(daemon) == []
    assert daemon.get(MODELS)["models"] == []


def test_what_is_no_model_is_not_kept(daemon, hub):
    hub.add(REPO, FILE, b"<html>" * 5000)
    error = refused(daemon)
    assert error["type"] == "invalid_request"
    assert "GGUF" in error["message"]
    assert left_over(daemon) == []


def test_too_little_room_is_said_before(daemon, hub, gguf):
    hub.add(REPO, "Tiny-Q8_0.gguf", gguf)
    entry = {"type": "file", "size": 4 * 10**15, "path": FILE}
    hub.extra = [entry]
    error = refused(daemon)
    assert error["type"] == "no_space"
    assert "4000000000 MB more" in error["message"]
    hub.extra = [
        entry | {"size": 2**63 - 1, "path": f"Tiny-Q4_K_M-0000{n}-of-00002.gguf"} for n in (1, 2)
    ]
    assert "impossible" in refused(daemon)["message"]
    assert hub.contents() == []


def test_a_disk_that_fills_meanwhile_is_gone_on_with(make_daemon, hub, gguf, small_disk):
    folder, _ = small_disk
    daemon = make_daemon(hf_endpoint=hub.url).start()
    (daemon.state / "models").rmdir()
    (daemon.state / "models").symlink_to(folder)
    big = gguf + bytes(8 << 20)
    hub.add(REPO, FILE, big)
    gate = threading.Event()
    hub.trouble = [("gate", 16384, gate)]
    task = daemon.post(MODELS, {"pull": f"hf:{REPO}"}, 202)["task_id"]
    part = folder / "hf" / REPO / f"{FILE}.part"
    wait_until(lambda: part.exists() and part.stat().st_size == 16384)
    filler = folder / "filler"
    with filler.open("wb") as f:
        os.posix_fallocate(f.fileno(), 0, 98 << 20)
    gate.set()
    ended = daemon.wait_task(task)
    assert ended["error"]["type"] == "no_space", ended
    assert ended["error"]["hint"]
    here = part.stat().st_size
    assert here >= 16384
    filler.unlink()
    pulled(daemon)
    assert hub.contents()[1]["Range"] == f"bytes={here}-"


def test_names_of_the_hub_never_lead_out(daemon, hub, gguf):
    hub.add(REPO, "ok-Q8_0.gguf", gguf)
    paths = ["../x-Q4_K_M.gguf", "/etc/x-Q4_K_M.gguf", "a/../../x-Q4_K_M.gguf", ".x-Q4_K_M.gguf"]
    paths += [
        "a//x-Q4_K_M.gguf",
        "a\nb-Q4_K_M.gguf",
        "a\\x-Q4_K_M.gguf",
        "x" * 250 + "-Q4_K_M.gguf",
    ]
    paths += ["/".join("abcdefghi") + "-Q4_K_M.gguf", "", "./x-Q4_K_M.gguf"]
    hub.extra = [{"type": "file", "size": 9, "path": path} for path in paths]
    hub.extra += [{"type": "file", "size": -1, "path": "y-Q4_K_M.gguf"}, {"path": 7}, 7, None, []]
    assert pulled(daemon)["file"] == "ok-Q8_0.gguf", "as if they weren't there"
    assert left_over(daemon) == [f"hf/{REPO}/ok-Q8_0.gguf"]


NO_NAMES = ["hf:", "hf:owner", "hf:owner/", "hf:/repo", "hf:../x", "hf:a/..", "hf:a/b/c"]
NO_NAMES += ["hf:a/b:", "hf:a b/c", "hf:a/b?x", "hf:a/b#x", "hf:-a/b", "hf:ü/b", "hf:a/b:\n"]
NO_NAMES += ["hf:a/" + "b" * 300, "hf:a/b:" + "q" * 300]


def test_names_that_are_none_are_refused_at_once(daemon):
    for name in NO_NAMES:
        error = daemon.post(MODELS, {"pull": name}, 400)["error"]
        assert "hf:OWNER/REPO" in error["message"]
        assert error["hint"]


def test_a_taken_id_is_said_before_anything_comes(daemon, hub, gguf, fake_model):
    daemon.add(fake_model("Tiny.Q4_K_M.gguf").path)
    hub.add(REPO, FILE, gguf)
    assert refused(daemon)["type"] == "conflict"
    assert hub.contents() == []
    daemon.call("PATCH", f"{MODELS}/Tiny.Q4_K_M", {"aliases": ["small"]}, 200)
    assert refused(daemon, id="small")["type"] == "conflict"
    error = refused(daemon, id="other", aliases=["small"])
    assert error["type"] == "conflict"
    assert "'small' is an alias of model 'Tiny.Q4_K_M'" in error["message"]
    assert hub.contents() == []
    assert pulled(daemon, id="other", aliases=["tiny"])["model"] == "other"
    wait_until(lambda: daemon.model("other")["options"].get("aliases") == ["tiny"])
    assert pulled(daemon, id="other", aliases=["tiny"])["model"] == "other", "its own alias"


def test_the_token_goes_to_the_hub_and_nowhere_else(make_daemon, hub, gguf, tmp_path):
    hub.add(REPO, FILE, gguf)
    hub.token = "hf_secretsecret"
    other = Hub()
    other.add(REPO, FILE, gguf)
    hub.moved_to = other.url
    file = tmp_path / "token"
    file.write_text("hf_secretsecret\n")
    daemon = make_daemon(hf_endpoint=hub.url, hf_token_file=file).start()
    task = pull(daemon)
    assert task["state"] == "succeeded", task
    assert hub.contents()[0]["Authorization"] == "Bearer hf_secretsecret"
    assert len(other.contents()) == 1
    assert "secretsecret" not in json.dumps(other.requests)
    assert "secretsecret" not in daemon.http.get(f"/tasks/{task['id']}/log").text
    for text in ("", "two words\n", "ü\n", "hf_x\nhf_y\n"):
        file.write_text(text)
        error = refused(daemon)
        assert "hf_token_file" in error["message"]
        assert "two words" not in error["message"]
    file.write_text("hf_other")
    assert "hf_token_file" in refused(daemon)["hint"]
    file.unlink()
    assert str(file) in refused(daemon)["message"]
    assert "secretsecret" not in "".join(daemon.lines)
    other.close()


def test_the_token_crosses_no_network_in_clear_text(make_daemon, tmp_path):
    file = tmp_path / "token"
    file.write_text("hf_secretsecret\n")
    daemon = make_daemon(hf_endpoint="http://192.0.2.1", hf_token_file=file).start()
    error = refused(daemon)
    assert error["type"] == "invalid_request"
    assert "http://192.0.2.1 in clear text" in error["message"]
    assert "https" in error["hint"]
    assert "secretsecret" not in json.dumps(error)


def test_https_never_leads_to_http(make_daemon, hub, gguf, tmp_path):
    certificate = tmp_path / "cert.pem"
    subject = ["-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    make += ["-nodes", "-keyout", certificate, "-out", tmp_path / "x", *subject]
    subprocess.run(make, check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (tmp_path / "x").read_text())
    safe = Hub(certificate)
    for h in (hub, safe):
        h.add(REPO, FILE, gguf)
    daemon = make_daemon(hf_endpoint=safe.url)
    daemon.env["SSL_CERT_FILE"] = str(certificate)
    daemon.start()
    safe.moved_to = hub.url
    assert "another protocol" in refused(daemon)["hint"]
    assert hub.requests == []
    safe.moved_to = ""
    assert pulled(daemon)["model"] == "Tiny.Q4_K_M"
    safe.close()


def test_two_pulls_of_the_same_share(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    gate = threading.Event()
    hub.trouble = [("gate", 10000, gate)]
    tasks = [daemon.post(MODELS, {"pull": f"hf:{REPO}"}, 202)["task_id"] for _ in range(2)]
    waiting = "Waiting for another pull"
    wait_until(
        lambda: any(waiting in (daemon.get(f"/tasks/{t}")["task"]["step"] or "") for t in tasks)
    )
    gate.set()
    assert {daemon.wait_task(t)["state"] for t in tasks} == {"succeeded"}
    assert len(hub.contents()) == 1


def test_a_cancelled_pull_goes_on_where_it_was(daemon, hub, gguf):
    hub.add(REPO, FILE, gguf)
    gate = threading.Event()
    hub.trouble = [("gate", 16384, gate)]
    task = daemon.post(MODELS, {"pull": f"hf:{REPO}"}, 202)["task_id"]
    part = daemon.state / "models/hf" / REPO / f"{FILE}.part"
    wait_until(lambda: part.exists() and part.stat().st_size == 16384)
    assert "MB)" in daemon.get(f"/tasks/{task}")["task"]["step"]
    daemon.post(f"/tasks/{task}/cancel", status=202)
    assert daemon.wait_task(task)["state"] == "cancelled"
    gate.set()
    assert part.stat().st_size == 16384
    pulled(daemon)
    assert hub.contents()[1]["Range"] == "bytes=16384-"
    assert left_over(daemon) == [f"hf/{REPO}/{FILE}"]


def put_part(folder, name: str, size: int, days: float):
    part = folder / "hf" / "other/Other-GGUF" / f"{name}.gguf.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb") as f:
        os.posix_fallocate(f.fileno(), 0, size)
    then = time.time() - days * 86400
    os.utime(part, (then, then))
    return part


def test_what_nobody_goes_on_with_goes_when_the_daemon_starts(make_daemon, hub):
    daemon = make_daemon(hf_endpoint=hub.url)
    folder = daemon.state / "models"
    old = put_part(folder, "old", 1000, 7.1)
    young = put_part(folder, "young", 1000, 6.9)
    daemon.start()
    assert not old.exists()
    assert young.exists()
    assert any("abandoned downloads removed" in line for line in daemon.lines)


def test_what_nobody_goes_on_with_makes_room(make_daemon, hub, gguf, small_disk):
    folder, _ = small_disk
    daemon = make_daemon(hf_endpoint=hub.url).start()
    (daemon.state / "models").rmdir()
    (daemon.state / "models").symlink_to(folder)
    hub.add(REPO, FILE, gguf + bytes(30 << 20))
    young = put_part(folder, "young", 40 << 20, 1)
    filler = put_part(folder, "filler", 40 << 20, 1)
    assert refused(daemon)["type"] == "no_space"
    filler.unlink()
    old = put_part(folder, "old", 40 << 20, 8)
    (folder / "hf" / REPO).mkdir(exist_ok=True)
    own = folder / "hf" / REPO / f"{FILE}.part"
    own.write_bytes(gguf[:16384])
    os.utime(own, (0, 0))
    task = pull(daemon)
    assert task["state"] == "succeeded", task
    assert hub.contents()[0]["Range"] == "bytes=16384-", "its own is gone on with"
    assert not old.exists()
    assert young.exists()
    assert "nobody went on with" in daemon.http.get(f"/tasks/{task['id']}/log").text


def test_offline_nothing_is_tried(make_daemon, hub):
    daemon = make_daemon(hf_endpoint=hub.url, offline="yes").start()
    for name in (f"hf:{REPO}", "smollm2"):
        error = refused(daemon, name)
        assert error["type"] == "unavailable"
        assert "offline" in error["message"]
        assert name in error["message"]
    assert hub.requests == []


def test_offline_what_is_here_is_found(make_daemon, hub, gguf, projector, tmp_path):
    hub.add(REPO, FILE, gguf)
    hub.add(REPO, "Tiny-Q8_0.gguf", gguf + b"larger")
    hub.add(REPO, "mmproj-F16.gguf", projector("F16"))
    daemon = make_daemon(hf_endpoint=hub.url).start()
    for quant in ("Q4_K_M", "Q8_0"):
        pulled(daemon, f"hf:{REPO}:{quant}")
    daemon.stop()
    came = len(hub.requests)
    daemon.settings["offline"] = "yes"
    daemon.start()
    hash_of = daemon.model("Tiny.Q4_K_M")["sha256"]
    assert pulled(daemon)["model"] == "Tiny.Q4_K_M"
    assert daemon.model("Tiny.Q4_K_M")["sha256"] == hash_of
    for name in ("Tiny.Q4_K_M", "Tiny-Q8_0"):
        daemon.call("DELETE", f"{MODELS}/{name}", status=200)
    result = pulled(daemon)
    assert (result["file"], result["mmproj"]) == (FILE, "mmproj-F16.gguf")
    assert daemon.model("Tiny.Q4_K_M")["sha256"] == hash_of
    assert pulled(daemon, f"hf:{REPO}:q8_0", id="x")["file"] == "Tiny-Q8_0.gguf"
    folder = daemon.state / "models/hf" / REPO
    (folder / ".verified").unlink()
    assert pulled(daemon)["model"] == "Tiny.Q4_K_M"
    assert daemon.model("Tiny.Q4_K_M")["sha256"] == hash_of, "nothing says otherwise"
    (folder / "Tiny-Q2_K.gguf.part").write_bytes(gguf)
    for quant in ("Q2_K", "Q5_K_M"):
        error = refused(daemon, f"hf:{REPO}:{quant}")
        assert error["type"] == "unavailable"
        assert quant in error["message"]
    assert len(hub.requests) == came
