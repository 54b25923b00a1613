"""A call so far, as whoever goes on with it must see it: what was heard of what was said, and what
is still open at the end (PURE). ``restore`` decides what follows from it.
"""

import sys
from collections.abc import Sequence

from ai_agent import builtin_tools
from ai_agent.operator_turn import ITEM
from protocol.call import CallState, KeyPress, ToolUse
from protocol.line import Intent, Playhead
from protocol.steered import Aside, Takeover
from protocol.utterance import Utterance, heard_words

SLACK_MS = 60
"""An item of which no more than this is missing was heard: marks stand on frames."""
NOT_OURS = ("local:", "voice_", ITEM)
"""Items that the model did not say: ingress's, the speaker's and an operator's."""
MASK = "•"
INTENTS: dict[str, Intent] = {builtin_tools.END_CALL: "hangup", builtin_tools.TRANSFER: "transfer"}

Entry = Utterance | ToolUse | KeyPress | Aside | Takeover


def entries(state: CallState) -> list[Entry]:
    """Utterances in their order; everything else behind what was begun before it, a takeover where
    it ended. Keys pressed while an operator spoke were for the operator.
    """
    spoken = [u for u in state.utterances if not u.item_id.startswith(NOT_OURS)]
    behind: dict[int, list[ToolUse | KeyPress | Aside | Takeover]] = {}
    steered = state.steered
    keys = [k for k in state.keys if k.digit != MASK and not steered.during(k.sequence)]
    acts = [*state.tools, *keys, *steered.asides, *steered.takeovers]
    for act in sorted(acts, key=_place):
        place = len(spoken)
        while place > 0 and spoken[place - 1].sequence > _place(act):
            place -= 1
        behind.setdefault(place, []).append(act)
    entries: list[Entry] = [*behind.get(0, ())]
    for place, utterance in enumerate(spoken, start=1):
        entries += [utterance, *behind.get(place, ())]
    return entries


def _place(act: ToolUse | KeyPress | Aside | Takeover) -> int:
    if isinstance(act, Takeover):
        return act.until_sequence or sys.maxsize
    return act.sequence


