"""From a score to its parts: each with its place on the line and what it was in words (pure)."""

from collections.abc import Iterable
from datetime import datetime

from dashboard.score.parts import LONGEST_MS, Part, Parts, clamp, clock, span
from dashboard.score.score import MS, Score, Spoken
from protocol.ids import ItemId


def parts_of(score: Score, now: datetime, *, last_ms: int = LONGEST_MS) -> Parts:
    """Everything that is to be drawn, with the line as long as it is at ``now``; of the many parts
    only those that reach into the ``last_ms`` of it.
    """
    live = score.ended is None and bool(score.legs)
    length = max(score.line_ms, score.at(now)) if live else score.line_ms
    since = length - last_ms
    found = [*_callers(score, since), *_assistants(score, since, length, live=live)]
    found += [
        *_responses(score, since),
        *_tools(score, since, length),
        *_keys(score),
        *_rules(score),
        *_gaps(score, length),
        *_taken(score, length),
    ]
    if not live:
        length = clamp(max([length, *(p.to_ms for p in found if p.kind != "unheard")]))
    parts = [p for p in found if p.from_ms <= length]
    return Parts(tuple(sorted(parts, key=lambda p: (p.from_ms, p.to_ms))), length, live)


def _callers(score: Score, since: int) -> Iterable[Part]:
    for item, turn in score.turns.items():
        if turn.to_ms <= turn.from_ms or turn.to_ms < since:
            continue
        length = span(turn.to_ms - turn.from_ms)
        said = turn.text or "not understood"
        yield Part(
            kind="caller",
            key=item,
            from_ms=turn.from_ms,
            to_ms=turn.to_ms,
            label=turn.text,
            words=f"Caller, {clock(turn.from_ms)}, {length}: {said}",
        )


def _began(score: Score, item: ItemId, said: Spoken) -> int:
    """Where the item's audio was first heard: counted back from where it ended, else where its
    answer was timed, else when its first words were written.
    """
    if said.heard_ms is not None:
        return clamp(said.ended_ms - said.heard_ms)
    timed = score.answers.get(item)
    return score.at(said.at if timed is None else timed.at)


def _assistants(score: Score, since: int, length: int, *, live: bool) -> Iterable[Part]:
    for item, said in score.spoken.items():
        began = _began(score, item, said)
        if began + said.generated_ms < since:
            continue
        local, operator = item.startswith("local:"), item.startswith("operator:")
        heard = said.generated_ms if said.heard_ms is None else said.heard_ms
        to_ms = clamp(began + heard, began, max(began, length) if live else LONGEST_MS)
        text = f"announcement {item.removeprefix('local:')}" if local else said.text
        who = "Announcement" if local else "Assistant"
        if operator:
            who = _speaker(score, began) or "Operator"
            text = text or f"{who} speaks"
        cut = f", cut after {span(heard)}" if said.cut else ""
        words = f"{who}, {clock(began)}, {span(heard)}{cut}: {text or 'no words'}"
        if to_ms > began:
            yield Part(
                kind="announcement" if local else "operator" if operator else "assistant",
                key=item,
                from_ms=began,
                to_ms=to_ms,
                label=text,
                words=words,
                tone="open" if said.heard_ms is None and live else "",
            )
        if said.cut and said.generated_ms > heard:
            never = said.generated_ms - heard
            yield Part(
                kind="unheard",
                key=item,
                from_ms=clamp(began + heard),
                to_ms=clamp(began + said.generated_ms),
                label="",
                words=f"Never heard: {span(never)} of the assistant's words, cut off by the "
                f"caller at {span(heard)}",
            )


