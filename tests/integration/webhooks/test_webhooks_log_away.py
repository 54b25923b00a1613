"""NATS killed or frozen, and errors of our own: what the caller hears."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from protocol import events as e
from testbed.nats_server import NatsServer
from testbed.twilio.forms import status_form
from testbed.twilio.twiml import Hangup, Pause, Redirect, Say
from webhooks.twiml import SENTENCES


@pytest.mark.parametrize("away", ["killed", "frozen"])
async def test_without_the_log_callers_hear_an_apology_in_time(
    tmp_path: Path, serve_app: Any, away: str
) -> None:
    server = await NatsServer.start(tmp_path / "nats")
    try:
        async with AsyncExitStack() as stack:
            twilio = await serve_app(stack, server.url)
            await twilio.stopped(await twilio.started(), line_ms=3_000)
            await server.kill() if away == "killed" else server.suspend()
            now: Callable[[], float] = asyncio.get_running_loop().time

            began = now()
            verbs = await twilio.verbs("/twilio/voice", status="ringing")
            assert now() - began < 2
            assert verbs == [Say(SENTENCES["unavailable"]), Hangup()]

            began = now()
            say, pause, redirect = await twilio.verbs("/twilio/stream-ended")
            assert now() - began < 2
            assert isinstance(say, Say)
            assert isinstance(pause, Pause)
            assert isinstance(redirect, Redirect)
            path = redirect.url.removeprefix(twilio.public)
            assert await twilio.verbs(path) == [Say(SENTENCES["unavailable"]), Hangup()]
            assert await twilio.verbs("/twilio/stream-ended", status="completed") == [Hangup()]

            # It comes back: the second question finds the leg that was lost, the callback its log.
            await server.restart() if away == "killed" else server.resume()
            assert await twilio.status("in-progress", 1) == 204
            assert twilio.offered(await twilio.verbs(path)).line_ms == 3_000
    finally:
        await server.stop()


async def test_a_status_that_cannot_be_kept_is_asked_for_again(
    tmp_path: Path, serve_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.status.LOG_S", 0.3)
    server = await NatsServer.start(tmp_path / "nats")
    try:
        async with AsyncExitStack() as stack:
            twilio = await serve_app(stack, server.url)
            await server.kill()
            assert await twilio.status("completed", 1) == 503
            await server.restart()
            monkeypatch.setattr("webhooks.status.LOG_S", 8.0)
            assert await twilio.status("completed", 1) == 204
            assert len(await twilio.written(e.CallEnded)) == 1
    finally:
        await server.stop()


async def test_an_error_of_ours_is_an_apology_and_not_its_text(
    twilio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("webhooks.record.Record.rang", broken)
    monkeypatch.setattr("webhooks.record.Record.story", broken)
    for path in ("/twilio/voice", "/twilio/stream-ended"):
        assert await twilio.verbs(path) == [Say(SENTENCES["unavailable"]), Hangup()]
    answer = await twilio.post("/twilio/status", status_form(twilio.facts(), "completed", 1, 1.0))
    assert (answer.status_code, answer.text) == (503, "not available\n")
