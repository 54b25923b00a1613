"""What a caller must know of a running system: its addresses, account and processes, kept in a
file.

Written by the launcher beside the system's data, readable by its user alone; read by `call`. The
account's token in it is made anew at each start and signs simulated webhooks only.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

FILE = "system.json"


@dataclass(frozen=True)
class System:
    """A running system, as the outside world sees it."""

    webhooks_url: str
    account_sid: str
    auth_token: str
    number: str
    nats_url: str
    database_url: str
    dashboard_url: str
    processes: dict[str, int]
    """Names of the services' processes and their ids."""

    def save(self, folder: Path) -> None:
        """Write it to `folder`, for its owner's eyes."""
        path = folder / FILE
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The system running on `folder`, or None."""
        try:
            found = cls(**json.loads((folder / FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return found if all(_runs(pid) for pid in found.processes.values()) else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
