"""The human behind a called number, from the assistants' profiles; read again when a file changes.

Used by whatever dials a human. A folder that cannot be used leaves the profiles as they were, or
nobody to transfer to: the telephone side does not go down with a wrong profile.
"""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from runtime import assistants, logging
from runtime.assistant import Assistant, Transfer, somebody_there
from runtime.assistants import Assistants
from runtime.errors import ServiceError

_log = logging.get("profiles")


class Profiles:
    """All profiles of a folder, as they are now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded = Assistants({})
        self._seen: tuple[tuple[str, int, int], ...] | None = None

    def answering(self, called: str) -> Assistant | None:
        """The profile that answers a called number."""
        found = self._current().answering(called)
        return found.assistant if found is not None else None

    def named(self, name: str) -> Assistant | None:
        """The profile of this name."""
        every = (loaded.assistant for loaded in self._current().all())
        return next((assistant for assistant in every if assistant.name == name), None)

    def human(self, called: str, now: datetime) -> tuple[Assistant, Transfer] | None:
        """The profile of ``called`` and its human, if one may be called at ``now`` (aware)."""
        profile = self.answering(called)
        if profile is None:
            return None
        local = now.astimezone(ZoneInfo(profile.time_zone))
        return (profile, profile.transfer) if somebody_there(profile.transfer, local) else None

    def nobody(self, called: str) -> str:
        """What a caller of ``called`` is told when no human answers."""
        profile = self.answering(called)
        return (profile.transfer if profile is not None else Transfer()).nobody

    def _current(self) -> Assistants:
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._loaded = assistants.load(self._folder)
            except (ServiceError, OSError) as error:
                _log.error("assistant profiles not read", reason=str(error))
        return self._loaded

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        found: list[tuple[str, int, int]] = []
        for file in sorted(self._folder.glob("*.toml")):
            try:
                stat = file.stat()
            except OSError:
                continue  # replaced at this moment; the next look sees it
            found.append((file.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)
