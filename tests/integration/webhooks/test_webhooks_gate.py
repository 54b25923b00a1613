"""Signatures, accounts, forms, paths and methods: what gets through to a handler."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from testbed.twilio.forms import call_form
from testbed.twilio.signature import sign_post
from webhooks.signature import BODY_LIMIT


async def test_what_is_not_rightly_signed_is_refused_and_leaves_no_trace(twilio: Any) -> None:
    form = call_form(twilio.facts(), "ringing")
    good = sign_post(f"{twilio.public}/twilio/voice", form.items(), twilio.new_token)
    without_blanks = [(name, value) for name, value in form.items() if value]
    assert without_blanks != list(form.items()), "Twilio's forms hold blank fields"
    wrong = [
        "",
        good[:-2] + "x=",
        sign_post(f"{twilio.public}/twilio/voice", form.items(), "f" * 32),
        sign_post(f"{twilio.public}/twilio/voice", without_blanks, twilio.new_token),
        sign_post(f"{twilio.public}/twilio/status", form.items(), twilio.new_token),
        sign_post(f"{twilio.public}/twilio/voice/", form.items(), twilio.new_token),
        sign_post("http://voice.example.com/twilio/voice", form.items(), twilio.new_token),
    ]
    for signature in wrong:
        answer = await twilio.post("/twilio/voice", form, signature=signature)
        assert (answer.status_code, answer.text) == (403, "wrong signature\n")
    for path in ("/twilio/status", "/twilio/stream-status", "/twilio/stream-ended"):
        assert (await twilio.post(path, form, signature=good)).status_code == 403
    assert await twilio.log() == []
    assert (await twilio.post("/twilio/voice", form, signature=good)).status_code == 200


async def test_a_signature_header_must_be_there(twilio: Any) -> None:
    form = call_form(twilio.facts(), "ringing")
    assert (await twilio.http.post("/twilio/voice", data=form)).status_code == 403


async def test_both_auth_tokens_are_accepted_while_they_rotate(twilio: Any) -> None:
    for token in (twilio.old_token, twilio.new_token):
        twilio.auth_token = token
        assert twilio.offered(await twilio.verbs("/twilio/voice", status="ringing"))


async def test_another_account_is_refused_though_signed(twilio: Any) -> None:
    form = call_form(twilio.facts(), "ringing") | {"AccountSid": "AC" + "b" * 32}
    assert (await twilio.post("/twilio/voice", form)).status_code == 403
    del form["AccountSid"]
    assert (await twilio.post("/twilio/voice", form)).status_code == 403
    assert await twilio.log() == []


async def test_the_query_is_part_of_what_is_signed(twilio: Any) -> None:
    form = call_form(twilio.facts(), "ringing")
    assert (await twilio.post("/twilio/voice?a=%7e&b=", form)).status_code == 200
    good = sign_post(f"{twilio.public}/twilio/voice?a=1", form.items(), twilio.new_token)
    assert (await twilio.post("/twilio/voice?a=2", form, signature=good)).status_code == 403


@pytest.mark.parametrize("call", ["", "CA1", "CA" + "G" * 32, "CA*.>", "MZ" + "0" * 32])
@pytest.mark.parametrize(
    "path", ["/twilio/voice", "/twilio/status", "/twilio/stream-status", "/twilio/stream-ended"]
)
async def test_no_call_sid_is_a_bad_request(twilio: Any, path: str, call: str) -> None:
    form = call_form(twilio.facts(), "ringing") | {"CallSid": call}
    assert (await twilio.post(path, form)).status_code == 400


async def test_malformed_and_oversize_bodies(twilio: Any) -> None:
    async def status(body: bytes | AsyncIterator[bytes], kind: str) -> int:
        headers = {"Content-Type": kind, "X-Twilio-Signature": "x"}
        answer = await twilio.http.post("/twilio/voice", content=body, headers=headers)
        assert "Traceback" not in answer.text
        assert len(answer.text) < 50
        return answer.status_code

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b"a" * 1024

    form = "application/x-www-form-urlencoded"
    assert await status(b'{"a":1}', "application/json") == 400
    assert await status(b"a=%ff", form) == 400
    assert await status(b"\xff\x00", form) == 400
    assert await status(b"a=" + b"b" * (BODY_LIMIT - 2), form) == 403
    assert await status(b"a=" + b"b" * (BODY_LIMIT - 1), form) == 413
    assert await status(endless(), form) == 413


async def test_other_methods_and_paths(twilio: Any) -> None:
    for path in ("/twilio/voice", "/twilio/stream-ended"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert (await twilio.http.request(method, path)).status_code == 405
    for path in ("/", "/metrics", "/twilio", "/twilio/voice/", "/twilio/media", "/docs"):
        assert (await twilio.http.get(path)).status_code == 404
        assert (await twilio.http.post(path, data={"a": "b"})).status_code == 404
