#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that src/ is laid out as docs/architecture.md says: who includes whom, and how files look.

usage: check_layout.py [ROOT]
"""

import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# A library and the modules that may include it.
LIBRARIES = {
    "sqlite3.h": {"db"},
    "microhttpd.h": {"api", "gateway"},
    "curl/": {"base", "gateway", "cli"},
}
PKG_CONFIG = "libmicrohttpd libcurl jansson inih libcrypto sqlite3 cmocka"
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SPDX = "SPDX-License-Identifier: Apache-2.0"


def read_rows(text: str) -> dict[str, set[str]]:
    """The fenced block 'layout': cells 'module: others', '-' is nobody, 'all but a, b' the rest."""
    block = re.search(r"^```layout\n(.*?)^```", text, re.M | re.S)
    if not block:
        raise ValueError("docs/architecture.md has no block '```layout'")
    cells: dict[str, list[str]] = {}
    for line in block[1].splitlines():
        for name, words in re.findall(r"(\w+):((?:\s+[\w,-]+(?![\w,-]*:))*)", line):
            if name in cells:
                raise ValueError(f"docs/architecture.md has two rows for {name}")
            cells[name] = words.replace(",", " ").split()
    rows = {}
    for name, words in cells.items():
        if words[:2] == ["all", "but"]:
            rows[name] = set(cells) - set(words[2:]) - {name}
        else:
            rows[name] = set(words) - {"-"}
        if unknown := (rows[name] | set(words[2:] if words[:1] == ["all"] else [])) - set(cells):
            raise ValueError(f"docs/architecture.md: row {name} names unknown {sorted(unknown)}")
    try:
        TopologicalSorter(rows).prepare()
    except CycleError as e:
        raise ValueError(f"docs/architecture.md: a circle: {' -> '.join(e.args[1])}") from e
    return rows


def check_includes(root: Path, file: Path, rows: dict[str, set[str]]) -> list[str]:
    module = file.relative_to(root / "src").parts[0]
    problems = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not (found := INCLUDE.match(line)):
            continue
        quote, name = found.groups()
        where = f"{file.relative_to(root)}:{number}"
        if quote == '"':
            other = name.split("/")[0]
            if "/" not in name or other not in rows:
                problems.append(f'{where}: "{name}" does not start with a module\'s name')
            elif other != module and other not in rows[module]:
                row = " ".join(sorted(rows[module])) or "-"
                problems.append(f"{where}: {module} may not include {name} (its row: {row})")
        for library, users in LIBRARIES.items():
            if name.startswith(library) and module not in users:
                problems.append(f"{where}: only {', '.join(sorted(users))} may include {name}")
    return problems


def check_folders(root: Path, rows: dict[str, set[str]]) -> list[str]:
    """Every folder has a row, every .c is built, no two files have one name."""
    problems = []
    places = defaultdict(list)
    for path in sorted((root / "src").rglob("*.[ch]")):
        places[path.name].append(str(path.relative_to(root)))
    for name, where in places.items():
        if len(where) > 1:
            problems.append(f"{name}: one name, several files: {', '.join(where)}")
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if folder.name not in rows:
            problems.append(f"src/{folder.name}: has no row in docs/architecture.md")
        problems += not_built(root, folder, "*.c", "{name}.c")
    return problems + not_built(root, root / "tests/unit", "test_*.c", "shunt_unit_test({test})")


def not_built(root: Path, folder: Path, pattern: str, entry: str) -> list[str]:
    files = sorted(folder.glob(pattern))
    lists = folder / "CMakeLists.txt"
    built = lists.read_text() if lists.is_file() else ""
    return [
        f"{file.relative_to(root)}: is not in {lists.relative_to(root)}"
        for file in files
        if not re.search(
            r"(?<![\w])"
            + re.escape(entry.format(name=file.stem, test=file.stem.removeprefix("test_"))),
            built,
        )
    ]


def check_looks(root: Path, file: Path) -> list[str]:
    name = file.relative_to(root)
    lines = file.read_text().splitlines()
    problems = []
    if not any(SPDX in line for line in lines[:3]):
        problems.append(f"{name}: no line '{SPDX}' at its top")
    if file.suffix == ".h" and "#pragma once" not in lines:
        problems.append(f"{name}: no '#pragma once'")
    return problems


def check_header_alone(root: Path, file: Path, flags: list[str]) -> list[str]:
    command = shlex.split("cc -std=gnu17 -Wall -Werror -D_GNU_SOURCE -fsyntax-only -x c")
    done = subprocess.run(
        [*command, *flags, "-I", root / "src", "-"],
        input=f'#include "{file}"\n',
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return []
    return [f"{file.relative_to(root)}: does not compile alone:\n{done.stderr.rstrip()}"]


def check(root: Path) -> list[str]:
    try:
        rows = read_rows((root / "docs/architecture.md").read_text())
    except ValueError as e:
        return [str(e)]
    problems = check_folders(root, rows)
    sources = sorted((root / "src").rglob("*.[ch]"))
    for file in sources:
        if file.relative_to(root / "src").parts[0] in rows:
            problems += check_includes(root, file, rows)
    looked_at = sources + sorted((root / "tests/unit").glob("*.[ch]"))
    for file in looked_at:
        problems += check_looks(root, file)
    flags = shlex.split(
        subprocess.run(
            ["pkg-config", "--cflags", *PKG_CONFIG.split()], capture_output=True, text=True
        ).stdout
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = [file for file in looked_at if file.suffix == ".h"]
        for found in pool.map(lambda file: check_header_alone(root, file, flags), headers):
            problems += found
    return problems


def main() -> int:
    default = Path(__file__).resolve().parent.parent
    problems = check(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else default)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
