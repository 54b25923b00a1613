"""Freezes the contract at a release: ``tests/contract/released.json`` then holds the fields of
every message, and the digest of every golden, as whoever reads or writes them today knows them.

Run by hand before a release (``.venv/bin/python scripts/freeze_contract.py``). It refuses a
contract that takes back what an earlier release promised; a test does the same all the time.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec

from protocol.channels import channels

ROOT = Path(__file__).parents[1]
RELEASED = Path("tests/contract/released.json")
GOLDENS = Path("libs/protocol/examples")
Shapes = dict[str, dict[str, Any]]
"""Struct -> {"fields": {name: its JSON Schema without prose}, "required": [names]}."""


def shapes() -> Shapes:
    """Of every struct that travels, by its name."""
    kinds = [kind for c in channels() for kind in (*c.messages, *c.replies)]
    _, described = msgspec.json.schema_components(dict.fromkeys(kinds))
    made = {
        name: {
            "fields": {key: _plain(value) for key, value in each.get("properties", {}).items()},
            "required": sorted(each.get("required", ())),
        }
        for name, each in sorted(described.items())
    }
    return msgspec.json.decode(msgspec.json.encode(made))  # as it is read from the file


def digests(root: Path = ROOT) -> dict[str, str]:
    """sha256 of every golden, by its file's name."""
    files = sorted((root / GOLDENS).glob("*.json"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def broken(before: Shapes, after: Shapes) -> list[str]:
    """What ``after`` takes back of ``before``: a struct or field that is gone, means something else
    or is needed where it was not. A list of words may grow; anything may be added with a default.
    """
    found: list[str] = []
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            found.append(f"{name} is gone")
            continue
        for field, described in old["fields"].items():
            if field not in new["fields"]:
                found.append(f"{name}.{field} is gone")
            elif not _same(described, new["fields"][field]):
                found.append(f"{name}.{field} has another type or default")
        for field in sorted(set(new["required"]) - set(old["required"])):
            found.append(f"{name}.{field} has no default, and old messages lack it")
    return found


def edited(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Goldens of ``before`` that are gone or hold something else."""
    return [name for name, digest in before.items() if after.get(name) != digest]


def _same(old: Any, new: Any) -> bool:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return old == new
    if "enum" in old and "enum" in new:
        rest = [{k: v for k, v in each.items() if k != "enum"} for each in (old, new)]
        return set(old["enum"]) <= set(new["enum"]) and rest[0] == rest[1]
    if "anyOf" in old and "anyOf" in new and len(old["anyOf"]) == len(new["anyOf"]):
        rest = [{k: v for k, v in each.items() if k != "anyOf"} for each in (old, new)]
        pairs = zip(old["anyOf"], new["anyOf"], strict=True)
        return rest[0] == rest[1] and all(_same(*pair) for pair in pairs)
    return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key != "description"}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def main(root: Path = ROOT) -> int:
    """Write the file; 1 and nothing written when something would be taken back."""
    made = {"goldens": digests(root), "structs": shapes()}
    file = root / RELEASED
    if file.exists():
        before = msgspec.json.decode(file.read_bytes())
        problems = broken(before["structs"], made["structs"])
        problems += [f"{name} was edited" for name in edited(before["goldens"], made["goldens"])]
        if problems:
            sys.stderr.write("\n".join(problems) + "\n")
            return 1
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    sys.stdout.write(f"{len(made['structs'])} structs and {len(made['goldens'])} goldens frozen\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
