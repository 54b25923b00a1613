"""All profiles of a folder: loads them, with errors that name file, key and reason, and finds the
one that answers a called number. Read by ai-agent and webhooks.
"""

import hashlib
import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime.assistant import Assistant, problems
from runtime.errors import ServiceError

ANY_NUMBER = "*"


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


def _read(file: Path) -> LoadedAssistant:
    data = file.read_bytes()
    try:
        assistant = msgspec.convert(tomllib.loads(data.decode()), Assistant)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise ValueError(f"{place.strip('`.') or 'top level'}: {reason}") from None
    if found := problems(assistant):
        raise ValueError("; ".join(found))
    return LoadedAssistant(assistant, hashlib.sha256(data).hexdigest())
