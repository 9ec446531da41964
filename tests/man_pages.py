# SPDX-License-Identifier: Apache-2.0
"""The parts of docs/man/ that the C tables know, between the lines `.\\" begin NAME` and
`.\\" end NAME`. `python3 tests/man_pages.py` writes them anew; tests/test_man_pages.py compares."""

import re
import textwrap
from pathlib import Path

import test_docs

FOLDER = Path("docs/man")


def escape(text: str) -> str:
    """As mdoc wants it: minus signs, dots, and no bar that it takes for punctuation."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("`", "")
    text = re.sub(r"(?<!\S)\|(?!\S)", r"\\(ba", text)
    return "\\&" + text if text[:1] in (".", "'") else text


def sentence(text: str) -> str:
    """A file's name at the start stays as it is."""
    first = text if re.match(r"\S*[./]", text) else text[:1].upper() + text[1:]
    return f"{first}."


def items(macro: str, rows: list[tuple[str, ...]]) -> list[str]:
    lines = [".Bl -tag -width Ds"]
    for name, *texts in rows:
        lines.append(f".It {macro} {escape(name)}")
        lines += [escape(line) for text in texts for line in textwrap.wrap(text, 72)]
    return [*lines, ".El"]


def commands(root: Path) -> list[str]:
    rows = test_docs.commands(root)
    return items(
        "Ic", [(f"{name} {usage}".strip(), sentence(text)) for name, usage, text, _ in rows]
    )


def settings(root: Path) -> list[str]:
    return items(
        "Va",
        [
            (name, f"{text}.", f"Takes a {takes}; default: {default}.")
            for name, takes, default, text in test_docs.settings(root)
        ],
    )


def statuses(root: Path) -> list[str]:
    by_code: dict[str, list[str]] = {}
    for name, _, code in test_docs.errors(root):
        by_code.setdefault(code, []).append(name)
    return items("Li", [(code, f"{', '.join(by_code[code])}.") for code in sorted(by_code)])


PARTS = {"shunt.1": (commands, statuses), "shunt.conf.5": (settings,)}


def renewed(page: str, name: str, root: Path) -> str:
    """The page with its parts as the tables have them."""
    for part in PARTS.get(name, ()):
        begin, end = (f'.\\" {word} {part.__name__}\n' for word in ("begin", "end"))
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        assert after, f"{name} lacks the lines around {part.__name__}"
        page = before + begin + "\n".join(part(root)) + "\n" + end + after
    return page


if __name__ == "__main__":
    for file in (test_docs.ROOT / FOLDER).iterdir():
        file.write_text(renewed(file.read_text(), file.name, test_docs.ROOT))
