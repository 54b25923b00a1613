"""Sentences that an operator has the assistant say word for word (PURE): one after the other, each
once, also when the session is lost before it sounded.

Owned by the dialogue, so that it outlives a session; the talk asks for the next one in a pause.
"""

from collections import deque

from msgspec import Struct

from ai_agent.realtime import events as rt

KEY = "dictated"
"""In the metadata of the response that says one."""
WORDS = (
    'Say exactly this to the caller, word for word, and nothing before or after it: "{words}" Do'
    " not translate it, answer it or call a tool."
)


class Dictated(Struct, frozen=True):
    """``instructions`` and ``metadata`` of the response to ask for."""

    instructions: str
    metadata: dict[str, str]


class Dictation:
    """All sentences of one call."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._asked = ""
        self._number = 0
        self._response_id = ""
        self._sounded = False

    @property
    def open(self) -> bool:
        """Something is still to be said."""
        return bool(self._waiting or self._asked)

    def add(self, text: str) -> None:
        """Say it, after those before it."""
        self._waiting.append(" ".join(text.split()))

    def clear(self) -> None:
        """Nothing of it is to be said any more."""
        self._waiting.clear()
        self._asked = ""

    def next(self) -> Dictated | None:
        """The next one, when none is under way."""
        if self._asked or not self._waiting:
            return None
        self._asked = self._waiting.popleft()
        self._number += 1
        self._response_id, self._sounded = "", False
        return Dictated(WORDS.format(words=self._asked), {KEY: str(self._number)})

    def on_event(self, event: rt.AnyServerEvent) -> None:
        """The model's events tell what became of it."""
        match event:
            case rt.ResponseCreated() if (event.response.metadata or {}).get(KEY) == str(
                self._number
            ):
                self._response_id = event.response.id
            case rt.AudioDelta() if self._mine(event.response_id):
                self._sounded = True
            case rt.ResponseDone() if self._mine(event.response.id):
                self._asked = ""
            case rt.ResponseDone() if not self._response_id:
                if event.response.status == "completed":
                    self._asked = ""  # of a model that does not tell metadata back
            case _:
                pass

    def deviates(self, response_id: str, text: str) -> bool:
        """``text`` is what was said, and it is something else; the beginning of it is not."""
        mine = bool(self._asked) and response_id == self._response_id
        return mine and not _plain(self._asked).startswith(_plain(text))

    def session_over(self) -> None:
        """The session is gone: what had not sounded is said in the next one."""
        if self._asked and not self._sounded:
            self._again()
        self._asked = ""

    def _mine(self, response_id: str) -> bool:
        return bool(self._asked) and response_id == self._response_id

    def _again(self) -> None:
        self._waiting.appendleft(self._asked)


def _plain(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())
