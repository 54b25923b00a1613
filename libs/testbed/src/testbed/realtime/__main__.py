"""`python -m testbed.realtime --port N`: the local voice model as a process of its own.

Started by the launcher when no OPENAI_API_KEY is set; needs the extra `testbed[voice]`. Prints
its base URL when it accepts sessions and ends at SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys

from testbed.realtime.host import Habits
from testbed.realtime.planner_mind import PlannerMind
from testbed.realtime.planner_speech import grammar
from testbed.realtime.server import RealtimeServer
from testbed.voice.hearing import Hearing
from testbed.voice.speaker import ASSISTANT_VOICE, Speaker


async def serve(host: str, port: int, api_key: str | None, processes: int, pace: float) -> None:
    """Serve until SIGINT or SIGTERM; OSError if the port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    speaker = Speaker()
    async with (
        Hearing(grammar(), processes=processes) as hearing,
        RealtimeServer(
            lambda: PlannerMind(hearing, speaker, ASSISTANT_VOICE),
            host=host,
            port=port,
            api_key=api_key,
            habits=Habits(pace=pace),
            record=False,
        ) as server,
    ):
        print(f"local voice model at {server.base_url}", flush=True)
        await stop.wait()


def main() -> int:
    """Parse arguments and serve; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m testbed.realtime", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 = a free one, printed")
    parser.add_argument("--api-key", help="accept only this bearer token (default: any)")
    parser.add_argument("--processes", type=int, default=1, help="recognizer processes")
    parser.add_argument("--pace", type=float, default=10.0, help="times real time for speech")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        asyncio.run(serve(given.host, given.port, given.api_key, given.processes, given.pace))
    except OSError as error:
        print(f"cannot listen on {given.host}:{given.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
