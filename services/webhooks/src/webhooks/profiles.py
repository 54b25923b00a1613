"""The human behind a called number, from the assistants' profiles; read again when a file changes.

Used by whatever dials a human. A folder that cannot be used leaves the profiles as they were, or
nobody to transfer to: the telephone side does not go down with a wrong profile.
"""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from runtime import assistants
from runtime.assistant import Assistant, Transfer, somebody_there


class Profiles:
    """All profiles of a folder, as they are now."""

    def __init__(self, folder: Path) -> None:
        self._now = assistants.Profiles(folder, required=False, look_ms=0)

    def answering(self, called: str) -> Assistant | None:
        """The profile that answers a called number."""
        found = self._now.answering(called)
        return found.assistant if found is not None else None

    def named(self, name: str) -> Assistant | None:
        """The profile of this name."""
        return next((profile for profile in self.all() if profile.name == name), None)

    def all(self) -> list[Assistant]:
        """Every profile, by name."""
        return [loaded.assistant for loaded in self._now.all()]

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
