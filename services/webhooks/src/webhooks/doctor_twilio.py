"""The doctor's look at Twilio: account, token, number, where the number leads; and our clock
against Twilio's. A part of doctor; changes nothing.
"""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from runtime.clock import utc_now
from runtime.doctor import Finding, note, ok, wrong
from webhooks import twilio_rest
from webhooks.settings import Settings
from webhooks.setup_number import changes, wanted
from webhooks.twilio_rest import TwilioRefused, TwilioSilent

API = "https://api.twilio.com"
SKEW_S = 5.0
ASK_S = 3.0
SET_UP = "Run python -m webhooks.setup_number."


async def account(settings: Settings) -> list[Finding]:
    """Whether the account lets us in, has the number, and leads it here."""
    number = settings.twilio_phone_number
    try:
        async with twilio_rest.opened(settings) as rest:
            found = await rest.number(number or "+15550100002")
    except TwilioRefused as error:
        return [_refused(error)]
    except TwilioSilent:
        remedy = "Look at this machine's way to the internet, and status.twilio.com."
        return [wrong("twilio", "Twilio's REST API does not answer.", remedy)]
    findings = [ok("twilio", "Twilio takes TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.")]
    if not number:
        return findings
    if found is None:
        says = f"The account has no number {number} (TWILIO_PHONE_NUMBER)."
        return [*findings, wrong("number", says, "Correct it, or buy the number in the console.")]
    findings.append(ok("number", f"The account has the number {number}."))
    should = wanted(settings)
    different = changes(found.pointing, should)
    # A fallback document elsewhere is as good.
    elsewhere = [each for each in different if each.what.startswith("voice_fallback")]
    if found.pointing.voice_fallback_url.startswith("https://"):
        different = [each for each in different if each not in elsewhere]
    for each in different:
        says = f"{each.what} of the number is {each.before or 'not set'}, not {each.after}."
        findings.append(wrong("number", says, SET_UP))
    if not different:
        findings.append(ok("number", f"It leads here: {should.voice_url}."))
    return findings


def _refused(error: TwilioRefused) -> Finding:
    if error.status in (401, 403):
        return wrong(
            "twilio",
            "Twilio refuses TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN"
            f" (HTTP {error.status}, error {error.code}).",
            "Copy both from the console; after a rotation the new token comes first.",
        )
    if error.status == 404:
        remedy = "Copy the Account SID from the console."
        return wrong("twilio", "Twilio knows no account TWILIO_ACCOUNT_SID.", remedy)
    says = f"Twilio refuses (HTTP {error.status}, error {error.code})."
    return wrong("twilio", says, "docs/twilio.md lists its errors.")


async def clock(settings: Settings) -> list[Finding]:
    """Our clock against the Date that Twilio's API answers with, or else our public address: a
    stream token lives for a minute.
    """
    for base in (settings.twilio_api_url.rstrip("/") or API, settings.public_base):
        date = await _date(base)
        if date is not None:
            apart = skew(utc_now(), date)
            says = f"This machine's clock is {apart:.0f} s away from that of {base}"
            if apart > SKEW_S:
                return [wrong("clock", f"{says}.", "Set it by NTP (timedatectl set-ntp true).")]
            return [ok("clock", f"{says}: near enough.")]
    return [note("clock", "Nobody told the time: neither Twilio nor PUBLIC_URL answered.")]


async def _date(base: str) -> str | None:
    try:
        async with (
            asyncio.timeout(ASK_S),
            aiohttp.ClientSession() as http,
            http.head(base, allow_redirects=False) as answer,
        ):
            return answer.headers.get("Date")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


def skew(ours: datetime, date: str) -> float:
    """Seconds between our clock and an HTTP ``Date``, which names whole seconds; 0 for one that
    says nothing.
    """
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    return max(0.0, abs((ours - theirs).total_seconds()) - 1)
