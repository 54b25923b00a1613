"""What was said before, for a new Realtime session: items as text, as heard (pure).

OpenAI cannot resume a session; an assistant's item may only be created with ``output_text``.
"""

from ai_agent.realtime.commands import Command
from protocol.call import CallState

TURNS = 40
"""Utterances that are told again, the newest ones."""


def history(state: CallState) -> list[Command]:
    """One conversation.item.create for each utterance that had words."""
    commands: list[Command] = []
    for spoken in state.utterances[-TURNS:]:
        text = spoken.heard_text().strip()
        if not text or spoken.item_id.startswith(("local:", "voice_")):
            continue
        kind, role = ("input_text", "user")
        if spoken.party == "assistant":
            kind, role = ("output_text", "assistant")
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        commands.append({"type": "conversation.item.create", "item": item})
    return commands
