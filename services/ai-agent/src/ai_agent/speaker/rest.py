"""Which providers are worth asking now (pure): one that failed rests for a while."""

from collections.abc import Sequence

from msgspec import Struct

PERMANENT_MS = 60_000
"""First rest after an error that no retry mends; doubled with each further one."""
LONGEST_MS = 900_000
PASSING_MS = 10_000
"""Rest after passing failures in a row."""
PASSING_FAILURES = 2


class _State(Struct):
    permanent: int = 0
    passing: int = 0
    until_ms: int = 0
    hopeless: bool = False


class Rest:
    """The standing of each provider, in the order in which they are wanted."""

    def __init__(self, names: Sequence[str]) -> None:
        self._states = {name: _State() for name in names}

    def order(self, now_ms: int) -> list[str]:
        """Who is to be asked: the rested ones; after them, rather than silence, those that rest
        for a passing failure.
        """
        rested = [name for name, state in self._states.items() if state.until_ms <= now_ms]
        tired = [
            name
            for name, state in self._states.items()
            if state.until_ms > now_ms and not state.hopeless
        ]
        return rested + tired

    def failed(self, name: str, now_ms: int, *, permanent: bool) -> int:
        """Note a failure; the ms that the provider now rests, 0 for none."""
        state = self._states[name]
        if permanent:
            rest_ms = min(PERMANENT_MS << min(state.permanent, 10), LONGEST_MS)
            state.permanent += 1
        else:
            state.passing += 1
            rest_ms = PASSING_MS if state.passing >= PASSING_FAILURES else 0
        state.hopeless = permanent
        state.until_ms = now_ms + rest_ms
        return rest_ms

    def spoke(self, name: str) -> None:
        """Note a whole sentence: all is forgiven."""
        self._states[name] = _State()
