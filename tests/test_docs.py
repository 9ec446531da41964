# SPDX-License-Identifier: Apache-2.0
"""docs/api.md says what the tables in the C files say: nothing missing, nothing invented."""

import itertools
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOC = "docs/api.md"
ENDPOINTS, GATEWAY = "src/api/endpoints.c", "src/gateway/paths.c"
OPTIONS, CONFIG = "src/model/option.c", "src/daemon/config.c"
COMMANDS, ERRORS = "src/cli/cli.c", "src/base/err.h"
FILES = (DOC, ENDPOINTS, GATEWAY, OPTIONS, CONFIG, COMMANDS, ERRORS)

STRING = r'"((?:[^"\\]|\\.)*)"'
WHAT = {
    "OPTION_INT": "whole number",
    "OPTION_NUMBER": "number",
    "OPTION_BOOL": "true or false",
    "OPTION_TEXT": "text",
    "OPTION_PATH": "absolute path",
    "OPTION_PATHS": "list of absolute paths",
    "OPTION_DEVICES": "list of device names",
    "OPTION_NUMBERS": "list of numbers",
    "OPTION_IDS": "list of model ids",
    "OPTION_OBJECT": "JSON object",
    "VALUE_TEXT": "text",
    "VALUE_PATH": "path",
    "VALUE_COUNT": "number",
    "VALUE_BYTES": "size",
    "VALUE_TIME": "time",
}

# --- what the C tables say: lines of docs/api.md ----------------------------------------------


def text(literal: str) -> str:
    return literal.replace('\\"', '"')


def row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def option_rows(root: Path) -> list[str]:
    source = (root / OPTIONS).read_text()
    macros = dict(re.findall(rf"#define (\w+) {STRING}", source))
    rows = []
    for name, kind, reload, low, high, choices, default, help_ in re.findall(
        rf'\{{"(\w+)", (OPTION_\w+), \w+, (\w+), (\S+), (\S+), ("[^"]*"|\w+), {STRING}, '
        rf'(?:NULL|"[^"]*"),\s+{STRING}\}}',
        source,
    ):
        if kind == "OPTION_CHOICE":
            words = macros.get(choices, choices).strip('"').split("|")
            takes = ", ".join(f"`{word}`" for word in words)
        else:
            takes = WHAT[kind]
            if kind in ("OPTION_INT", "OPTION_NUMBER", "OPTION_NUMBERS"):
                takes += f", {low} to {high}"
            if kind == "OPTION_INT" and choices != "NULL":
                takes += ", or " + ", ".join(f"`{word}`" for word in choices.strip('"').split("|"))
        when = "next load" if reload == "true" else "at once"
        rows.append(row(f"`{name}`", takes, text(default), when, text(help_)))
    return rows


def settings(root: Path) -> list[tuple[str, str, str, str]]:
    """Name, what it takes, default, meaning."""
    rows = re.findall(
        rf'\{{"(\w+)",\s*(VALUE_\w+),\s*AT\(\w+\),\s*(NULL|"[^"]*"),[^"]*{STRING}\}},',
        (root / CONFIG).read_text(),
    )
    words = {"NULL": "see below", '""': "none"}
    return [
        (name, WHAT[kind], words.get(default, f"`{default[1:-1]}`"), text(help_))
        for name, kind, default, help_ in rows
    ]


def config_rows(root: Path) -> list[str]:
    return [row(f"`{name}`", *cells) for name, *cells in settings(root)]


def errors(root: Path) -> list[tuple[str, str, str]]:
    """Type, status, exit code."""
    kinds = re.findall(r'X\(ERR_\w+,\s*"(\w+)",\s*(\d+), (\d+)\)', (root / ERRORS).read_text())
    return [kind for kind in kinds if kind[0] != "ok"]


def error_rows(root: Path) -> list[str]:
    """What stands behind them is prose."""
    return [row(f"`{name}`", status, code)[:-1] for name, status, code in errors(root)]


def commands(root: Path) -> list[tuple[str, str, str, str]]:
    """Name, usage, summary and flags; those that main() does have only a line of the help."""
    source = (root / COMMANDS).read_text()
    own = re.findall(rf'printf\("  %-13s%s\\n(?:\\n)?", {STRING}, {STRING}\)', source)
    table = re.findall(
        rf"^\t\{{{STRING},\s*{STRING},\s*{STRING},\s*{STRING}, -?\d+, -?\d+, command_\w+\}}",
        source,
        re.MULTILINE,
    )
    return [(name, "", summary, "") for name, summary in own] + table


def command_rows(root: Path) -> list[str]:
    return [
        row(f"`shunt {name}{' ' if usage else ''}{usage}`", summary)
        for name, usage, summary, _ in commands(root)
    ]


def endpoints(root: Path) -> dict[str, tuple[set[str] | None, set[str]]]:
    """`METHOD path`: its fields ("+" for the model options; None: the worker's affair), its
    query's."""
    source = (root / ENDPOINTS).read_text()
    macros = dict(re.findall(rf"#define (\w) {STRING}", source))
    backend = re.search(r'define BACKEND_FIELD\(.*FIELD\("(\w+)"', source)[1]
    fields = {
        name: set(re.findall(r'FIELD\("(\w+)"', body))
        | ({backend} if "BACKEND_FIELD" in body else set())
        for name, body in re.findall(
            r"struct field (\w+)\[\] = \{(.*?)\{0\},?\s*\}", source, re.DOTALL
        )
    }
    found = {}
    for method, start, tail, table, options, query in re.findall(
        rf'\{{"([A-Z]+)",\s*(\w?)\s*(?:{STRING})?,\s*\w+,\s*(\w+),\s*(true|false),\s*(\w+),',
        source,
    ):
        takes = set(fields.get(table, ())) | ({"+"} if options == "true" else set())
        found[f"{method} {macros.get(start, '')}{tail}"] = (takes, fields.get(query, set()))
    for path in re.findall(r'\{"(/[^"]+)"', re.search(
        r"paths\[\] = \{(.*?)\n\};", (root / GATEWAY).read_text(), re.DOTALL
    )[1]):  # fmt: skip
        assert f"POST {path}" not in found, f"{path} is the gateway's and the API's"
        found[f"POST {path}"] = (None, set())
    return found


