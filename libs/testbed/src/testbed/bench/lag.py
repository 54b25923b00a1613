"""How late this process wakes: a bench whose load generator lags measures itself."""

import asyncio

EVERY_S = 0.01


class Lag:
    """Asks to be woken every 10 ms and notes by how much later it was (ms)."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._due = 0.0

    def start(self) -> None:
        """Begin, or begin anew."""
        self.late_ms.clear()
        if not self._due:
            self._due = asyncio.get_running_loop().time() + EVERY_S
            asyncio.get_running_loop().call_at(self._due, self._woken)

    def _woken(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.late_ms.append((now - self._due) * 1e3)
        self._due = max(self._due + EVERY_S, now)
        loop.call_at(self._due, self._woken)
