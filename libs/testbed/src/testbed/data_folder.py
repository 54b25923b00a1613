"""The folder that a running system keeps its data in, held by one instance at a time.

Called by the stack. The lock is the kernel's (flock): it ends with its process, however that ends,
so there is no stale lock to clean. It never deletes a folder that was given.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from testbed.process import StartError


class DataFolder:
    """An exclusively held folder: `path`. Given ones stay, temporary ones go at `release`."""

    def __init__(self, path: Path, lock: int, *, temporary: bool) -> None:
        self.path = path
        self._lock = lock
        self._temporary = temporary

    @classmethod
    def hold(cls, path: Path | None) -> Self:
        """Hold `path` (made if missing), or a fresh temporary folder for None.

        Raises StartError in one sentence when another instance holds it.
        """
        temporary = path is None
        if path is None:
            path = Path(tempfile.mkdtemp(prefix="trunkline-"))
            # Under root the database runs as another user, who must be able to pass through.
            path.chmod(0o711)
        else:
            path.mkdir(parents=True, exist_ok=True)
        # Not inherited by children: the lock must not outlive this process in one of them.
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            os.close(lock)
            raise StartError(
                f"{path} is in use by another running instance"
                f"{f' (process {holder})' if holder else ''}: stop that one first"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return cls(path, lock, temporary=temporary)

    def release(self) -> None:
        """Let go of the folder; a temporary one is deleted. Harmless when done before."""
        if self._lock < 0:
            return
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            # Emptied, not deleted: a waiting instance may have it open already.
            os.ftruncate(self._lock, 0)
        os.close(self._lock)
        self._lock = -1
