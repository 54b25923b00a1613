"""``python -m webhooks.doctor``: looks at what webhooks needs, from Twilio's side to ours, and says
in a sentence each what is right or wrong and what to do.

Its checks of Twilio and of the public addresses are doctor_twilio and doctor_public.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from protocol import codec, subjects
from protocol.placement import IngressAlive
from protocol.streams import CALLS
from runtime import doctor, doctor_nats, doctor_profiles
from runtime.bus import Bus
from runtime.doctor import Check, Finding, note, ok, wrong
from runtime.subscribed import Message
from webhooks import doctor_public, doctor_twilio
from webhooks.numbers import refusal
from webhooks.settings import Settings
from webhooks.wishes import BUCKET

BEATS_S = 2.5
"""Longer than two heartbeats of an ingress."""
_TOKEN = re.compile(r"[0-9a-f]{32}\Z")


def main() -> int:
    """0: nothing is wrong, 1: something is."""
    return doctor.run("webhooks", Settings, checks)


def checks(settings: Settings) -> list[Check]:
    """All of webhooks'."""

    async def shapes() -> list[Finding]:
        return shape(settings)

    async def profiles() -> list[Finding]:
        return answering(settings)

    streams = {CALLS.name: "webhooks", f"KV_{BUCKET}": "webhooks"}
    return [
        Check("settings", shapes),
        Check("twilio", lambda: doctor_twilio.account(settings)),
        Check("clock", lambda: doctor_twilio.clock(settings)),
        Check("public url", lambda: doctor_public.webhooks(settings)),
        Check("media socket", lambda: doctor_public.media(settings)),
        doctor_nats.check(settings, "webhooks", streams, ingresses),
        Check("assistants", profiles),
    ]


def shape(settings: Settings) -> list[Finding]:
    """What may be set and still be meant otherwise."""
    findings: list[Finding] = []
    if not all(_TOKEN.match(token.reveal()) for token in settings.twilio_auth_token):
        findings.append(
            note(
                "settings",
                "TWILIO_AUTH_TOKEN is not 32 hex digits, as Twilio's tokens are.",
                "Copy the Auth Token from the console again (no API key secret).",
            )
        )
    if not settings.twilio_phone_number:
        says = "TWILIO_PHONE_NUMBER is not set: no call is placed, and no number is looked up."
        findings.append(note("settings", says))
    if not settings.outbound_prefixes:
        says = "OUTBOUND_PREFIXES is empty: nobody may be called, and nobody transferred to."
        findings.append(note("settings", says, "Set it like +49 to allow some."))
    return findings


def answering(settings: Settings) -> list[Finding]:
    """Which profile answers our number, and whether the humans of profiles may be dialled."""
    profiles, findings = doctor_profiles.looked_at(Path(settings.assistants_dir))
    number = settings.twilio_phone_number
    if profiles and number:
        named = [each for each in profiles if number in each.numbers]
        named = named or [each for each in profiles if "*" in each.numbers]
        if named:
            findings.append(ok("assistants", f"{number} is answered by {named[0].name}."))
        else:
            remedy = 'Write it, or "*", into the numbers of one.'
            findings.append(wrong("assistants", f"No profile answers {number}.", remedy))
    for each in profiles:
        human = each.transfer.number
        if human and (why := refusal(human, settings.outbound_prefixes)) is not None:
            says = f"The human of {each.name} is never dialled, callers hear that nobody is there"
            findings.append(note("assistants", f"{says}: {why}"))
    return findings


async def ingresses(bus: Bus) -> Sequence[Finding]:
    """Who says that it carries media sockets."""
    heard: dict[str, int] = {}

    async def alive(message: Message) -> None:
        said = codec.decode(IngressAlive, message.data)
        heard[said.ingress] = len(said.legs)

    subscribed = await bus.subscribe(subjects.ALL_INGRESS_ALIVE, alive)
    await asyncio.sleep(BEATS_S)
    await subscribed.stop()
    if not heard:
        says = "No stream-ingress says that it is alive: calls would hear an apology."
        return [wrong("ingress", says, "Start stream-ingress on this NATS.")]
    legs = sum(heard.values())
    return [ok("ingress", f"{len(heard)} stream-ingress alive, with {legs} open media sockets.")]


if __name__ == "__main__":
    raise SystemExit(main())
