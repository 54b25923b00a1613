"""From what a pure core wants said to what the speaker is asked for (pure)."""

from typing import cast

from ai_agent.keypad_effects import SayPrompt
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.shipped import Name


def prompt(wanted: SayPrompt, language: str) -> Sentence:
    """The shipped prompt: a wrong PIN is told with the tries that are left."""
    left = wanted.fields.get("tries_left")
    name = f"gate_wrong_{left}" if wanted.name == "gate_wrong" and left in (1, 2) else wanted.name
    return Sentence.fixed(cast("Name", name), language)
