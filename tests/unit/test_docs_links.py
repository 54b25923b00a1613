"""Every link of the documentation that stays in the repository leads somewhere, headings too."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("**/*.md"),
        *ROOT.glob("services/*/README.md"),
        *ROOT.glob("libs/*/README.md"),
        *ROOT.glob("examples/**/README.md"),
        *ROOT.glob("tests/README.md"),
    }
)
PAGES = [page for page in PAGES if "node_modules" not in page.parts]
LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
OUTSIDE = ("https://", "http://", "mailto:")


def links(text: str) -> list[str]:
    """The targets of a page's links, without those of code."""
    text = FENCE.sub("", text)
    return [target for target in LINK.findall(text) if not target.startswith(OUTSIDE)]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    made: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        made.add(f"{slug}-{count}" if count else slug)
    return made


def broken(page: Path, text: str) -> list[str]:
    return [target for target in links(text) if not leads(page, target)]


def leads(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists() or not there.is_relative_to(ROOT):
        return False
    return not anchor or (there.suffix == ".md" and anchor in anchors(there.read_text("utf-8")))


def test_the_pages_are_seen() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "docs/README.md", "docs/concepts.md", "docs/twilio.md"} <= names
    assert sum(len(links(page.read_text("utf-8"))) for page in PAGES) > 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page, page.read_text("utf-8")) == []


def test_a_link_to_nowhere_is_seen() -> None:
    page = ROOT / "docs/README.md"
    text = (
        "[a](nowhere.md) [b](twilio.md#no-such-heading) [c](twilio.md#6-call) [d](#here)\n"
        "[`e`](../../outside.md) [f](https://example.com)\n```\n[g](in-code.md)\n```\n"
    )
    assert broken(page, text) == [
        "nowhere.md", "twilio.md#no-such-heading", "#here", "../../outside.md"
    ]  # fmt: skip


def test_what_is_linked_is_in_the_repository() -> None:
    """Not only on this machine: tracked, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    files = {ROOT / name for name in listed}
    folders = {parent for file in files for parent in file.parents}
    for page in PAGES:
        for target in links(page.read_text("utf-8")):
            path = target.partition("#")[0]
            if path:
                there = (page.parent / path).resolve()
                assert there in files or there in folders, f"{page}: {target}"


def test_every_page_of_the_folder_is_in_its_index() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page}" not in index} == set()
