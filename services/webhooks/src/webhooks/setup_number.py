"""``python -m webhooks.setup_number``: points a number at this system and prints what it changed.

Voice webhook, static fallback document and status callback, from PUBLIC_URL. Done again it changes
nothing. ``--check`` only looks.
"""

import argparse
import asyncio
import sys

from msgspec import Struct

from runtime import logging, settings
from runtime.assistant import E164
from runtime.errors import SettingsError
from webhooks import paths, twilio_rest
from webhooks.settings import Settings
from webhooks.twilio_rest import Pointing, TwilioRefused, TwilioSilent

RETRIES = "#rc=5&rp=5xx"
"""Twilio asks again when the callback could not be kept."""


class Change(Struct, frozen=True):
    """One setting of the number that is another than it should be."""

    what: str
    before: str
    after: str


def wanted(loaded: Settings, fallback: str = "") -> Pointing:
    """How the number should stand."""
    base = loaded.public_base
    return Pointing(
        voice_url=base + paths.VOICE,
        voice_method="POST",
        voice_fallback_url=fallback or base + paths.FALLBACK,
        voice_fallback_method="GET",
        status_callback=f"{base}{paths.STATUS}{RETRIES}",
        status_callback_method="POST",
    )


def changes(stands: Pointing, should: Pointing) -> list[Change]:
    """What differs, in the order of the settings."""
    names = Pointing.__struct_fields__
    pairs = [(name, getattr(stands, name), getattr(should, name)) for name in names]
    return [Change(name, before, after) for name, before, after in pairs if before != after]


def main() -> int:
    """0: it stands as it should, 1: it does not and was not changed, 2: settings are unusable."""
    parser = argparse.ArgumentParser(
        prog="setup_number", description="Point a Twilio number at PUBLIC_URL."
    )
    parser.add_argument("number", nargs="?", default="", help="default: TWILIO_PHONE_NUMBER")
    parser.add_argument("--fallback", default="", metavar="URL", help="a static document elsewhere")
    parser.add_argument("--check", action="store_true", help="only say what would be changed")
    given = parser.parse_args()
    try:
        loaded = settings.load(Settings)
    except SettingsError as error:
        _say(*error.problems)
        return 2
    logging.configure("setup_number", fmt=loaded.log_format, level="error")
    number: str = given.number or loaded.twilio_phone_number
    if not E164.match(number):
        _say("which number? Give it like +15550100002, or set TWILIO_PHONE_NUMBER")
        return 2
    should = wanted(loaded, given.fallback)
    try:
        return asyncio.run(_set_up(loaded, number, should, check=given.check))
    except TwilioRefused as error:
        hint = "; look at TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" if error.status == 401 else ""
        _say(f"Twilio refused (HTTP {error.status}, error {error.code}){hint}")
    except TwilioSilent:
        _say("Twilio did not answer: run this again, it changes nothing twice")
    return 1


async def _set_up(loaded: Settings, number: str, should: Pointing, *, check: bool) -> int:
    async with twilio_rest.opened(loaded) as rest:
        found = await rest.number(number)
        if found is None:
            _say(f"this Twilio account has no number {number}: buy it there, or name another")
            return 1
        different = changes(found.pointing, should)
        for change in different:
            _say(f"{change.what}: {change.before or '(none)'} -> {change.after}")
        if not different:
            _say(f"{number} stands as it should: {should.voice_url}")
            return 0
        if check:
            _say("nothing was changed (--check)")
            return 1
        await rest.point(found.sid, should)
        _say(f"{number} is set up: call it")
        return 0


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
