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


class Problem(Struct, frozen=True):
    """What keeps a file from being used: ``key`` (``""``: the file as a whole) and ``reason``."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" if self.key else self.reason


class ProfileFile(Struct, frozen=True):
    """One file of a folder, its profile if it can be read, and what is wrong with it."""

    file: str
    loaded: LoadedAssistant | None
    problems: tuple[Problem, ...] = ()


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
    files = read(folder)
    if not files:
        raise ServiceError(f"no assistant profile (*.toml) in {folder}; set ASSISTANTS_DIR")
    if wrong := [f"{one.file}: {problem}" for one in files for problem in one.problems]:
        raise ServiceError("assistant profiles cannot be used: " + "; ".join(wrong))
    profiles = [one.loaded for one in files if one.loaded is not None]
    return Assistants({number: one for one in profiles for number in one.assistant.numbers})


def read(folder: Path) -> list[ProfileFile]:
    """Every ``*.toml`` of ``folder`` by name, good or not. Workers use none of them while one has
    a problem.
    """
    answered: dict[str, str] = {}
    names: dict[str, str] = {}
    found: list[ProfileFile] = []
    for file in sorted(folder.glob("*.toml")):
        one = _read(file)
        if one.loaded is not None:
            assistant = one.loaded.assistant
            twice: list[Problem] = []
            other = names.setdefault(assistant.name, file.name)
            if other != file.name:
                twice.append(Problem("name", f"{assistant.name!r} is that of {other} too"))
            for number in assistant.numbers:
                if number in answered:
                    taken = answered[number]
                    twice.append(Problem("numbers", f"{number!r} is answered by {taken!r} too"))
                answered[number] = assistant.name
            one = ProfileFile(file.name, one.loaded, (*one.problems, *twice))
        found.append(one)
    return found


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


def _read(file: Path) -> ProfileFile:
    def broken(key: str, reason: str) -> ProfileFile:
        return ProfileFile(file.name, None, (Problem(key, reason),))

    try:
        data = file.read_bytes()
    except OSError as error:
        return broken("", f"cannot be read: {error.strerror}")
    try:
        assistant = msgspec.convert(tomllib.loads(data.decode()), Assistant)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return broken("", f"is no TOML: {error}")
    except msgspec.ValidationError as error:
        return broken(*_at(str(error)))
    wrong = (text.partition(": ") for text in problems(assistant))
    loaded = LoadedAssistant(assistant, hashlib.sha256(data).hexdigest())
    return ProfileFile(file.name, loaded, tuple(Problem(key, why) for key, _, why in wrong))


def _at(text: str) -> tuple[str, str]:
    """msgspec's words as key and reason; it puts the place behind, and wrong and missing keys
    into the reason.
    """
    reason, _, place = text.partition(" - at `$")
    place = place.strip("`.")
    for said, meant in _KEY_PROBLEMS:
        if reason.startswith(said):
            place = ".".join(part for part in (place, reason[len(said) :].strip("`")) if part)
            reason = meant
    return place or "top level", reason