class Story:
    """The call so far: what was told in which order, and what is open at its end."""

    def __init__(self, state: CallState, ledger: Sequence[Playhead]) -> None:
        self._state = state
        self._ledger = {p.item_id: p for p in ledger if not p.item_id.startswith(NOT_OURS)}
        self.entries: list[tuple[Entry, str]] = []
        """With the words that were heard."""
        self.turns: list[Utterance] = []
        self.keys: list[KeyPress] = []
        self.results: list[ToolUse] = []
        self.acted: list[ToolUse] = []
        self.begun = False
        self.given_back = False
        """An operator spoke last, and the assistant has not gone on yet."""
        self.sounded = False
        self.closing: Intent | None = None
        self.farewell = False
        self._act: ToolUse | None = None  # the last thing that happened, if it was a tool call
        self._whole = False  # the last thing that happened was an answer heard to its end
        self._barged = False  # or one that the caller, or noise, cut
        for entry in entries(state):
            self._take(entry)
        self._take_unwritten()

    def settled(self) -> None:
        """Nothing of what stands open at the end is waited for any more."""
        self.turns.clear()
        self.keys.clear()
        self.results.clear()
        self.begun = self.given_back = False

    def _take(self, entry: Entry) -> None:
        match entry:
            case Aside():
                self.entries.append((entry, ""))
            case Takeover():
                self._spoken_for(entry)
            case ToolUse():
                self._called(entry)
            case KeyPress():
                self._stirred()
                in_menu = self._state.mode not in (None, "conversation")
                if entry.sequence > self._state.mode_sequence and not in_menu:
                    self.keys.append(entry)
                self.entries.append((entry, ""))
            case Utterance(party="caller", wordless=True) if self._barged:
                self.begun = True  # it was noise that cut the answer
            case Utterance(party="caller"):
                self._stirred()
                self.turns.append(entry)
                self.entries.append((entry, entry.text.strip()))
            case Utterance():
                self._said(entry)

    def _spoken_for(self, takeover: Takeover) -> None:
        """An operator spoke in the assistant's place: what was open then was theirs to answer. What
        the caller said to one who still speaks may have to be heard again for its words.
        """
        turns = [] if takeover.until_sequence else list(self.turns)
        self.settled()
        self.turns = turns
        self.closing = None
        self._act = None
        self.farewell = self._whole = self._barged = False
        if takeover.until_sequence:
            self.given_back = True
            self.entries.append((takeover, ""))

    def _take_unwritten(self) -> None:
        """Audio of items that the log does not know yet: an answer was begun, without words."""
        known = {u.item_id for u in self._state.utterances}
        for stood in self._ledger.values():
            if stood.item_id not in known and max(stood.heard_ms, stood.sent_ms) > 0:
                self.sounded = True
                self._begin(self._state.last_sequence + 1)

    def _stirred(self) -> None:
        """The caller did something: what was said before it is past."""
        self.begun, self.farewell, self._act = False, False, None
        self.given_back = False
        self._whole = self._barged = False
        if self.closing == "hangup":  # "wait, one more thing"
            self.closing = None
        self.acted.clear()

    def _called(self, use: ToolUse) -> None:
        self.turns.clear()
        self.keys.clear()
        self.begun = self.given_back = False
        self.acted.append(use)
        if use.returned_sequence:
            self.results.append(use)
            if use.outcome == "ok" and use.name in INTENTS:
                self.closing = INTENTS[use.name]
                self.farewell = self._whole
        self._act = use
        self._whole = self._barged = False
        self.entries.append((use, ""))

    def _said(self, spoken: Utterance) -> None:
        reached_ms, whole = _reach(spoken, self._ledger.get(spoken.item_id), self._state.leg)
        if reached_ms == 0 and not spoken.barged and spoken.sequence > self._state.leg:
            return  # nobody heard any of it
        self.sounded = True
        self.given_back = False
        self._barged = spoken.barged
        if spoken.barged:
            self._settle(spoken.sequence)
            self.closing = None if self.closing == "hangup" else self.closing
        elif whole and spoken.done and spoken.response_id in self._state.ended_responses:
            self._settle(spoken.sequence)
            self._whole = self.farewell = True  # after a tool that ends the call: its goodbye
        else:
            self._whole = whole
            self._begin(spoken.sequence)
        self.entries.append((spoken, _heard(spoken, reached_ms, whole)))

    def _settle(self, sequence: int) -> None:
        """An answer: to everything before it but results that came after it was begun."""
        self.turns.clear()
        self.keys.clear()
        self.results = [use for use in self.results if use.returned_sequence > sequence]
        self.begun = False
        if not self._early(sequence):
            self._act = None

    def _begin(self, sequence: int) -> None:
        """An answer was begun; a word of patience while a tool works is none."""
        self.begun = not self._early(sequence)

    def _early(self, sequence: int) -> bool:
        act = self._act
        return act is not None and not 0 < act.returned_sequence < sequence


def _reach(spoken: Utterance, stood: Playhead | None, leg: int) -> tuple[int, bool]:
    """How many ms of an item reach the caller if nobody clears them, and whether that is all."""
    if spoken.cut:
        return spoken.heard_ms, False
    if stood is not None:
        ms = max(spoken.heard_ms, stood.heard_ms, stood.sent_ms)
        all_made = spoken.done and 0 < spoken.generated_ms <= ms + SLACK_MS
        return ms, stood.done or stood.complete or all_made
    if spoken.heard_ms > 0:
        return spoken.heard_ms, True
    # Said on this leg and no longer in its ledger: heard, and the log is about to say so. On a leg
    # that is gone nobody knows; to say it again is better than never.
    just_heard = spoken.sequence > leg and spoken.done
    return (spoken.generated_ms, True) if just_heard else (0, False)


def _heard(spoken: Utterance, reached_ms: int, whole: bool) -> str:
    """The words as heard; none for a few sounds."""
    if whole:
        text = spoken.text.strip()
        return text if spoken.done or not text else f"{text}…"
    text = heard_words(spoken.text, reached_ms, spoken.generated_ms)
    return "" if text == "…" else text
