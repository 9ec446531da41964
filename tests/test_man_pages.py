# SPDX-License-Identifier: Apache-2.0
"""The manual pages say what the C tables say, and are well formed where mandoc can tell."""

import shutil
import subprocess

import pytest

import man_pages
from test_docs import CONFIG, FILES, ROOT

PAGES = sorted((ROOT / man_pages.FOLDER).iterdir())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_and_the_tables_agree(page):
    text = page.read_text()
    assert text == man_pages.renewed(text, page.name, ROOT), "python3 tests/man_pages.py"


def test_a_setting_that_changes_changes_its_page(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    config = tmp_path / CONFIG
    config.write_text(config.read_text().replace('"120s"', '"90s"', 1))
    page = (ROOT / man_pages.FOLDER / "shunt.conf.5").read_text()
    assert "default: 90s." in man_pages.renewed(page, "shunt.conf.5", tmp_path)


def test_there_is_a_page_for_each():
    assert [page.name for page in PAGES] == ["shunt-serve.8", "shunt.1", "shunt.conf.5"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", page], capture_output=True, text=True)
    # The others are there when they are installed.
    found = [row for row in done.stdout.splitlines() if "referenced manual not found" not in row]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_shows_it(page):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    done = subprocess.run(
        ["man", "--warnings", "-l", page], capture_output=True, text=True,
        env={"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANROFFOPT": ""},
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert "DESCRIPTION" in done.stdout
