"""Compares what callers heard under a fault with an undisturbed run of the same seed. Pure.

A word's time is measured from the end of the question it answers (the greeting's from the dial).
The gap of a strike is how much later than undisturbed the latest word owed was heard, of the
answers that the strike touched, or of the next one when it fell between two.
"""

from dataclasses import dataclass, field

from testbed.chaos.heard import HeardWords, Word, two_voices
from testbed.chaos.plan import GREETING, CallPlan, todo

TOUCHED_MS = 2_000.0
"""How long after a strike an answer that begins counts as touched by it."""
Phase = str
OWED_OR_SPOKEN = ("greeting", "owed", "speaking")


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hit this call at `at_ms`, lasted until `until_ms`; `phase` of the call then."""

    at_ms: float
    until_ms: float
    phase: Phase
    kind: str


@dataclass(slots=True)
class CallRecord:
    """One call as its caller lived it."""

    plan: CallPlan
    heard: HeardWords
    began_ms: dict[int, float] = field(default_factory=dict[int, float])
    """When each question began to be asked."""
    asked_ms: dict[int, float] = field(default_factory=dict[int, float])
    """When it had been asked; for the greeting, 0."""
    asked_again: int = 0
    strikes: list[Strike] = field(default_factory=list[Strike])
    finished: bool = False
    """The caller hung up because everything was heard."""
    end_reason: str = ""
    spoken: list[str] = field(default_factory=list[str])
    """What Twilio itself said or played."""
    strange_ms: float = 0.0
    """Audio that was no word: hold sentences."""
    call_id: str = ""
    log: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    """The call's events: ms of the call's clock (two processes' clocks, so nearly), name, worker;
    for whoever looks for a cause.
    """

    @property
    def missing(self) -> list[Word]:
        """Owed words that never came."""
        return [word for word in self.plan.owed if word not in self.heard.at_ms]

    @property
    def lost(self) -> bool:
        """The call ended before its caller was done, or an owed word never came."""
        return not self.finished or bool(self.missing)

    @property
    def effects_owed(self) -> list[str]:
        """Todos that must exist: the answers to their questions were heard, at least begun."""
        return [
            todo(self.plan.call, question.number)
            for question in self.plan.questions
            if question.tool and self.heard.any_of(question.number)
        ]

    def answered_ms(self, word: Word) -> float | None:
        """When a word was heard, from the end of its question."""
        heard, asked = self.heard.at_ms.get(word), self.asked_ms.get(word[0])
        return None if heard is None or asked is None else heard - asked


@dataclass(frozen=True, slots=True)
class Effects:
    """What the database holds of one row's calls."""

    lost: list[str]
    doubled: list[str]
    failed: list[str]
    """Not there, and the caller was told so."""


def lateness(record: CallRecord, undisturbed: CallRecord, word: Word) -> float:
    """ms by which a word came later than undisturbed; infinite when it never came."""
    reference = undisturbed.answered_ms(word)
    assert reference is not None, f"the undisturbed run lacks {word}"
    answered = record.answered_ms(word)
    return float("inf") if answered is None else answered - reference


def gap(record: CallRecord, undisturbed: CallRecord, strike: Strike) -> float | None:
    """The gap of a strike in ms, at least 0; None when nothing was owed any more."""
    touched = _touched(record, strike)
    late = [
        lateness(record, undisturbed, word)
        for word in record.plan.owed
        if word[0] in touched and record.heard.at_ms.get(word, float("inf")) >= strike.at_ms
    ]
    return max(0.0, *late) if late else None


def gaps(records: list[CallRecord], undisturbed: dict[int, CallRecord]) -> list[float]:
    """The gap of every strike on every call; a word that never came is a lost call, not a gap."""
    found: list[float] = []
    for record in records:
        for strike in record.strikes:
            late = gap(record, undisturbed[record.plan.call], strike)
            if late is not None and late != float("inf"):
                found.append(late)
    return found


def between_streams(record: CallRecord) -> list[float]:
    """ms that the call spent without a stream, each time it got a new one: what its caller said
    meanwhile nobody heard.
    """
    found: list[float] = []
    closed_ms: int | None = None
    for at_ms, name, _ in record.log:
        if name in ("stream_closing", "stream_stopped"):
            closed_ms = at_ms if closed_ms is None else closed_ms
        elif name == "stream_started":
            if closed_ms is not None:
                found.append(at_ms - closed_ms)
            closed_ms = None
    return found


def voices(records: list[CallRecord]) -> int:
    """How many calls ever had two voices at once, or words of somebody else's call."""
    return sum(
        two_voices(record.heard.sources) > 0 or bool(record.heard.foreign) for record in records
    )


def effects(wanted: list[str], rows: list[str], told_failed: set[str], *, honest: bool) -> Effects:
    """`rows`: descriptions of the todos found; `told_failed`: those whose tool was reported as
    failed. `honest`: this row may end in an honest failure in place of the effect.
    """
    absent = [description for description in wanted if description not in rows]
    failed = [d for d in absent if honest and d in told_failed]
    return Effects(
        lost=[d for d in absent if d not in failed],
        doubled=sorted({d for d in rows if rows.count(d) > 1}),
        failed=failed,
    )


def _touched(record: CallRecord, strike: Strike) -> set[int]:
    """The answers that a strike touched; the next one when it touched none."""
    until_ms = strike.until_ms + TOUCHED_MS
    touched: set[int] = set()
    following: list[tuple[float, int]] = []
    for number, began_ms in {GREETING: 0.0, **record.began_ms}.items():
        heard = [at for (question, _), at in record.heard.at_ms.items() if question == number]
        whole = len(heard) >= record.plan.words(number)
        ends_ms = max(heard) if heard and whole else float("inf")
        if began_ms <= until_ms and ends_ms >= strike.at_ms:
            touched.add(number)
        elif began_ms > until_ms:
            following.append((began_ms, number))
    if not touched and following:
        touched.add(min(following)[1])
    return touched
