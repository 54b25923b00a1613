"""What the desk ships to browsers: vendored scripts as recorded, templates without inline code."""

import hashlib
import re
from pathlib import Path

import dashboard

PACKAGE = Path(dashboard.__file__).parent
VENDOR = PACKAGE / "static" / "vendor"


def test_vendored_files_are_those_of_vendor_md() -> None:
    rows = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \| \S+ \|$", _read("VENDOR.md"), re.M)
    hashes = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name, _ in rows}
    assert dict(rows) == hashes
    assert {file.name for file in VENDOR.iterdir()} == {"VENDOR.md", *hashes}


def test_templates_have_no_inline_script_or_style() -> None:
    templates = list((PACKAGE / "templates").rglob("*.html"))
    assert len(templates) > 10
    for file in templates:
        text = file.read_text()
        assert not re.search(
            r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|hx-on|\|\s*safe", text
        ), file


def _read(name: str) -> str:
    return (VENDOR / name).read_text()
