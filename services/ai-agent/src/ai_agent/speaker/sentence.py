"""What a Speaker is asked to say (pure data)."""

from typing import Self

from msgspec import Struct

from ai_agent.speaker.shipped import Name


class Sentence(Struct, frozen=True):
    """One sentence or a few. ``language`` is a code of two letters, ``voice`` OpenAI's name of
    one.

    ``personal``: it holds the caller's own data (todos, a name), so its audio is kept for a minute
    in this process and nowhere else. ``prompt`` is the name of a shipped one.
    """

    text: str
    voice: str
    language: str
    personal: bool
    prompt: Name | None = None

    @classmethod
    def fixed(cls, name: Name, language: str) -> Self:
        """A prompt that is shipped as audio: heard at once, with OpenAI and the network down."""
        return cls(text="", voice="", language=language, personal=False, prompt=name)
