"""Hang up and transfer by request, and the human of the profile instead of an apology."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from office import HUMAN, OURS, PERSON, PROFILE, TIMEOUT, TOKEN, running

from protocol import events as e
from protocol.calls import CallDone
from protocol.ids import CallId
from runtime.clock import utc_now
from testbed.twilio import Callee, Timing
from testbed.twilio.forms import new_sid
from testbed.twilio.signature import sign_post
from testbed.twilio.twiml import Dial, parse
from webhooks.twiml import SENTENCES

pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]
NOBODY = "Nobody is in the office."
OTHER = "+15550100044"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Any]:
    async with running(tmp_path) as office:
        yield office


def spoken(call: Any) -> list[str]:
    return [said.content for said in call.ear.spoken]


def dials(call: Any) -> list[str]:
    return [entry.detail for entry in call.log if entry.what == "dial"]


def names(events: list[Any]) -> list[str]:
    wanted = ("redirecting", "transferred", "dial_ended", "call_ended")
    return [name for event in events if (name := e.name_of(event)) in wanted]


# -- calls.hang_up


async def test_a_talking_caller_is_hung_up_on(office: Any) -> None:
    call = await office.twilio.dial(PERSON)
    await office.talking(call)
    assert await office.hang_up(call.sid) == CallDone(call.sid)
    assert await call.ended(TIMEOUT) == "rest_completed"
    events = await office.events(call.sid)
    assert names(events) == ["redirecting", "call_ended"]
    assert (await office.written(call.sid, e.CallEnded))[0].reason == "assistant_hung_up"
    assert (await office.hang_up(call.sid)).reason == "not_in_progress"


async def test_a_call_that_rings_is_taken_back(tmp_path: Path) -> None:
    async with running(tmp_path, timing=Timing(ring_ms=600_000)) as office:
        placed = await office.place()
        assert await office.hang_up(placed.call) == CallDone(placed.call)
        (call,) = office.dialled
        assert await call.ended(TIMEOUT) == "canceled"
        assert (await office.written(placed.call, e.CallEnded))[0].reason == "canceled"


async def test_what_cannot_be_hung_up(office: Any) -> None:
    unknown = new_sid("CA")
    for ask in (office.hang_up, office.transfer):
        assert (await ask(unknown)).reason == "unknown_call"
        gone = new_sid("CA")  # in the log, but not at Twilio
        await office.write_ringing(gone)
        assert (await ask(gone)).reason == "not_in_progress"
    assert await office.events(unknown) == []


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "twilio"), (403, "twilio"), (500, "unknown_outcome")]
)
async def test_twilio_says_no(office: Any, status: int, reason: str) -> None:
    call = await office.twilio.dial(PERSON)
    await office.talking(call)
    office.twilio.rest_faults.refuse_status = status
    assert (await office.hang_up(call.sid)).reason == reason
    assert (await office.transfer(call.sid)).reason == reason
    assert await office.written(call.sid, e.Transferred) == []
    assert not call.over


# -- calls.transfer


@pytest.mark.parametrize("to", ["", OTHER])
async def test_a_call_is_transferred_and_they_talk(office: Any, to: str) -> None:
    call = await office.twilio.dial(PERSON)
    await office.talking(call)
    assert await office.transfer(call.sid, to) == CallDone(call.sid)
    await call.ended(TIMEOUT)
    assert dials(call) == [to or HUMAN]
    assert spoken(call) == []
    assert names(await office.events(call.sid)) == [
        "redirecting",
        "transferred",
        "dial_ended",
        "call_ended",
    ]
    assert (await office.written(call.sid, e.Transferred))[0].to == (to or HUMAN)
    assert (await office.written(call.sid, e.CallEnded))[0].reason == "transferred"


async def test_a_transfer_that_nobody_answers(office: Any) -> None:
    office.twilio.dialled = Callee(outcome="no-answer")
    call = await office.twilio.dial(PERSON)
    await office.talking(call)
    assert await office.transfer(call.sid) == CallDone(call.sid)
    await call.ended(TIMEOUT)
    assert spoken(call) == [NOBODY]
    assert (await office.written(call.sid, e.DialEnded))[0].status == "no-answer"
    assert (await office.written(call.sid, e.CallEnded))[0].reason == "failed"


async def test_a_transfer_to_a_number_that_is_not_allowed(office: Any) -> None:
    call = await office.twilio.dial(PERSON)
    await office.talking(call)
    for to in ("+4930123456", "sip:a@b", "0"):
        assert (await office.transfer(call.sid, to)).reason == "not_allowed"
    assert dials(call) == []


async def test_the_human_of_a_profile_is_not_dialled_by_request_either(tmp_path: Path) -> None:
    async with running(tmp_path, OUTBOUND_PREFIXES="+49") as office:
        call = await office.twilio.dial(PERSON)
        await office.talking(call)
        refused = await office.transfer(call.sid)
        assert refused.reason == "not_allowed"
        assert "OUTBOUND_PREFIXES" in refused.message
        assert await office.written(call.sid, e.Redirecting) == []
        assert not call.over


async def test_nobody_is_there_to_take_a_call(tmp_path: Path) -> None:
    async with running(tmp_path, profile=PROFILE.replace(HUMAN, "")) as office:
        call = await office.twilio.dial(PERSON)
        await office.talking(call)
        assert (await office.transfer(call.sid)).reason == "not_allowed"
        assert not call.over


async def test_transfers_by_request_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, OUTBOUND_PER_MINUTE="1") as office:
        assert (await office.place()).call
        call = await office.twilio.dial(PERSON)
        await office.talking(call)
        assert (await office.transfer(call.sid, OTHER)).reason == "too_many"
        assert (await office.transfer(call.sid)).reason == "too_many", "the profile's human too"
        assert dials(call) == []


# -- after a stream


async def test_the_assistant_transfers_and_the_human_answers(office: Any) -> None:
    call = await office.twilio.dial(PERSON)
    await office.close(call.sid, await office.talking(call), "transfer")
    await call.ended(TIMEOUT)
    dial = next(
        v for v in parse(call.documents[-2], "https://voice.example.com") if "Dial" in str(v)
    )
    assert isinstance(dial, Dial)
    assert 'answerOnBridge="true"' in call.documents[-2]
    assert 'timeout="7"' in call.documents[-2]
    assert f'callerId="{PERSON}"' in call.documents[-2]
    assert "https://voice.example.com/twilio/whisper/office" in call.documents[-2]
    assert dials(call) == [HUMAN]
    assert (await office.written(call.sid, e.Transferred))[0].to == HUMAN
    assert (await office.written(call.sid, e.DialEnded))[0].status == "completed"
    ended = await office.until_written(call.sid, e.CallEnded)
    assert ended.reason == "transferred"


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_the_assistant_transfers_and_nobody_comes(office: Any, outcome: Any) -> None:
    office.twilio.dialled = Callee(outcome=outcome)
    call = await office.twilio.dial(PERSON)
    await office.close(call.sid, await office.talking(call), "transfer")
    await call.ended(TIMEOUT)
    assert spoken(call) == [NOBODY]
    ended = await office.until_written(call.sid, e.CallEnded)
    assert ended.reason == "failed"


@pytest.mark.parametrize("human", ["", HUMAN], ids=["no number", "outside the hours"])
async def test_the_assistant_transfers_while_nobody_is_there(tmp_path: Path, human: str) -> None:
    another_day = ("thu", "fri", "sat", "sun", "mon", "tue", "wed")[utc_now().weekday()]
    hours = f'hours = ["{another_day} 09:00-17:00"]\n' if human else ""
    profile = PROFILE.replace(HUMAN, human) + hours
    async with running(tmp_path, profile=profile) as office:
        call = await office.twilio.dial(PERSON)
        await office.close(call.sid, await office.talking(call), "transfer")
        await call.ended(TIMEOUT)
        assert (dials(call), spoken(call)) == ([], [NOBODY])
        assert (await office.until_written(call.sid, e.CallEnded)).reason == "failed"
        assert await office.written(call.sid, e.Transferred) == []


async def test_when_all_agents_are_busy_the_human_is_called(office: Any) -> None:
    call = await office.twilio.dial(PERSON)
    await office.close(call.sid, await office.talking(call), "busy")
    await call.ended(TIMEOUT)
    assert (dials(call), spoken(call)) == ([HUMAN], [])
    assert (await office.until_written(call.sid, e.CallEnded)).reason == "transferred"


async def test_a_call_whose_stream_never_opened_gets_the_human(office: Any) -> None:
    call = await office.twilio.dial(PERSON)
    await call.wait_until(lambda c: c.stream and c.stream.started, TIMEOUT)
    for socket in tuple(office.sockets):
        await socket.close()  # the log knows of no stream
    await call.ended(TIMEOUT)
    assert dials(call) == [HUMAN]


async def test_a_call_that_we_placed_shows_our_number_to_the_human(office: Any) -> None:
    await office.place()
    (call,) = office.dialled
    await office.close(call.sid, await office.talking(call), "transfer")
    await call.ended(TIMEOUT)
    assert dials(call) == [HUMAN]
    assert any(f'callerId="{OURS}"' in document for document in call.documents)


@pytest.mark.parametrize("outcome", ["answered", "no-answer"])
async def test_without_nats_callers_still_get_the_human(
    office: Any, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.status.LOG_S", 0.3)  # nobody on the phone waits for it
    office.twilio.dialled = Callee(outcome=outcome)
    await office.server.kill()
    call = await office.twilio.dial(PERSON)
    assert await call.ended(TIMEOUT) == "hangup_verb"
    assert dials(call) == [HUMAN]
    assert spoken(call) == ([] if outcome == "answered" else [NOBODY])


# -- a human who may not be dialled


@pytest.mark.parametrize("prefixes", ["", "+49"], ids=["none", "others"])
async def test_the_assistant_transfers_to_a_human_who_is_not_allowed(
    tmp_path: Path, prefixes: str
) -> None:
    async with running(tmp_path, OUTBOUND_PREFIXES=prefixes) as office:
        call = await office.twilio.dial(PERSON)
        await office.close(call.sid, await office.talking(call), "transfer")
        await call.ended(TIMEOUT)
        assert (dials(call), spoken(call)) == ([], [NOBODY])
        assert (await office.until_written(call.sid, e.CallEnded)).reason == "failed"
        assert (await office.written(call.sid, e.DialEnded))[0].status == "not_allowed"
        assert await office.written(call.sid, e.Transferred) == []


async def test_an_apology_stays_where_the_human_is_not_allowed(tmp_path: Path) -> None:
    async with running(tmp_path, OUTBOUND_PREFIXES="+49") as office:
        call = await office.twilio.dial(PERSON)
        await office.close(call.sid, await office.talking(call), "busy")
        await call.ended(TIMEOUT)
        assert (dials(call), spoken(call)) == ([], [SENTENCES["busy"]])
        assert (await office.until_written(call.sid, e.CallEnded)).reason == "busy"
        assert (await office.written(call.sid, e.DialEnded))[0].status == "not_allowed"
        await office.server.kill()
        call = await office.twilio.dial(PERSON)
        assert await call.ended(TIMEOUT) == "hangup_verb"
        assert (dials(call), spoken(call)) == ([], [SENTENCES["unavailable"]])


async def test_transfers_of_the_assistant_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, replicas=2, OUTBOUND_PER_MINUTE="1") as office:
        heard: list[tuple[list[str], list[str]]] = []
        for _ in range(2):
            call = await office.twilio.dial(PERSON)
            await office.close(call.sid, await office.talking(call), "transfer")
            await call.ended(TIMEOUT)
            heard.append((dials(call), spoken(call)))
        assert heard == [([HUMAN], []), ([], [NOBODY])]
        assert (await office.until_written(call.sid, e.CallEnded)).reason == "failed"
        assert (await office.written(call.sid, e.DialEnded))[0].status == "too_many"
        assert (await office.place()).reason == "too_many", "calls and transfers are one count"


async def test_a_transfer_that_twilio_asks_for_twice_counts_once(tmp_path: Path) -> None:
    async with running(tmp_path, OUTBOUND_PER_MINUTE="1") as office:
        call = new_sid("CA")
        await office.write_ringing(call)
        await office.close(call, await office.write_started(call), "transfer")
        form = {
            "AccountSid": office.twilio.account.sid,
            "CallSid": call,
            "CallStatus": "in-progress",
            "From": PERSON,
            "To": OURS,
        }
        path = "/twilio/stream-ended"
        signature = sign_post(f"https://voice.example.com{path}", form.items(), TOKEN)
        for _ in range(2):
            answer = await post(office, path, form, signature)
            assert HUMAN in answer.text
        assert len(await office.written(call, e.Transferred)) == 1


async def test_without_nats_each_process_counts_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.status.LOG_S", 0.3)  # nobody on the phone waits for it
    async with running(tmp_path, OUTBOUND_PER_MINUTE="1") as office:
        await office.server.kill()
        heard: list[tuple[list[str], list[str]]] = []
        for _ in range(2):
            call = await office.twilio.dial(PERSON)
            assert await call.ended(TIMEOUT) == "hangup_verb"
            heard.append((dials(call), spoken(call)))
        assert heard == [([HUMAN], []), ([], [SENTENCES["unavailable"]])]


@pytest.mark.parametrize(("prefixes", "warnings"), [("", 1), ("+49", 1), ("+1555", 0)])
async def test_the_start_says_which_profile_has_a_human_who_is_not_allowed(
    tmp_path: Path, prefixes: str, warnings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.humans._log", structlog.get_logger())
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path, OUTBOUND_PREFIXES=prefixes):
            pass
    said = [entry for entry in logs if entry["log_level"] == "warning"]
    assert len(said) == warnings
    for entry in said:
        assert (entry["profile"], entry["key"]) == ("office", "transfer.number")
        assert "OUTBOUND_PREFIXES" in entry["reason"]
        assert HUMAN not in str(entry), "logs hold no numbers"


# -- the new addresses


async def post(office: Any, path: str, form: dict[str, str], signature: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.post(
            office.web + path, data=form, headers={"X-Twilio-Signature": signature}
        )


async def test_the_new_addresses_are_signed(office: Any) -> None:
    call = new_sid("CA")
    form = {
        "AccountSid": office.twilio.account.sid,
        "CallSid": call,
        "AnsweredBy": "machine_start",
        "CallStatus": "completed",
        "DialCallStatus": "completed",
    }
    for path in (
        "/twilio/outbound/wish",
        "/twilio/status/wish",
        "/twilio/amd/hang_up",
        "/twilio/dial-ended",
        "/twilio/whisper/office",
    ):
        url = f"https://voice.example.com{path}"
        for wrong in (
            "",
            sign_post(url, form.items(), "f" * 32),
            sign_post(url + "2", form.items(), TOKEN),
        ):
            assert (await post(office, path, form, wrong)).status_code == 403, path
    assert await office.events(CallId(call)) == []


@pytest.mark.parametrize(
    ("profile", "said"), [("office", "A caller with a question."), ("other", None)]
)
async def test_what_is_whispered(office: Any, profile: str, said: str | None) -> None:
    form = {"AccountSid": office.twilio.account.sid, "CallSid": new_sid("CA"), "To": HUMAN}
    path = f"/twilio/whisper/{profile}"
    signature = sign_post(f"https://voice.example.com{path}", form.items(), TOKEN)
    answer = await post(office, path, form, signature)
    assert answer.status_code == 200
    assert [verb.text for verb in parse(answer.text, None)] == ([said] if said else [])


async def test_a_malformed_wish_is_no_wish(office: Any) -> None:
    form = {"AccountSid": office.twilio.account.sid, "CallSid": new_sid("CA"), "From": PERSON}
    path = "/twilio/outbound/a.*%3E"
    signature = sign_post(f"https://voice.example.com{path}", form.items(), TOKEN)
    answer = await post(office, path, form, signature)
    assert answer.status_code == 200
    assert "<Stream" in answer.text
