"""How late this process wakes: where callers and model lag, they measure themselves."""

import asyncio

EVERY_S = 0.01


class Lag:
    """Asks to be woken every 10 ms and notes by how much later it was (ms)."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._due = 0.0
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, or begin anew."""
        self.late_ms.clear()
        if not self._due:
            self._due = asyncio.get_running_loop().time() + EVERY_S
            self._next = asyncio.get_running_loop().call_at(self._due, self._woken)

    def stop(self) -> None:
        """Ask no more."""
        if self._next is not None:
            self._next.cancel()

    def _woken(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.late_ms.append((now - self._due) * 1e3)
        self._due = max(self._due + EVERY_S, now)
        self._next = loop.call_at(self._due, self._woken)
