"""Keys pressed in a conversation (PURE): told to the model as text, answered in its voice.

A menu key is told by its label; other digits are collected until ``#`` or a pause and told as
what was typed. The call runner sends ``TellModel`` and ticks.
"""

from collections.abc import Iterable

from msgspec import Struct

from ai_agent.effects import Record
from ai_agent.key_flood import KeyFlood
from protocol import line
from protocol.events import KeyPressed
from runtime.assistant import MenuItem

PAUSE_MS = 2_000
"""Silence that ends what is typed."""
ALONE_MS = 700
"""A menu key is one only if no other follows within this: 1 may begin 1200."""
MAX_TYPED = 32
NOTE_MS = 10_000
"""Dropped keys closer than this are one flood, told once."""
HUMAN_KEY = "0"
_TYPED = frozenset("0123456789*")
FLOOD = (
    "The caller presses keys faster than they can be followed; further ones are ignored for now."
)


class TellModel(Struct, frozen=True):
    """Add this text to the conversation as the caller's doing and ask for an answer."""

    text: str


KeysEffect = TellModel | Record


class Keys:
    """What the caller types in one conversation. ``human``: key 0 asks for a person."""

    def __init__(self, menu: Iterable[MenuItem], *, human: bool) -> None:
        self._labels = {item.key: item.label for item in menu}
        if human:
            self._labels[HUMAN_KEY] = "a person"
        self._typed = ""
        self._lost = False
        self._key_ms = 0
        self._flood = KeyFlood()
        self._dropped_ms: int | None = None

    @property
    def typing(self) -> bool:
        """Keys were pressed that the model does not know yet: no moment to hand the call over."""
        return bool(self._typed)

    def on_key(self, key: line.Dtmf, now_ms: int) -> list[KeysEffect]:
        """A key. What is beyond a human's pace is dropped, with one note to the model."""
        effects = self.on_tick(now_ms)
        if not self._flood.take(now_ms):
            return [*effects, *self._note(now_ms)]
        effects.append(Record(KeyPressed, {"digit": key.digit, "line_ms": key.line_ms}))
        if key.digit == "#":
            return [*effects, *(self._told() if self._typed else [_pressed("#")])]
        if key.digit not in _TYPED:
            return effects  # A to D: no telephone has them
        self._key_ms = now_ms
        if len(self._typed) < MAX_TYPED:
            self._typed += key.digit
        else:
            self._lost = True
        return effects

    def forget(self) -> None:
        """What was typed so far was for somebody else."""
        self._typed, self._lost = "", False

    def on_tick(self, now_ms: int) -> list[KeysEffect]:
        """Time passes: call it a few times a second."""
        if not self._typed:
            return []
        waits_ms = ALONE_MS if self._typed in self._labels else PAUSE_MS
        return self._told() if now_ms - self._key_ms >= waits_ms else []

    def _told(self) -> list[KeysEffect]:
        typed, self._typed = self._typed, ""
        lost, self._lost = self._lost, False
        if typed in self._labels:
            return [_pressed(typed, self._labels[typed])]
        if typed == "*":
            return [_pressed(typed)]
        more = f" There were more keys; only the first {MAX_TYPED} are known." if lost else ""
        return [TellModel(f"The caller typed {typed}.{more}")]

    def _note(self, now_ms: int) -> list[KeysEffect]:
        before, self._dropped_ms = self._dropped_ms, now_ms
        same = before is not None and now_ms - before < NOTE_MS
        return [] if same else [TellModel(FLOOD)]


def _pressed(key: str, label: str = "") -> TellModel:
    return TellModel(
        f"The caller pressed {key}: {label}." if label else f"The caller pressed {key}."
    )
