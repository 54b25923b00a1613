"""examples/: every folder says what it is, and the index leads to all of them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from testbed.layout import example_tools

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FOLDERS = sorted(
    each.name for each in EXAMPLES.iterdir() if each.is_dir() and each.name[0] not in "._"
)
PACKAGES = sorted(EXAMPLES.glob("*/package.json"))


def test_the_index_lists_every_example_and_nothing_else() -> None:
    index = (EXAMPLES / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\]\(\1\) \|", index, re.MULTILINE)) == FOLDERS
    assert "table_booking" in FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_readme_leads_to_files_that_are_there(folder: str) -> None:
    text = (EXAMPLES / folder / "README.md").read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    missing = [
        link
        for link in links
        if "://" not in link and not (EXAMPLES / folder / link).resolve().exists()
    ]
    assert missing == []
    for program in re.findall(r"examples/(\w+/[\w.]+)", text):
        assert (EXAMPLES / program).exists(), program


def test_make_up_starts_only_the_tools_that_profiles_of_ours_name() -> None:
    assert list(example_tools(ROOT)) == ["tool-opening-hours"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.parent.name)
def test_a_package_is_locked_as_it_says_and_without_addresses(package: Path) -> None:
    wanted = json.loads(package.read_text("utf-8"))["dependencies"]
    lock = json.loads(package.with_name("package-lock.json").read_text("utf-8"))
    assert lock["packages"][""]["dependencies"] == wanted
    for name, version in wanted.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    for name, each in lock["packages"].items():
        assert "resolved" not in each, name
        assert not name or each["integrity"].startswith("sha512-")


def test_what_npm_installs_is_not_tracked() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "examples"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "examples/README.md" in listed
    assert "node_modules" not in listed
