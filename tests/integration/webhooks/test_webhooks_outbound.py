"""calls.place through the SDK and a simulated Twilio: dialled once, whatever happens."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from office import OURS, PERSON, TIMEOUT, running

from protocol import events as e
from protocol import stream_token
from protocol.calls import CallPlaced, CallRefused
from runtime.clock import unix_now
from testbed.twilio import Callee, Faults, OutboundCall, RestFaults, Timing
from testbed.twilio.callbacks import Subscription
from testbed.twilio.program import Inline
from testbed.twilio.twiml import Connect, parse
from webhooks.wishes import Wish, Wishes, wish_of

# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.twilio_rest.REST_S", 1.0)
    monkeypatch.setattr("webhooks.outbound.LOOK_S", 0.1)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Any]:
    async with running(tmp_path) as office:
        yield office


async def test_a_placed_call_is_a_call_like_any_other(office: Any) -> None:
    reply = await office.place(ring_s=20)
    (call,) = office.dialled
    assert reply == CallPlaced(call.sid)
    assert (call.facts.to, call.facts.from_) == (PERSON, OURS)
    await office.talking(call)
    (connect, *_) = parse(call.documents[0], None)
    assert isinstance(connect, Connect)
    token = stream_token.verify(
        connect.stream.parameters["token"], ["a-secret-of-stream-tokens"], unix_now()
    )
    assert (token.caller, token.called) == (PERSON, OURS), "the person is the caller"
    ringing, *more = await office.written(call.sid, e.Ringing)
    assert more == []
    assert (ringing.caller, ringing.called, ringing.direction) == (PERSON, OURS, "outbound")
    await call.hang_up()
    ended = await office.until_written(call.sid, e.CallEnded)
    assert (ended.reason, ended.status) == ("caller_hung_up", "completed")
    statuses = [event.status for event in await office.written(call.sid, e.StatusChanged)]
    assert statuses == ["initiated", "ringing", "in-progress", "completed"]


async def test_nobody_answers(office: Any) -> None:
    office.twilio.callee = Callee(outcome="no-answer")
    reply = await office.place()
    ended = await office.until_written(reply.call, e.CallEnded)
    assert ended.reason == "no_answer"
    assert len(await office.written(reply.call, e.Ringing)) == 1


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("silent", [False, True], ids=["answered", "timed-out"])
async def test_one_key_dials_once_however_often_and_at_once_it_is_asked(
    tmp_path: Path, replicas: int, silent: bool
) -> None:
    async with running(tmp_path, replicas=replicas) as office:
        office.twilio.rest_faults.delay_ms = 5_000 if silent else 100
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(office.place()) for _ in range(5)]
        (call,) = office.dialled
        assert {task.result() for task in asked} == {CallPlaced(call.sid)}
        assert await office.place() == CallPlaced(call.sid)
        assert len(office.dialled) == 1
        assert len(await office.written(call.sid, e.Ringing)) == 1


async def test_a_create_without_an_answer_is_found_in_the_list(tmp_path: Path) -> None:
    """The callbacks are lost, nobody answers yet: the list alone knows the call."""
    async with running(
        tmp_path, timing=Timing(ring_ms=600_000), faults=Faults(callback_delay_ms=600_000)
    ) as office:
        first = await office.place("another wish")
        office.twilio.rest_faults.delay_ms = 5_000
        reply = await office.place()
        assert [call.sid for call in office.dialled] == [first.call, reply.call]
        assert (await office.written(reply.call, e.Ringing))[0].direction == "outbound"


async def test_calls_that_cannot_be_told_apart_are_not_guessed(tmp_path: Path) -> None:
    async with running(tmp_path) as office:
        for _ in range(2):
            office.twilio.place(
                OutboundCall(PERSON, OURS, Inline("<Response/>"), Subscription(None))
            )
        office.twilio.rest_faults.refuse_status = 500
        assert (await office.place()).reason == "unknown_outcome"
        office.twilio.rest_faults.refuse_status = None
        assert (await office.place()).reason == "unknown_outcome"
        assert len(office.dialled) == 2


async def test_an_unknown_outcome_stays_and_is_never_dialled_again(office: Any) -> None:
    office.twilio.rest_faults.refuse_status = 500
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(office.place()) for _ in range(5)]
    assert {task.result().reason for task in asked} == {"unknown_outcome"}
    office.twilio.rest_faults = RestFaults()
    assert (await office.place()).reason == "unknown_outcome"
    assert office.dialled == []
    assert isinstance(await office.place("another key"), CallPlaced)
    assert (await office.place()).reason == "unknown_outcome", "that call is another key's"
    assert len(office.dialled) == 1


@pytest.mark.parametrize("status", [429, 403])
async def test_a_refused_create_dialled_nothing_and_may_be_asked_again(
    office: Any, status: int
) -> None:
    office.twilio.rest_faults.refuse_status = status
    assert (await office.place()).reason == "twilio"
    office.twilio.rest_faults.refuse_status = None
    assert isinstance(await office.place(), CallPlaced)
    assert len(office.dialled) == 1


async def test_a_key_names_one_call(office: Any) -> None:
    assert (await office.place("")).reason == "not_allowed"
    await office.place()
    reply = await office.place(to="+15550100004")
    assert isinstance(reply, CallRefused)
    assert reply.reason == "not_allowed"
    assert len(office.dialled) == 1


@pytest.mark.parametrize(
    ("prefixes", "ours", "to"),
    [
        ("", OURS, PERSON),
        ("+49,+1666", OURS, PERSON),
        ("+1555", OURS, "5550100003"),
        ("+1555", OURS, "sip:a@example.com"),
        ("+1555", OURS, "+1555\n0100003"),
        ("+1555", "", PERSON),
    ],
)
async def test_what_is_not_allowed_is_not_dialled(
    tmp_path: Path, prefixes: str, ours: str, to: str
) -> None:
    limits = {"OUTBOUND_PREFIXES": prefixes, "TWILIO_PHONE_NUMBER": ours}
    async with running(tmp_path, **limits) as office:
        reply = await office.place(to=to)
        assert reply.reason == "not_allowed"
        assert reply.message
        assert office.dialled == []


async def test_calls_a_minute_are_one_number_for_all_replicas(tmp_path: Path) -> None:
    async with running(tmp_path, replicas=2, OUTBOUND_PER_MINUTE="3") as office:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(office.place(f"k{n}")) for n in range(8)]
        refused = [task.result() for task in asked if isinstance(task.result(), CallRefused)]
        assert [reply.reason for reply in refused] == ["too_many"] * 5
        assert len(office.dialled) == 3


@pytest.mark.parametrize(
    ("machine", "answered_by", "hung_up"),
    [
        ("hang_up", "machine_start", True),
        ("hang_up", "fax", True),
        ("hang_up", "human", False),
        ("hang_up", "unknown", False),
        ("talk", "machine_start", False),
    ],
)
async def test_machines(office: Any, machine: str, answered_by: str, hung_up: bool) -> None:
    office.twilio.callee = Callee(answered_by=answered_by)
    reply = await office.place(machine=machine)
    (call,) = office.dialled
    detected = await office.until_written(reply.call, e.MachineDetected)
    assert (detected.answered_by, detected.took_ms) == (answered_by, 2450)
    if hung_up:
        assert await call.ended(TIMEOUT) == "rest_completed"
        ended = await office.until_written(reply.call, e.CallEnded)
        assert ended.reason == "assistant_hung_up"
        redirecting = await office.written(reply.call, e.Redirecting)
        assert [event.reason for event in redirecting] == ["machine"]
    else:
        await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
        assert await office.written(reply.call, e.Redirecting) == []


async def test_the_command_says_what_happened(office: Any) -> None:
    async def command(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "webhooks.place_call", *arguments),
            env={"NATS_URL": office.server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    code, output = await command(PERSON, "--key", "k", "--machine", "talk")
    (call,) = office.dialled
    assert (code, output) == (0, f"placed: {call.sid}\n")
    assert await command(PERSON, "--key", "k") == (0, output)
    code, output = await command("+4930123456")
    assert code == 1
    assert "not placed (not_allowed)" in output
    assert len(office.dialled) == 1


async def test_a_dialler_that_died_is_succeeded_by_a_look_not_by_a_call(office: Any) -> None:
    """The wish was written, and then its process was killed before or after the create."""
    wishes = Wishes(office.nats)
    long_ago = Wish(PERSON, OURS, unix_now() - 60)
    assert await wishes.make(wish_of("k"), long_ago) is not None
    assert (await office.place()).reason == "unknown_outcome"
    assert office.dialled == []