def _responses(score: Score, since: int) -> Iterable[Part]:
    for answer in score.answers.values():
        said = score.spoken.get(answer.item_id)
        to_ms = score.at(answer.at) if said is None else _began(score, answer.item_id, said)
        if to_ms < since:
            continue
        took = clamp(answer.response_ms)
        yield Part(
            kind="response",
            key=answer.item_id,
            from_ms=clamp(to_ms - took),
            to_ms=to_ms,
            label=f"{took} ms" if took < 1000 else f"{took / 1000:.1f} s",
            words=f"Answered after {took} ms, {clock(to_ms)}",
        )


def _tools(score: Score, since: int, length: int) -> Iterable[Part]:
    for key, tool in score.tools.items():
        began = score.at(tool.at)
        if tool.outcome and began + tool.took_ms < since:
            continue
        bad = tool.outcome not in {"ok", ""}
        state = f"{tool.outcome} after {tool.took_ms} ms" if tool.outcome else "not returned"
        yield Part(
            kind="tool",
            key=key,
            from_ms=began,
            to_ms=clamp(began + tool.took_ms) if tool.outcome else max(began, length),
            label=tool.name,
            words=f"Tool {tool.name}, {clock(began)}: {state}",
            tone="bad" if bad else "" if tool.outcome else "open",
        )


def _keys(score: Score) -> Iterable[Part]:
    for key in score.keys:
        line_ms = clamp(key.line_ms)
        shown = "•" if key.masked else key.digit[:1]
        what = "masked" if key.masked else key.digit[:1]
        yield Part(
            kind="key",
            key=key.id,
            from_ms=line_ms,
            to_ms=line_ms,
            label=shown,
            words=f"Key {what}, {clock(line_ms)}",
        )


def _rules(score: Score) -> Iterable[Part]:
    for rule in score.rules:
        ms = score.at(rule.at) if rule.line_ms is None else clamp(rule.line_ms)
        yield Part(
            kind="rule",
            key=rule.key,
            from_ms=ms,
            to_ms=ms,
            label=rule.label,
            words=f"{rule.words}, {clock(ms)}",
            tone=rule.tone,
        )


def _speaker(score: Score, ms: int) -> str:
    """Who spoke in the assistant's place at ``ms``, if anybody did."""
    began = [span for span in score.taken if span.from_ms <= ms]
    return began[-1].operator if began else ""


def _taken(score: Score, length: int) -> Iterable[Part]:
    for span_ in score.taken:
        to_ms = max(span_.from_ms, length) if span_.to_ms is None else span_.to_ms
        lasted = span(to_ms - span_.from_ms)
        after = f"gave it back after {lasted}"
        if span_.to_ms is None:
            after = f"spoke to the end, {lasted}" if score.ended else f"has it for {lasted}"
        elif span_.silent:
            after = f"fell silent; the assistant had it back after {lasted}"
        yield Part(
            kind="taken",
            key=span_.key,
            from_ms=span_.from_ms,
            to_ms=to_ms,
            label=span_.operator,
            words=f"{span_.operator} took the call over, {clock(span_.from_ms)}: {after}",
            tone="open" if span_.to_ms is None and score.ended is None else "",
        )


def _gaps(score: Score, length: int) -> Iterable[Part]:
    for gap in score.gaps:
        began = score.at(gap.began) if gap.line_ms is None else clamp(gap.line_ms)
        lasted = None if gap.ended is None else clamp((gap.ended - gap.began) / MS)
        to_ms = length if lasted is None else began + lasted
        by = f" by {gap.by}" if gap.by else ""
        after = "not restored" if lasted is None else f"restored{by} after {span(lasted)}"
        if gap.kind == "handover":
            after = "not taken" if lasted is None else f"taken{by} after {span(lasted)}"
        yield Part(
            kind="gap",
            key=gap.key,
            from_ms=began,
            to_ms=began if gap.moment else clamp(to_ms, began),
            label={"handover": "hand-over"}.get(gap.kind, f"{gap.kind} lost"),
            words=f"{gap.words}, {clock(began)}: {after}",
            tone="calm" if gap.kind == "handover" else "open" if lasted is None else "bad",
        )
