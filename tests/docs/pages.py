"""The pages that people read, and what stands in them: links, anchors, paths and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from include.config.settings import PROJECT_ROOT

PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"^ {4,}(.+)$", flags=re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)|<img src=\"([^\"]+)\"")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def links(text: str) -> list[str]:
    """Targets of links and images outside code."""
    return [a or b for a, b in _LINK.findall(_SPAN.sub("", _FENCE.sub("", text)))]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", _FENCE.sub("", text), flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        repeated = [slug, *(f"{slug}-{n}" for n in range(1, 100))]
        found.add(next(name for name in repeated if name not in found))
    return found


def broken(page: Path, text: str) -> list[str]:
    """The relative links of a page's text that lead nowhere."""
    found = []
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if (path and not target.exists()) or (
            anchor and anchor not in anchors(text if target == page else text_of(target))
        ):
            found.append(link)
    return found


def paths(text: str) -> set[str]:
    """Code spans that are a path of this repository: those that start with one of its folders."""
    folders = "|".join(path.name for path in PROJECT_ROOT.iterdir() if path.is_dir() and path.name.isalpha())
    return {span for span in _SPAN.findall(text) if re.fullmatch(rf"(?:{folders})/[\w./]+", span)} - {"data/"}


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command: lines of code blocks, joined where they end in a backslash, and code spans."""
    fenced = "\n".join(block.split("\n", 1)[1].rsplit("\n", 1)[0] for block in _FENCE.findall(text) if "\n" in block)
    unfenced = _FENCE.sub("", text)
    lines = [*fenced.replace("\\\n", " ").splitlines(), *_INDENTED.findall(unfenced.replace("\\\n", " "))]
    for line in [*lines, *(span.replace("\n", " ") for span in _SPAN.findall(_INDENTED.sub("", unfenced)))]:
        try:
            words = shlex.split(line.removeprefix("$ "), comments=True)
        except ValueError:
            continue  # prose or JSON with an unmatched quote
        while words and re.fullmatch(r"[A-Z_]+=.*|time", words[0]):
            words = words[1:]
        if words:
            yield words


def modules(text: str) -> Iterator[tuple[str, list[str]]]:
    """What is started by `python -m`, with what follows."""
    for words in commands(text):
        if words[0].rpartition("/")[2] == "python" and words[1:2] == ["-m"]:
            yield words[2], words[3:]


def targets(text: str) -> Iterator[tuple[str, list[str]]]:
    """Targets of make, with the variables that are set for them."""
    for words in commands(text):
        if words[0] == "make":
            for word in words[1:]:
                if "=" not in word:
                    yield word, [other for other in words[1:] if "=" in other]


def make_targets() -> set[str]:
    """Those that `make help` lists, and those that are declared phony."""
    return set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
