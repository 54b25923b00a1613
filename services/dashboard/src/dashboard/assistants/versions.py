"""Which version of a profile a running call uses, and how its file came to its version (pure)."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from dashboard.live.board import Row
from runtime.assistants import ProfileFile

SHORT = 8
KEPT = 20
"""Versions of one file that are remembered."""


class Version(Struct, frozen=True):
    """What a file held from ``since`` on (UTC). ``sha256`` is ``""`` while it could not be read."""

    sha256: str
    since: datetime


class Running(Struct, frozen=True):
    """The calls that go on with one version of a profile."""

    sha256: str
    calls: tuple[str, ...]

    @property
    def short(self) -> str:
        return self.sha256[:SHORT]


def version_of(file: ProfileFile) -> str:
    """The hash of the file's content, if it is a profile."""
    return file.loaded.sha256 if file.loaded else ""


def follow(
    before: Mapping[str, tuple[Version, ...]], files: Iterable[ProfileFile], now: datetime
) -> dict[str, tuple[Version, ...]]:
    """The versions of every file that is there, the present one last."""
    found: dict[str, tuple[Version, ...]] = {}
    for file in files:
        known = before.get(file.file, ())
        sha256 = version_of(file)
        if not known or known[-1].sha256 != sha256:
            known = (*known, Version(sha256, now))
        found[file.file] = known[-KEPT:]
    return found


def running(rows: Iterable[Row]) -> dict[str, tuple[Running, ...]]:
    """By the profile's name, the versions that calls use which go on, most used first."""
    calls: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        session = row.state.session
        if session is not None and not row.ended:
            calls.setdefault(session.profile, {}).setdefault(session.profile_sha256, []).append(
                row.call_id
            )
    return {
        name: tuple(
            Running(sha256, tuple(held))
            for sha256, held in sorted(versions.items(), key=lambda one: (-len(one[1]), one[0]))
        )
        for name, versions in calls.items()
    }
