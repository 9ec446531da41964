# SPDX-License-Identifier: Apache-2.0
"""The layout check finds what it is there for: each test breaks one rule in a small tree."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).with_name("check_layout.py")
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HEADER = SPDX + "#pragma once\n"
ROWS = """
# Architecture
```layout
base: -          db: base     # two cells on a line
env:  base db    cli: base
api:  all but cli
```
"""


@pytest.fixture
def tree(tmp_path):
    """Three modules without a fault: base, db and env."""
    write(tmp_path, "docs/architecture.md", ROWS)
    write(tmp_path, "src/base/err.h", HEADER + "struct err;\n")
    write(tmp_path, "src/base/err.c", SPDX + '#include "base/err.h"\n')
    write(tmp_path, "src/base/CMakeLists.txt", "target_sources(x PRIVATE ${HERE}/err.c)\n")
    write(tmp_path, "src/db/db.h", HEADER + '#include "base/err.h"\n')
    write(tmp_path, "src/env/env.h", HEADER + '#include <stdio.h>\n#include "db/db.h"\n')
    write(tmp_path, "tests/unit/test_err.c", SPDX)
    write(tmp_path, "tests/unit/CMakeLists.txt", "shunt_unit_test(err)\n")
    return tmp_path


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check(root):
    done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True, timeout=30)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def test_a_tree_without_a_fault_passes(tree):
    assert check(tree) == ""


def test_all_but_is_all_others(tree):
    write(tree, "src/api/api.h", HEADER + '#include "db/db.h"\n#include "env/env.h"\n')
    assert check(tree) == ""


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "src/db/bad.h",
            HEADER + '#include "env/env.h"\n',
            "src/db/bad.h:3: db may not include env/env.h (its row: base)",
        ),
        ("src/api/a.h", HEADER + '#include "cli/c.h"\n', "api may not include cli/c.h"),
        ("src/env/b.h", HEADER + '#include "env.h"\n', "does not start with a module's name"),
        ("src/env/s.h", HEADER + "#include <sqlite3.h>\n", "only db may include sqlite3.h"),
        ("src/db/m.h", HEADER + "#  include <microhttpd.h>\n", "only api, gateway may include"),
        ("src/api/u.h", HEADER + "#include <curl/curl.h>\n", "base, cli, gateway may include curl"),
        ("src/misc/x.h", HEADER, "src/misc: has no row"),
        ("src/env/err.h", HEADER, "err.h: one name, several files: src/base/err.h, src/env/err.h"),
        ("src/base/lost.c", SPDX, "src/base/lost.c: is not in src/base/CMakeLists.txt"),
        ("src/base/rr.c", SPDX, "src/base/rr.c: is not in src/base/CMakeLists.txt"),
        ("tests/unit/test_lost.c", SPDX, "test_lost.c: is not in tests/unit/CMakeLists.txt"),
        ("src/base/size.h", HEADER + "size_t base_size(void);\n", "size.h: does not compile alone"),
        ("src/base/twice.h", SPDX, "src/base/twice.h: no '#pragma once'"),
        ("src/base/whose.h", "#pragma once\n", "src/base/whose.h: no line 'SPDX-License"),
    ],
)
def test_a_fault_is_named(tree, name, text, complaint):
    write(tree, name, text)
    assert complaint in check(tree)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("no block", "has no block"),
        ("```layout\nbase: -\nbase: -\n```\n", "two rows for base"),
        ("```layout\nbase: -\ndb: bas\n```\n", "row db names unknown ['bas']"),
        ("```layout\nbase: db\ndb: env\nenv: base\n```\n", "a circle: "),
    ],
)
def test_a_broken_table_is_refused(tree, rows, complaint):
    write(tree, "docs/architecture.md", rows)
    assert complaint in check(tree)
