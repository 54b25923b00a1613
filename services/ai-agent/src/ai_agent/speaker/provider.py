"""The seam between the Speaker and those who make speech: one sentence in, mu-law pieces out."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from msgspec import Struct

from ai_agent.speaker.sentence import Sentence
from protocol.events import Tokens


class Used(Struct, frozen=True):
    """What a sentence consumed of a paid model."""

    model: str
    tokens: Tokens


Report = Callable[[Used], None]


class VoiceFailed(Exception):
    """A provider could not say a sentence, or broke off in the middle.

    ``permanent``: no soon retry mends it (key, quota, a model that is gone).
    """

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class ReadDifferently(VoiceFailed):
    """All audio was given, but other words were spoken: good enough to be heard, not to be
    kept.
    """


class Provider(Protocol):
    """Makes speech. ``name`` is its name in SPEAKER_PROVIDERS, ``version`` changes with its
    models.
    """

    name: str
    version: str

    def speak(self, sentence: Sentence, report: Report) -> AsyncGenerator[bytes]:
        """mu-law 8 kHz as it is made; its normal end means that the sentence is complete.

        Raises VoiceFailed. Closing it early frees what it holds.
        """
        ...
