"""``python -m webhooks.place_call +15550100003``: asks ``calls.place`` and says what happened."""

import argparse
import asyncio
import sys

from protocol import ids, subjects
from protocol.calls import CallPlaced, PlaceCall, PlaceReply
from protocol.errors import DecodeError
from protocol.ids import EventId
from runtime import bus, logging, settings
from runtime.errors import NatsAway, NoAnswer, Refused, ServiceError, SettingsError
from runtime.service import Shutdown
from runtime.settings import CommonSettings

ANSWER_S = 30.0
"""More than a create without an answer and the search for its call take."""


def main() -> int:
    """0: placed, 1: not, 2: settings that cannot be used. NATS_URL says where to ask."""
    parser = argparse.ArgumentParser(prog="place_call", description="Place a call.")
    parser.add_argument("to", help="number to call, like +15550100003")
    parser.add_argument("--from", dest="from_", default="", help="default: TWILIO_PHONE_NUMBER")
    parser.add_argument("--machine", choices=("hang_up", "talk"), default="hang_up")
    parser.add_argument("--ring", type=int, default=30, metavar="S", help="seconds it rings")
    parser.add_argument("--key", default="", help="of an earlier try: it is never dialled twice")
    given = parser.parse_args()
    key = EventId(given.key or ids.new_event_id())
    try:
        loaded = settings.load(CommonSettings)
    except SettingsError as error:
        _say(*error.problems)
        return 2
    logging.configure("place_call", fmt=loaded.log_format, level="error")
    ask = PlaceCall(key, given.to, given.from_, given.machine, given.ring)
    try:
        reply = asyncio.run(_ask(loaded, ask))
    except NoAnswer as error:
        why = "webhooks does not run on this NATS" if error.nobody else "there was no answer"
        _say(f"{why}; learn what came of it with --key {key}")
        return 1
    except (ServiceError, NatsAway, Refused, DecodeError) as error:
        _say(str(error), f"learn what came of it with --key {key}")
        return 1
    if isinstance(reply, CallPlaced):
        _say(f"placed: {reply.call}")
        return 0
    _say(f"not placed ({reply.reason}): {reply.message}")
    if reply.reason == "unknown_outcome":
        _say(f"learn what came of it with --key {key}")
    return 1


async def _ask(loaded: CommonSettings, ask: PlaceCall) -> PlaceReply:
    async with bus.connect(loaded, "place-call", Shutdown()) as nats:
        return await nats.request(subjects.calls("place"), ask, PlaceReply, timeout=ANSWER_S)


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
