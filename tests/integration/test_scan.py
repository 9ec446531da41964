# SPDX-License-Identifier: Apache-2.0
"""scan: what is here already is registered, once."""

import os
import sqlite3
from pathlib import Path

import gguf_file

SCAN = "/llm/api/models/scan"


def tiny(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return gguf_file.tiny_llama(path, layers=1)


def part(path: Path, number: int, count: int) -> None:
    meta = {"split.no": number, "split.count": count, "split.tensors.count": count}
    if number == 0:
        meta = {"general.architecture": "llama", "llama.block_count": 1} | meta
    gguf_file.write(path, meta, [(f"blk.{number}.x.weight", [32], 0, bytes(128))])


def scan(daemon, folder: Path | None = None) -> dict:
    return daemon.post(SCAN, {"path": str(folder)} if folder else {}, 200)


def ids(entries) -> list[str]:
    return [e["id"] for e in entries]


def test_what_is_there_is_registered_once(daemon, tmp_path):
    top = tmp_path / "models"
    tiny(top / "a-Q8_0.gguf")
    tiny(top / "deep/er/b.GGUF")
    (top / "deep/same-as-a.gguf").symlink_to(top / "a-Q8_0.gguf")
    os.link(top / "a-Q8_0.gguf", top / "z-hard.gguf")
    for number in range(3):
        part(top / f"big-0000{number + 1}-of-00003.gguf", number, 3)
    part(top / "torn-00001-of-00002.gguf", 0, 2)
    projector = {"general.architecture": "clip", "general.type": "mmproj"}
    gguf_file.write(top / "mmproj-a.gguf", projector, [("v.x.weight", [32], 0, bytes(128))])
    (top / "damaged.gguf").write_bytes(b"GGUF")
    (top / "gone.gguf").symlink_to(top / "nowhere")
    (top / "notes.txt").write_text("no model")
    (top / "folder.gguf").mkdir()
    os.mkfifo(top / "pipe.gguf")
    tiny(top / "deep/a-Q8_0.gguf")  # another file with a taken id
    (top / "loop").symlink_to(top)
    (top / "deep/loop").symlink_to("..")
    tiny(top / "日本語 模型.gguf")

    found = scan(daemon, top)
    assert sorted(ids(found["added"])) == ["a-Q8_0", "b", "big", "model"]
    skipped = {Path(s["path"]).name: s["reason"] for s in found["skipped"]}
    assert set(skipped) == {
        "torn-00001-of-00002.gguf",
        "mmproj-a.gguf",
        "damaged.gguf",
        "gone.gguf",
        "a-Q8_0.gguf",
    }
    assert "projector" in skipped["mmproj-a.gguf"]
    assert "a-Q8_0" in skipped["a-Q8_0.gguf"]
    assert found["whole"] is True
    assert {m["id"] for m in daemon.get("/llm/api/models")["models"]} == set(ids(found["added"]))
    assert daemon.model("a-Q8_0")["pulled"] is False

    again = scan(daemon, top)
    assert again["added"] == []
    assert set(ids(again["known"])) == {"a-Q8_0", "b", "big", "model"}
    assert len(again["skipped"]) == len(found["skipped"])
    daemon.switch("b", "cpu", reload=True)
    assert daemon.chat("b").status_code == 200


def test_the_known_places(make_daemon, tmp_path):
    blob = tiny(tmp_path / ".cache/huggingface/hub/models--o--r/blobs/0123abcd")
    for revision in ("one", "two"):
        link = blob.parent.parent / "snapshots" / revision / "Hub-Q4_K_M.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to("../../blobs/0123abcd")
    tiny(tmp_path / ".lmstudio/models/o/r/Studio-Q4_K_M.gguf")
    tiny(tmp_path / ".cache/lm-studio/models/o/r/Old-Q4_K_M.gguf")
    tiny(tmp_path / ".cache/llama.cpp/Llama-Q4_K_M.gguf")
    tiny(tmp_path / "Downloads/Other-Q4_K_M.gguf")
    daemon = make_daemon()
    daemon.env["HOME"] = str(tmp_path)
    daemon.start()
    found = scan(daemon)
    assert sorted(ids(found["added"])) == [f"{n}-Q4_K_M" for n in ("Hub", "Llama", "Old", "Studio")]
    assert len(found["folders"]) == 4
    assert scan(daemon)["added"] == []
    daemon.stop()
    daemon.env["HF_HOME"] = str(tmp_path / "Downloads")
    (tmp_path / "Downloads/hub").mkdir()
    tiny(tmp_path / "Downloads/hub/Moved-Q4_K_M.gguf")
    daemon.start()
    assert ids(scan(daemon)["added"]) == ["Moved-Q4_K_M"]


def test_the_bounds(daemon, tmp_path):
    deep = tmp_path / "x" / "/".join("d" * 11)
    tiny(deep / "deep.gguf")
    found = scan(daemon, tmp_path / "x")
    assert found["added"] == []
    assert found["whole"] is False


def test_what_the_database_cannot_do_is_no_files_fault(daemon, tmp_path):
    for name in "abcd":
        tiny(tmp_path / "m" / f"{name}.gguf")
    db = sqlite3.connect(daemon.state / "shunt.db")
    db.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON models WHEN NEW.id = 'c' "
        "BEGIN SELECT RAISE(FAIL, 'the disk is gone'); END"
    )
    db.commit()
    error = daemon.post(SCAN, {"path": str(tmp_path / "m")}, 500)["error"]
    assert "the disk is gone" in error["message"]
    db.execute("DROP TRIGGER broken")
    db.commit()
    db.close()
    found = scan(daemon, tmp_path / "m")
    assert ids(found["known"]) == ["a", "b"], "what was told is registered"
    assert ids(found["added"]) == ["c", "d"]


def test_a_name_that_is_an_alias_is_taken(daemon, fake_model, tmp_path):
    daemon.add(fake_model().path, aliases=["b"])
    for name in "abc":
        tiny(tmp_path / "m" / f"{name}.gguf")
    found = scan(daemon, tmp_path / "m")
    assert ids(found["added"]) == ["a", "c"]
    assert "alias" in found["skipped"][0]["reason"]


def test_what_is_no_folder(daemon, tmp_path):
    file = tiny(tmp_path / "a.gguf")
    assert "absolute" in daemon.post(SCAN, {"path": "models"}, 400)["error"]["message"]
    assert "not a folder" in daemon.post(SCAN, {"path": str(file)}, 400)["error"]["message"]
    assert daemon.post(SCAN, {"path": "/no/where"}, 404)["error"]["hint"]
    assert daemon.post(SCAN, {"path": "/" + "x" * 300}, 404)["error"]["hint"]
    assert daemon.post(SCAN, {"folder": "/"}, 400)["error"]["message"]


def test_the_command(daemon, tmp_path):
    tiny(tmp_path / "m/a.gguf")
    (tmp_path / "m/bad.gguf").write_bytes(b"x")
    said = daemon.cli("scan", tmp_path / "m")
    assert said.returncode == 0, said.stderr
    assert "1 added, 0 known already" in said.stdout
    assert "bad.gguf" in said.stderr
    assert daemon.cli("scan", tmp_path / "nothing").returncode == 3
    assert daemon.cli("scan").returncode == 0
