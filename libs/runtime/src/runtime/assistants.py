"""Assistant profiles: TOML files that say what answers a called number. Read by ai-agent (and
whoever needs a profile's human number); validated with errors that name file, key and reason.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from runtime.errors import ServiceError

ANY_NUMBER = "*"


class TurnDetection(Struct, frozen=True, forbid_unknown_fields=True):
    """Server VAD values (OpenAI ``turn_detection``); ms."""

    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=2000)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=100, le=5000)] = 500


class Assistant(Struct, frozen=True, forbid_unknown_fields=True):
    """One profile. ``numbers``: called numbers it answers, or ``*`` for all that no other profile
    names.

    ``instructions`` and ``greeting`` are told to the model; ``tools`` are the only ones it may
    call. Empty ``model`` and ``transcription_model`` mean the service's settings.
    """

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    numbers: Annotated[tuple[str, ...], Meta(min_length=1)]
    instructions: Annotated[str, Meta(min_length=1, max_length=50_000)]
    greeting: Annotated[str, Meta(min_length=1, max_length=2_000)]
    tools: tuple[str, ...] = ()
    voice: str = "marin"
    language: Annotated[str, Meta(pattern="^[a-z]{2}$")] = "en"
    time_zone: str = "UTC"
    model: str = ""
    transcription_model: str = ""
    max_output_tokens: Annotated[int, Meta(ge=1, le=4096)] = 1024
    tool_deadline_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    turn_detection: TurnDetection = TurnDetection()


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
    try:
        ZoneInfo(assistant.time_zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"time_zone: {assistant.time_zone!r} is no IANA time zone") from None
    return LoadedAssistant(assistant, hashlib.sha256(data).hexdigest())
