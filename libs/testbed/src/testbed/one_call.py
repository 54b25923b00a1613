"""`python -m testbed.one_call`: one spoken call into a system that runs elsewhere, then the end.

The phone of compose's profile `demo`. It knows what an outsider knows: the public address, the
account that signs, and a subscriber's access to the events. Configured by environment variables.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping

from testbed.figures import percentile
from testbed.follower import Follower
from testbed.scenario import FRESH, Caller, Outcome
from testbed.screen import Screen
from testbed.twilio import SimulatedTwilio, TwilioAccount, serve_rest
from testbed.voice.speaker import Speaker

REST_PORT = 8091
NEEDED = (
    *("NATS_URL", "PUBLIC_URL", "ROUTER_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    *("TWILIO_PHONE_NUMBER", "CALLER"),
)
"""ROUTER_URL is where PUBLIC_URL is reached from here; CALLER the number that calls."""


async def one_call(environment: Mapping[str, str]) -> int:
    """Call, talk, hang up, judge; the exit code. REST is served meanwhile, as webhooks may ask."""
    screen = Screen()
    public, router = environment["PUBLIC_URL"].rstrip("/"), environment["ROUTER_URL"].rstrip("/")
    account = TwilioAccount(
        environment["TWILIO_ACCOUNT_SID"],
        environment["TWILIO_AUTH_TOKEN"].split(",")[0],
        environment["TWILIO_PHONE_NUMBER"],
        f"{public}/twilio/voice",
        status_callback=f"{public}/twilio/status",
    )
    routes = {public: router, public.replace("http", "ws", 1): router.replace("http", "ws", 1)}
    async with (
        Follower(environment["NATS_URL"], on_event=screen.event) as follower,
        SimulatedTwilio(account, routes=routes) as twilio,
        serve_rest(twilio, host="0.0.0.0", port=REST_PORT),
    ):
        outcome = await Caller(twilio, follower, Speaker()).call(environment["CALLER"], FRESH)
    _tell(outcome, screen)
    return 1 if outcome.missing else 0


def _tell(outcome: Outcome, screen: Screen) -> None:
    screen.say(
        f"\n{outcome.call_id}: {outcome.seconds:.1f} s; {len(FRESH)} spoken turns,"
        f" {outcome.repeats} said again; answered after"
        f" {percentile(outcome.response_ms, 0.5):.0f} ms (median)"
    )
    for sentence in outcome.missing:
        screen.say(f"  missing: {sentence}", "bad")
    if not outcome.missing:
        screen.say("Every step of the call happened.", "good")


async def main(environment: Mapping[str, str]) -> int:
    """As `one_call`; SIGTERM cancels it (143), and what is not set is said (2)."""
    if missing := [name for name in NEEDED if not environment.get(name)]:
        Screen().say(f"not set: {', '.join(missing)}", "bad")
        return 2
    call = asyncio.ensure_future(one_call(environment))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, call.cancel)
    try:
        return await call
    except asyncio.CancelledError:
        return 143


if __name__ == "__main__":
    sys.exit(asyncio.run(main(os.environ)))
