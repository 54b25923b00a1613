"""How long a model may be silent that owes something (PURE): an answer, or any sign that it hears
what the caller says. Before it is given up it is asked for a sign of life.
"""

from typing import Literal

from protocol.audio import BYTES_PER_MS

LOST_MS = 4_000
"""Neither sound nor any other event for this long, though it was asked: the session is lost."""
PROBE_AFTER_MS = 1_000
"""After so long without a word about what it owes it is asked for a sign of life."""
ANSWER_MS = 1_500
"""A living session answers that within this time."""
LOUD_MS = 600
"""Of so much loud audio it should have said something; noise may be loud too, so it is asked."""
PROBE_EVERY_MS = 10_000
_STEP = 20
_QUIET = bytes(byte for byte in range(256) if (~byte & 0x7F) < 0x40)
"""The mu-law bytes of silence and hiss."""


class Patience:
    """Of one session. All ``now_ms`` are monotonic."""

    def __init__(self) -> None:
        self._since_ms: int | None = None
        self._loud_bytes = 0
        self._probed_ms: int | None = None
        self._probing = False

    def on_event(self) -> None:
        """The model said anything at all."""
        self._since_ms = None
        self._loud_bytes = 0
        self._probing = False

    def on_audio(self, audio: bytes) -> None:
        """Caller audio on its way to the model, mu-law; a few of its bytes tell how loud it is."""
        loud = len(audio[::_STEP].translate(None, _QUIET))
        if 2 * loud * _STEP >= len(audio):
            self._loud_bytes += len(audio)

    def on_tick(self, now_ms: int, *, waits: bool, asked: bool) -> Literal["", "probe", "lost"]:
        """``lost`` when it ended, ``probe`` when the model is to be asked for any event.

        ``waits``: the model owes something; ``asked``: it was just asked for it once more, and
        gets its time for that.
        """
        if self._probing:
            assert self._probed_ms is not None, "set when the probe went out"
            return "lost" if now_ms - self._probed_ms >= ANSWER_MS else ""
        if asked or not waits:
            self._since_ms = None
        elif self._since_ms is None:
            self._since_ms = now_ms
        silent_ms = 0 if self._since_ms is None else now_ms - self._since_ms
        if silent_ms >= LOST_MS:
            return "lost"
        deaf = self._loud_bytes >= LOUD_MS * BYTES_PER_MS
        if (deaf or silent_ms >= PROBE_AFTER_MS) and self._may_probe(now_ms):
            self._probing, self._probed_ms = True, now_ms
            return "probe"
        return ""

    def _may_probe(self, now_ms: int) -> bool:
        return self._probed_ms is None or now_ms - self._probed_ms >= PROBE_EVERY_MS
