"""All profiles of a folder: loads them, with errors that name file, key and reason, finds the one
that answers a called number, and reads the folder again when a file changed.
"""

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime import logging
from runtime.assistant import Assistant, problems
from runtime.clock import monotonic_ms
from runtime.errors import ServiceError

_log = logging.get("assistants")

ANY_NUMBER = "*"
LOOK_MS = 2_000
"""How often a folder is looked at, at most."""
_KEY_PROBLEMS = (
    ("Object contains unknown field ", "there is no such key"),
    ("Object missing required field ", "is missing"),
)


class LoadedAssistant(Struct, frozen=True):
    """A profile and the hash of the file it came from."""

    assistant: Assistant
    sha256: str


class Assistants:
    """All profiles of a folder, found by called number."""

    def __init__(self, by_number: dict[str, LoadedAssistant]) -> None:
        self._by_number = by_number

    def answering(self, called: str) -> LoadedAssistant | None:
        """The profile for a called number, or None when no profile answers it."""
        return self._by_number.get(called) or self._by_number.get(ANY_NUMBER)

    def all(self) -> list[LoadedAssistant]:
        """Each profile once, by name."""
        once = {found.assistant.name: found for found in self._by_number.values()}
        return [once[name] for name in sorted(once)]


class Profiles:
    """The profiles of a folder as they are now: a file changed, added or removed counts from the
    next call on, without a restart. A call keeps what it was given.

    A folder that cannot be used any more keeps the profiles from before, with one warning that
    says why. Raises ServiceError only when made, like ``load``; with ``required`` False it begins
    with no profile instead. ``look_ms``: how long it may take to notice a change.
    """

    def __init__(
        self,
        folder: Path,
        now_ms: Callable[[], int] = monotonic_ms,
        *,
        required: bool = True,
        look_ms: int = LOOK_MS,
    ) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._look_ms = look_ms
        self._seen = _stamps(folder)
        self._looked_ms = now_ms()
        self._current = Assistants({})
        if required:
            self._current = load(folder)
        else:
            self._load()

    def answering(self, called: str) -> LoadedAssistant | None:
        """The profile for a called number, or None; asked at the start of a call."""
        self._look()
        return self._current.answering(called)

    def all(self) -> list[LoadedAssistant]:
        """Each profile once, by name."""
        self._look()
        return self._current.all()

    def newest(self, name: str) -> LoadedAssistant | None:
        """The profile of this name as its file is at this moment, if that can be used."""
        self._looked_ms = self._now_ms() - self._look_ms
        return next((found for found in self.all() if found.assistant.name == name), None)

    def _look(self) -> None:
        now_ms = self._now_ms()
        if now_ms - self._looked_ms < self._look_ms:
            return
        self._looked_ms = now_ms
        stamps = _stamps(self._folder)
        if stamps == self._seen:
            return
        self._seen = stamps
        self._load()

    def _load(self) -> None:
        try:
            self._current = load(self._folder)
        except (ServiceError, OSError) as error:
            why = str(error) if isinstance(error, ServiceError) else type(error).__name__
            _log.warning("profiles not read, the old ones stay", reason=why)
        else:
            names = [loaded.assistant.name for loaded in self._current.all()]
            _log.info("profiles read", profiles=names)


def load(folder: Path) -> Assistants:
    """Every ``*.toml`` of ``folder``. Raises ServiceError with one line a problem: file, key,
    reason.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise ServiceError(f"no assistant profile (*.toml) in {folder}; set ASSISTANTS_DIR")
    by_number: dict[str, LoadedAssistant] = {}
    names: dict[str, str] = {}
    problems: list[str] = []
    for file in files:
        try:
            loaded = _read(file)
        except ValueError as error:
            problems.append(f"{file.name}: {error}")
            continue
        other = names.setdefault(loaded.assistant.name, file.name)
        if other != file.name:
            problems.append(f"{file.name}: name: {loaded.assistant.name!r} is that of {other} too")
        for number in loaded.assistant.numbers:
            if number in by_number:
                taken = by_number[number].assistant.name
                problems.append(f"{file.name}: numbers: {number!r} is answered by {taken!r} too")
            by_number[number] = loaded
    if problems:
        raise ServiceError("assistant profiles cannot be used: " + "; ".join(problems))
    return Assistants(by_number)


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells that a file changed, without reading it."""
    found: dict[str, tuple[int, int]] = {}
    for file in folder.glob("*.toml"):
        try:
            stat = file.stat()
        except OSError:  # gone in between, or a link to nowhere
            continue
        found[file.name] = (stat.st_mtime_ns, stat.st_size)
    return found


def _read(file: Path) -> LoadedAssistant:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    try:
        assistant = msgspec.convert(tomllib.loads(data.decode()), Assistant)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ValueError(_at(str(error))) from None
    if found := problems(assistant):
        raise ValueError("; ".join(found))
    return LoadedAssistant(assistant, hashlib.sha256(data).hexdigest())


def _at(text: str) -> str:
    """msgspec's words as ``key: reason``; it puts the place behind, and wrong and missing keys
    into the reason.
    """
    reason, _, place = text.partition(" - at `$")
    place = place.strip("`.")
    for said, meant in _KEY_PROBLEMS:
        if reason.startswith(said):
            place = ".".join(part for part in (place, reason[len(said) :].strip("`")) if part)
            reason = meant
    return f"{place or 'top level'}: {reason}"
