"""The folder of profiles as it is now, read as workers read it, and when each file changed while
this desk watched.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from dashboard.assistants.versions import Version, follow
from dashboard.sse import Hub, Message
from runtime import assistants
from runtime.assistants import ProfileFile
from runtime.clock import utc_now

TOPIC = "assistants"
LOOK_AGAIN = Message("assistants", "look again")
LOOK_S = 2.0


class Look(Struct, frozen=True):
    """``missing``: why the folder cannot be read, in words; then there are no files."""

    folder: str
    files: tuple[ProfileFile, ...]
    versions: Mapping[str, tuple[Version, ...]]
    since: datetime
    missing: str = ""


class Shelf:
    """Reads the folder when it is looked at; ``watch`` also tells browsers of a change."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self._folder = folder
        self._hub = hub
        self._since = utc_now()
        self._seen: Look | None = None

    def look(self) -> Look:
        """The files as they are at this moment. Reads a few small files; never raises."""
        versions: Mapping[str, tuple[Version, ...]] = self._seen.versions if self._seen else {}
        files: tuple[ProfileFile, ...] = ()
        missing = ""
        if not self._folder.is_dir():
            missing = f"There is no folder {self._folder} on the desk's host"
        else:
            try:
                files = tuple(assistants.read(self._folder))
            except OSError as error:
                missing = f"The folder {self._folder} cannot be read: {error.strerror}"
        versions = follow(versions, files, utc_now())
        self._seen = Look(str(self._folder), files, versions, self._since, missing)
        return self._seen

    async def watch(self) -> None:
        """Look again and again, for ever; browsers on the page are told when something differs."""
        before = await asyncio.to_thread(self.look)
        while True:
            await asyncio.sleep(LOOK_S)
            now = await asyncio.to_thread(self.look)
            if (now.files, now.missing) != (before.files, before.missing):
                self._hub.publish(TOPIC, LOOK_AGAIN)
            before = now