# --- what is wrong with the page ---------------------------------------------------------------


def tables(root: Path) -> dict[str, list[str]]:
    """The rows of the tables under each heading, without their heads."""
    found, heading, before = {}, "", ""
    for line in (root / DOC).read_text().splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|") and not line.startswith("|-"):
            found.setdefault(heading, []).append(line)
        if line.startswith("|-") and before.startswith("|"):
            found[heading].pop()
        before = line
    return found


def compare(name: str, documented: list[str], wanted: list[str], same) -> list[str]:
    missing = [want for want in wanted if not any(same(have, want) for have in documented)]
    excess = [have for have in documented if not any(same(have, want) for want in wanted)]
    wrong = [f"{name}: lacks: {want}" for want in missing]
    wrong += [f"{name}: is in no table: {have}" for have in excess]
    if len(documented) != len(wanted) and not wrong:
        wrong.append(f"{name}: has a row twice")
    return wrong


def check_endpoints(documented: dict[str, str], known: dict):
    wrong = [f"endpoints: lacks: {name}" for name in known.keys() - documented.keys()]
    wrong += [f"endpoints: is in no table: {name}" for name in documented.keys() - known.keys()]
    for name in known.keys() & documented.keys():
        takes, query = known[name]
        wrong += [f"{name}: lacks ?{q}=" for q in query if f"?{q}=" not in documented[name]]
        body = re.split(r"(?<!\\)\|", documented[name])[2]
        named = set(re.findall(r"`(\w+)`", body)) | ({"+"} if "model options" in body else set())
        if takes is not None and named != takes:
            wrong.append(f"{name}: takes {sorted(takes)}, the page says {sorted(named)}")
    return wrong


def faults(root: Path) -> list[str]:
    page = tables(root)
    exact = str.__eq__
    wrong = []
    for heading, rows, same in (
        ("Model options", option_rows(root), exact),
        ("Configuration", config_rows(root), exact),
        ("Command line", command_rows(root), exact),
        ("Errors", error_rows(root), str.startswith),
    ):
        assert rows, f"{heading}: nothing found in the C table"
        wrong += compare(heading, page.get(heading, []), rows, same)
    named = {}
    for line in itertools.chain(*page.values()):
        if found := re.match(r"\| `((?:GET|POST|PATCH|DELETE) /[^` ?]*)[^`]*`", line):
            if found[1] in named:
                wrong.append(f"endpoints: has a row twice: {found[1]}")
            named[found[1]] = line
    return wrong + check_endpoints(named, endpoints(root))


def test_the_page_and_the_tables_agree():
    assert faults(ROOT) == []


def test_every_flag_of_a_command_is_in_its_usage():
    for name, usage, _, flags in commands(ROOT):
        for flag in flags.replace("=", "").split():
            assert f"--{flag}" in usage, f"shunt {name} takes --{flag}"


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        # a row of a C table that the page lacks
        (ENDPOINTS, '{"GET",    "/tasks",',
         '{"GET", "/new", x, NULL, false, NULL, ""},\n\t{"GET", "/tasks",',
         "endpoints: lacks: GET /new"),
        (GATEWAY, '{"/tokenize",', '{"/new", x},\n\t{"/tokenize",', "endpoints: lacks: POST /new"),
        (OPTIONS, '{"threads", OPTION_INT', '{"fibres", OPTION_INT', "lacks: | `fibres` |"),
        (CONFIG, '{"log_level",', '{"log_colour",', "lacks: | `log_colour` |"),
        (COMMANDS, '{"cancel", ', '{"abort", ', "lacks: | `shunt abort ID` |"),
        (ERRORS, '"conflict", ', '"quarrel", ', "lacks: | `quarrel` | 409 | 4 "),
        # a row of the page that is in no table
        (DOC, "| `GET /health` |", "| `GET /old` |", "is in no table: GET /old"),
        (DOC, "| `threads` |", "| `fibres` |", "is in no table: | `fibres`"),
        (DOC, "| `log_level` |", "| `log_colour` |", "is in no table: | `log_colour`"),
        (DOC, "| `shunt cancel ID` |", "| `shunt abort ID` |", "is in no table: | `shunt abort"),
        # one that says something else
        (OPTIONS, "256, 16777216", "512, 16777216", "lacks: | `n_ctx` | whole number, 512 to"),
        (CONFIG, '"120s"', '"90s"', "lacks: | `hold_timeout` | time | `90s`"),
        (ERRORS, '"no_space",            507', '"no_space", 500', "lacks: | `no_space` | 500"),
        (ENDPOINTS, '"force", FIELD_BOOL, false, "does', '"now", FIELD_BOOL, false, "does',
         "/unload: takes ['now'], the page says ['force']"),
        (ENDPOINTS, 'FIELD("offset"', 'FIELD("from"', "/log: lacks ?from="),
    ],
)  # fmt: skip
def test_a_difference_is_named(tmp_path, file, old, new, complaint):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before = (tmp_path / file).read_text()
    assert old in before
    (tmp_path / file).write_text(before.replace(old, new, 1))
    assert [fault for fault in faults(tmp_path) if complaint in fault], faults(tmp_path)
