"""The table: one line a failure, what is wrong with it, and the exit code that follows. Pure."""

from dataclasses import dataclass
from typing import Any

from testbed.chaos.judge import OWED_OR_SPOKEN, CallRecord, between_streams, gaps, voices
from testbed.chaos.rows import Row
from testbed.chaos.run import Outcome
from testbed.figures import percentile

TOLERATED = 3.0
"""A gap's p95 above so many times its target fails."""
HEAD = (
    *("failure", "calls", "struck", "lost", "gap p50", "p95", "max", "target"),
    *("effects lost", "doubled", "failed", "two voices", "asked again"),
    "callers late",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One failure, measured. Gaps in ms, None where nothing was struck."""

    row: Row
    calls: int
    struck: int
    owing: int
    """Strikes on a call while the assistant owed or spoke a reply."""
    lost: int
    p50: float | None
    p95: float | None
    longest: float | None
    effects_lost: int
    effects_doubled: int
    effects_failed: int
    two_voices: int
    asked_again: int
    seconds: float
    late_ms: float
    """The callers' own process, p99."""
    notes: dict[str, Any]

    @property
    def problems(self) -> list[str]:
        """What makes the whole run fail, in words."""
        found: list[str] = []
        if not self.row.apart:
            if self.lost:
                found.append(f"{self.lost} calls lost")
            if self.effects_lost:
                found.append(f"{self.effects_lost} effects lost")
            if not self.struck:
                found.append("nothing was struck")
            target = self.row.target_ms
            if target is not None and self.p95 is not None and self.p95 > TOLERATED * target:
                found.append(f"gap p95 {self.p95:.0f} ms is over {TOLERATED:g} x {target:g} ms")
        if self.effects_doubled:
            found.append(f"{self.effects_doubled} effects doubled")
        if self.two_voices:
            found.append(f"{self.two_voices} calls heard two voices at once")
        return found

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None without one."""
        if self.row.target_ms is None or self.p95 is None:
            return None
        return self.p95 <= self.row.target_ms


def line(row: Row, outcome: Outcome, undisturbed: dict[int, CallRecord]) -> Line:
    """What a run of a row came to."""
    records = outcome.records
    late = gaps(records, undisturbed)
    struck = [strike for record in records for strike in record.strikes]
    return Line(
        row=row,
        calls=len(records),
        struck=len(struck),
        owing=sum(strike.phase in OWED_OR_SPOKEN for strike in struck),
        lost=sum(record.lost for record in records),
        p50=percentile(late, 0.5) if late else None,
        p95=percentile(late, 0.95) if late else None,
        longest=max(late) if late else None,
        effects_lost=len(outcome.effects.lost),
        effects_doubled=len(outcome.effects.doubled),
        effects_failed=len(outcome.effects.failed),
        two_voices=voices(records),
        asked_again=sum(record.asked_again for record in records),
        seconds=outcome.seconds,
        late_ms=outcome.late_ms,
        notes=outcome.notes | _moved(records) | _hold(records),
    )


def cells(line: Line) -> tuple[str, ...]:
    """A line as text, in the order of HEAD."""
    target = line.row.target_ms
    mark = {True: "", False: " !", None: ""}[line.met]
    return (
        line.row.says,
        str(line.calls),
        str(line.struck),
        str(line.lost),
        _ms(line.p50),
        _ms(line.p95) + mark,
        _ms(line.longest),
        "-" if target is None else f"{target:g}",
        str(line.effects_lost),
        str(line.effects_doubled),
        str(line.effects_failed),
        str(line.two_voices),
        str(line.asked_again),
        _ms(line.late_ms),
    )


def markdown(lines: list[Line]) -> str:
    """The whole table; what is listed apart comes after the rest."""
    texts = [HEAD, tuple("---" for _ in HEAD)]
    texts += [cells(each) for each in lines if not each.row.apart]
    apart = [each for each in lines if each.row.apart]
    if apart:
        texts.append(("*listed apart*", *("" for _ in HEAD[1:])))
        texts += [cells(each) for each in apart]
    widths = [max(len(text[column]) for text in texts) for column in range(len(HEAD))]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(text, widths, strict=True)) + " |"
        for text in texts
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _moved(records: list[CallRecord]) -> dict[str, Any]:
    """How long calls were without a stream, where they got a new one after words of the old."""
    found = [ms for record in records for ms in between_streams(record)]
    if not found:
        return {}
    shares = (0.5, 0.95, 1.0)
    return {"ms between streams, p50, p95, max": [round(percentile(found, s)) for s in shares]}


def _hold(records: list[CallRecord]) -> dict[str, Any]:
    """Notes on what callers heard that was no word of an answer."""
    held = [round(record.strange_ms / 1000, 1) for record in records if record.strange_ms > 300]
    spoken = sorted({words for record in records for words in record.spoken})
    notes: dict[str, Any] = {}
    if held:
        notes["hold sentences heard by"] = len(held)
        notes["s of them, longest"] = max(held)
    if spoken:
        notes["Twilio spoke"] = spoken
    return notes
