"""What the next Realtime session of a call is told, what it hears again and what it owes (PURE).

One rule for all: a worker that takes over, a handover, a session that was lost or is renewed. A
turn of the caller that was acted on or answered is told as text and never heard again; one that
nothing answered is heard again from ingress's ring; an answer that the loss cut goes on.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, structs

from ai_agent import asides
from ai_agent.call_story import Story
from protocol.call import CallState, KeyPress, ToolUse
from protocol.ids import ItemId
from protocol.line import Intent, Playhead
from protocol.steered import Aside, Takeover
from protocol.utterance import Utterance

TOLD = 120
"""Entries that are told again, the newest ones."""
NOTICE_MS = 1_000
"""Speech that a silent worker's VAD may not have noticed before it handed over."""
Owed = Literal["nothing", "greet", "hear", "answer", "go_on"]
"""What the caller waits for: nothing; the greeting; an answer to what is in the replayed audio; an
answer to what is told; the rest of what was being said.
"""


class Words(Struct, frozen=True):
    """An utterance: the caller's words, or the assistant's as far as they were heard."""

    item_id: ItemId
    party: Literal["caller", "assistant"]
    text: str


class Called(Struct, frozen=True):
    """A tool call; with its result, if it has one."""

    use: ToolUse


class Pressed(Struct, frozen=True):
    """Keys, in the order they were pressed."""

    digits: str


class Lost(Struct, frozen=True):
    """A turn of which neither the words nor the audio are left."""


class Noted(Struct, frozen=True):
    """What the model was told beside the conversation."""

    text: str


class CutOff(Struct, frozen=True):
    """What was being said last was cut by the loss, not by the caller."""


Told = Words | Called | Pressed | Lost | Noted | CutOff


class Restored(Struct, frozen=True):
    """``ask``: tool calls without a result, to be asked again under their keys. ``keys``: pressed,
    but nothing came of them; later ones than ``keys_until_ms`` are not in the log yet.
    ``done``: tool calls since the caller's last turn; if the model wants them again, they were
    made. ``replay_from_ms``: line time from which the caller is heard. ``closing``: how the line
    was about to be closed, after what is owed. ``operator``: one speaks in the assistant's place.
    """

    told: tuple[Told, ...] = ()
    ask: tuple[ToolUse, ...] = ()
    keys: tuple[KeyPress, ...] = ()
    keys_until_ms: int = -1
    done: tuple[ToolUse, ...] = ()
    replay_from_ms: int = 0
    owed: Owed = "nothing"
    closing: Intent | None = None
    operator: bool = False


def restore(
    state: CallState,
    ledger: Sequence[Playhead] = (),
    *,
    ring_from_ms: int = 0,
    back: bool = False,
) -> Restored:
    """The state of the call as a new session needs it. ``ledger``: how far the items got that are
    with Twilio or were there; ``ring_from_ms``: where the audio begins that can be replayed.
    ``back``: the caller comes from the keypad, which has settled what was open before.
    """
    story = Story(state, ledger)
    if back:
        story.settled()
    found = _decide(state, story, ring_from_ms)
    return structs.replace(found, owed="nothing") if back else found


def _decide(state: CallState, story: Story, ring_from_ms: int) -> Restored:
    pending = tuple(use for use in state.tools if not use.returned_sequence)
    operator = bool(state.operator)
    again = _heard_again(story, ring_from_ms, operator=operator)
    owed: Owed = "nothing"
    if operator:
        pass
    elif again:
        owed = "hear"
    elif story.closing:
        owed = "nothing" if story.farewell else "answer"
    elif story.begun:
        owed = "go_on"
    elif story.turns or story.given_back or (story.results and not pending):
        owed = "answer"
    elif not (story.sounded or story.entries or pending):
        owed = "greet"
    ids = {turn.item_id for turn in again}
    told = _told(story, ids, operator=operator)
    early = [t for t in told[:-TOLD] if _lasting(t)]
    end = [CutOff()] if owed == "go_on" else []
    return Restored(
        told=(*early, *told[-TOLD:], *end),
        ask=pending,
        keys=tuple(story.keys),
        keys_until_ms=max((key.line_ms for key in state.keys), default=-1),
        done=tuple(story.acted),
        replay_from_ms=max(_settled_ms(state, story, ids), again[0].from_ms if again else 0),
        owed=owed,
        closing=None if operator else story.closing,
        operator=operator,
    )


def _lasting(told: Told) -> bool:
    """It must be known however long ago it was: a call whose output is still to come, a note."""
    return isinstance(told, Noted) or (isinstance(told, Called) and not told.use.returned_sequence)


def _heard_again(story: Story, ring_from_ms: int, *, operator: bool) -> list[Utterance]:
    """The open turns that are replayed: those that the ring holds, unless their answer was begun
    and can go on from their words. To an operator who speaks nobody owes an answer: only the last
    ones without words are heard again, to be written down.
    """
    if operator:
        wordless = list(itertools.takewhile(lambda t: not t.text.strip(), reversed(story.turns)))
        return [turn for turn in reversed(wordless) if turn.to_ms > ring_from_ms]
    if story.begun and all(turn.text.strip() for turn in story.turns):
        return []
    return [
        turn
        for turn in story.turns
        if turn.from_ms >= ring_from_ms or (not turn.text.strip() and turn.to_ms > ring_from_ms)
    ]


def _settled_ms(state: CallState, story: Story, again: set[ItemId]) -> int:
    """Up to where on the line everything is told or was meant for nobody."""
    ends = [t.to_ms for t in state.utterances if t.party == "caller" and t.item_id not in again]
    ends += [key.line_ms for key in state.keys if key not in story.keys]
    ends.append(state.pin_accepted_line_ms or 0)
    if state.handed_over_ms is not None and not again:
        ends.append(state.handed_over_ms - NOTICE_MS)
    return max(ends)


def _told(story: Story, again: set[ItemId], *, operator: bool) -> list[Told]:
    """Everything that is settled, in order. What was begun in answer to a turn that is heard again
    is left out: the answer is made anew.
    """
    told: list[Told] = []
    opened = {turn.item_id for turn in story.turns}
    replaying = False
    for entry, words in story.entries:
        match entry:
            case ToolUse():
                told.append(Called(entry))
            case Aside():
                told.append(Noted(asides.whispered(entry.text)))
            case Takeover():
                told.append(Noted(asides.SPOKEN))
            case KeyPress():
                if entry not in story.keys:
                    last = told[-1] if told else None
                    if isinstance(last, Pressed):
                        told[-1] = Pressed(last.digits + entry.digit)
                    else:
                        told.append(Pressed(entry.digit))
            case Utterance(party="caller"):
                if entry.item_id in again:
                    replaying = True
                elif words:
                    told.append(Words(entry.item_id, "caller", words))
                elif entry.item_id in opened and not operator:
                    told.append(Lost())
            case Utterance():
                if words and not replaying:
                    told.append(Words(entry.item_id, "assistant", words))
    return told
