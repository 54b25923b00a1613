"""Follows TwiML for one call, verb by verb, until it ends or is interrupted.

Run as a task by the call, which cancels it on a hang-up or a REST update. Never sets the final
status and never decides who may interrupt it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.twilio import twiml
from testbed.twilio.callbacks import Callbacks
from testbed.twilio.ear import Spoken
from testbed.twilio.faults import AfterStream, Callee, Timing
from testbed.twilio.forms import call_form, new_sid
from testbed.twilio.leg import Leg
from testbed.twilio.media_stream import MediaStream, StreamEnd
from testbed.twilio.webhook import Answer, WebhookError, Webhooks
from testbed.twilio.wire import StreamMessages

MAX_DOCUMENTS = 500  # a loop of redirects ends here as an application error
XML_TYPES = ("text/xml", "application/xml", "text/html")


@dataclass(frozen=True, slots=True)
class Fetch:
    """TwiML to be asked for at an address."""

    url: str
    method: str = "POST"
    extra: dict[str, str] = field(default_factory=dict[str, str])
    fallback_url: str | None = None
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Inline:
    """TwiML given through REST."""

    document: str


class Stop(Exception):
    """The program is over; the reason becomes the call's end_reason."""


class Program:
    """One call's TwiML interpreter."""

    def __init__(
        self,
        leg: Leg,
        webhooks: Webhooks,
        callbacks: Callbacks,
        timing: Timing,
        auth_token: str,
        dialled: Callee,
        resolve: Callable[[str], str],
    ) -> None:
        self._leg = leg
        self._webhooks = webhooks
        self._callbacks = callbacks
        self._timing = timing
        self._auth_token = auth_token
        self._dialled = dialled
        self._resolve = resolve

    async def follow(self, source: Fetch | Inline) -> str:
        """Run documents until none is left; returns why the call ends.

        Reasons: hangup_verb, end_of_twiml, application_error, rejected_busy, rejected,
        stream_lost, stream_refused, interrupted.
        """
        following: Fetch | Inline | None = source
        try:
            for _ in range(MAX_DOCUMENTS):
                following = await self._run(await self._load(following))
                if following is None:
                    return "end_of_twiml"
        except Stop as stop:
            return str(stop)
        self._leg.note("error", "too many documents")
        return "application_error"

    async def _load(self, source: Fetch | Inline) -> list[twiml.Verb]:
        try:
            if isinstance(source, Inline):
                self._leg.documents.append(source.document)
                return twiml.parse(source.document, None)
            return await self._fetch(source, source.url, source.extra)
        except (WebhookError, twiml.TwimlError) as error:
            self._leg.note("error", str(error))
            if not isinstance(source, Fetch) or source.fallback_url is None:
                raise self._failed() from error
            extra = {"ErrorCode": str(error.code), "ErrorUrl": source.url}
            fallback = source.fallback_url
        try:
            return await self._fetch(source, fallback, source.extra | extra)
        except (WebhookError, twiml.TwimlError) as error:
            self._leg.note("error", str(error))
            raise self._failed() from error

    async def _fetch(self, source: Fetch, url: str, extra: dict[str, str]) -> list[twiml.Verb]:
        form = call_form(self._leg.facts, self._leg.status) | extra
        token = new_sid("")

        async def ask() -> Answer:
            answer = await self._webhooks.request(
                url, form, self._auth_token, method=source.method, idempotency_token=token
            )
            self._leg.note("twiml", f"{url} answered {answer.status}")
            self._leg.documents.append(answer.body)
            return answer

        answer = await ask()
        for _ in range(source.copies - 1):
            answer = await ask()
        if not answer.content_type.startswith(XML_TYPES):
            raise twiml.TwimlError(12300, f"content type {answer.content_type!r}")
        return twiml.parse(answer.body, url.partition("#")[0])

    def _failed(self) -> Stop:
        self._answer()
        self._leg.ear.spoken.append(
            Spoken(self._leg.now_ms(), "Say", "An application error has occurred. Goodbye.")
        )
        return Stop("application_error")

    def _answer(self) -> None:
        if self._leg.status == "ringing":
            self._leg.set_status("in-progress")
            self._callbacks.call_status("in-progress")

    async def _run(self, verbs: list[twiml.Verb]) -> Fetch | None:
        for verb in verbs:
            match verb:
                case twiml.Reject(reason):
                    raise Stop("rejected_busy" if reason == "busy" else "rejected")
                case twiml.Hangup():
                    self._answer()
                    raise Stop("hangup_verb")
                case twiml.Redirect(url, method):
                    return Fetch(url, method)
                case twiml.Say(text):
                    await self._speak("Say", text)
                case twiml.Play(content):
                    await self._speak("Play", content)
                case twiml.Pause(seconds):
                    self._answer()
                    await asyncio.sleep(seconds * self._timing.pause_second_ms / 1000)
                case twiml.Dial():
                    if (following := await self._dial(verb)) is not None:
                        return following
                case twiml.Connect():
                    if (following := await self._connect(verb)) is not None:
                        return following
        self._answer()
        return None

    async def _speak(self, verb: str, content: str) -> None:
        self._answer()
        self._leg.ear.spoken.append(Spoken(self._leg.now_ms(), verb, content))
        self._leg.note(verb.lower(), content)
        await asyncio.sleep(self._timing.speech_ms / 1000)

    async def _dial(self, verb: twiml.Dial) -> Fetch | None:
        self._answer()
        self._leg.note("dial", verb.number)
        result = {"DialCallSid": new_sid("CA"), "DialCallStatus": self._dialled.outcome}
        if self._dialled.outcome == "answered":
            await asyncio.sleep(self._dialled.talk_ms / 1000)
            duration = str(round(self._dialled.talk_ms / 1000))
            result |= {"DialCallStatus": "completed", "DialCallDuration": duration}
        return Fetch(verb.action, verb.method, result) if verb.action else None

    async def _connect(self, verb: twiml.Connect) -> Fetch | None:
        self._answer()
        leg, wanted = self._leg, verb.stream
        stream_sid = new_sid("MZ")
        facts = leg.facts
        stream = MediaStream(
            url=wanted.url,
            connect_url=self._resolve(wanted.url),
            auth_token=self._auth_token,
            messages=StreamMessages(
                facts.account_sid, facts.call_sid, stream_sid, wanted.parameters
            ),
            stream_sid=stream_sid,
            parameters=wanted.parameters,
            ear=leg.ear,
            faults=leg.faults,
            timing=self._timing,
            now_ms=leg.now_ms,
            note=leg.note,
        )

        def started() -> None:
            leg.note("stream-started", stream_sid)
            self._callbacks.stream_status(wanted, stream_sid, "stream-started")

        leg.open_stream(stream)
        try:
            end = await stream.run(started)
        finally:
            leg.close_stream()
        leg.note("stream-ended", f"{end.kind} {end.code} {end.reason}")
        if end.kind in ("lost", "refused"):
            error = f"{end.code}: {end.reason}"
            self._callbacks.stream_status(wanted, stream_sid, "stream-error", error)
        else:
            self._callbacks.stream_status(wanted, stream_sid, "stream-stopped")
        return await self._after_stream(verb, end)

    async def _after_stream(self, verb: twiml.Connect, end: StreamEnd) -> Fetch | None:
        leg = self._leg
        after: AfterStream = "action"
        match end.kind:
            case "stopped":
                if leg.caller_gone and leg.faults.action_after_hang_up and verb.action:
                    form = call_form(leg.facts, "completed")
                    self._callbacks.post(verb.action, verb.method, form)
                raise Stop("interrupted")
            case "lost":
                after = leg.faults.after_loss
                await asyncio.sleep(leg.faults.after_loss_delay_ms / 1000)
            case "refused":
                after = leg.faults.after_refusal
                await asyncio.sleep(leg.faults.after_refusal_delay_ms / 1000)
            case "server_closed":
                pass
        if after == "hang_up":
            raise Stop(f"stream_{end.kind}")
        if after == "silent":
            leg.note("silent", "the line stays open, nothing is asked")
            await asyncio.Event().wait()  # until the call is interrupted
        if after == "action" and verb.action:
            return Fetch(verb.action, verb.method)
        return None
