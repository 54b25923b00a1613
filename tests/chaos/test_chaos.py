"""The short form of `make chaos`: a few calls through a few failures, judged as the table is; and a
proof that the judge notices what it is there for.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from testbed.chaos import voice
from testbed.chaos.judge import CallRecord
from testbed.chaos.mind import ChaosMind, Minds
from testbed.chaos.plan import draw
from testbed.chaos.rows import BY_NAME
from testbed.chaos.run import Run, run
from testbed.chaos.strikes import nothing
from testbed.chaos.table import line, markdown
from testbed.chaos.world import Needs
from testbed.realtime.minds import Part, Request, Say

pytestmark = pytest.mark.timeout(600)
PLAN = draw(7, 4, 4, within_s=2.0)
SMALL = draw(8, 3, 3, within_s=0.5)


@pytest.fixture(scope="module")
async def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, CallRecord]:
    """The same calls without a fault."""
    log = tmp_path_factory.mktemp("chaos") / "undisturbed.log"
    outcome = await run(PLAN, nothing, needs=Needs(), log=log)
    assert [record.plan.call for record in outcome.records if record.lost] == []
    return {record.plan.call: record for record in outcome.records}


@pytest.mark.parametrize("name", ["agent-crash", "agent-drain", "openai-lost"])
async def test_no_call_is_lost(
    name: str, undisturbed: dict[int, CallRecord], tmp_path: Path, capsys: Any
) -> None:
    row = BY_NAME[name]
    outcome = await run(PLAN, row.strike, needs=row.needs, log=tmp_path / "log", honest=row.honest)
    measured = line(row, outcome, undisturbed)
    with capsys.disabled():
        print(f"\n{markdown([measured])}")
    # Not the times: they are the whole table's, on a machine that does nothing else.
    assert [problem for problem in measured.problems if "gap" not in problem] == []


class Flawed(Minds):
    """A model that leaves out a word of call 0, and speaks to call 1 with two voices at once."""

    def __call__(self) -> ChaosMind:
        return FlawedMind(self)


class FlawedMind(ChaosMind):
    async def reply(self, request: Request) -> Sequence[Part]:
        return [self._flawed(part) for part in await super().reply(request)]

    def _flawed(self, part: Part) -> Part:
        if not isinstance(part, Say) or not part.audio:
            return part
        size = voice.WORD_MS * 8
        words = [part.audio[at : at + size] for at in range(0, len(part.audio), size)]
        first = next(piece for _, piece in voice.pieces(part.audio))
        if first.call == 0:
            words[3] = b"\xff" * size
        elif first.call == 1:
            words.insert(2, voice.word(1, first.question, 1, 70_000 + first.question))
        return Say(part.text, audio=b"".join(words))


async def _double_an_effect(current: Run) -> None:
    await current.moment("quiet")
    while not (todos := await current.world.todos()):
        assert current.talking, "nobody created a todo"
        await asyncio.sleep(0.1)
    database = await asyncpg.connect(current.world.stack.database_url)
    try:
        await database.execute(
            "insert into todos (caller_id, description, deadline)"
            " select caller_id, description, deadline from todos where description = $1",
            todos[0],
        )
    finally:
        await database.close()


async def test_the_judge_notices_a_lost_word_a_doubled_effect_and_a_second_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.chaos.caller.PATIENCE_MS", 2_000)
    outcome = await run(SMALL, _double_an_effect, needs=Needs(), log=tmp_path / "log", minds=Flawed)
    measured = line(BY_NAME["nothing"], outcome, {r.plan.call: r for r in outcome.records})
    assert [record.plan.call for record in outcome.records if record.lost] == [0]
    assert outcome.records[0].missing[0] == (1, 3)
    assert outcome.records[0].asked_again > 0
    assert measured.problems == [
        "1 calls lost",
        "nothing was struck",
        "1 effects doubled",
        "1 calls heard two voices at once",
    ]
