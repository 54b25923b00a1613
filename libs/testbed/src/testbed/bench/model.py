"""The model of the bench, in a process of its own: speaks the Realtime protocol, answers 3 s of
speech every 4 s in deltas of 200 ms, twice as fast as they are heard.

`python -m testbed.bench.model PORT talk|acts [CERT KEY]`: prints `ready`; measures from each line
`measure` on standard input to the next line `stop` and prints what came as JSON; ends with its
input. `acts`: every third turn calls a tool, every third is spoken over.
"""

import asyncio
import gc
import json
import ssl
import sys
from dataclasses import asdict

from picows import WSUpgradeRequest

from testbed.bench.ears import Ears, Heard
from testbed.bench.quantiles import quantiles
from testbed.bench.session import Session
from testbed.bench.sockets import serving
from testbed.lag import Lag


class Model:
    """All sessions of one run."""

    def __init__(self, acts: bool) -> None:
        self._ears = Ears(acts)
        self._lag = Lag()
        self._numbers = 0

    def session(self, _: WSUpgradeRequest) -> Session:
        """For a socket that was opened."""
        self._numbers += 1
        return Session(self._ears, self._numbers)

    async def run(self, lines: asyncio.StreamReader) -> None:
        """What was heard between each pair of words, until the input ends."""
        ears = self._ears
        while await lines.readline():
            ears.heard = Heard()
            ears.last_frame_ms.clear()
            ears.waited_ms.clear()
            ears.measuring = True
            self._lag.start()
            await lines.readline()
            ears.measuring = False
            print(json.dumps(asdict(self._finished())), flush=True)

    def _finished(self) -> Heard:
        heard = self._ears.heard
        heard.last_frame_ms = asdict(quantiles(self._ears.last_frame_ms))
        heard.waited_ms = asdict(quantiles(self._ears.waited_ms))
        heard.lag_p99_ms = quantiles(self._lag.late_ms).p99
        heard.sessions = self._ears.open
        heard.asked = self._ears.asked
        return heard


async def _main(port: int, acts: bool, certificate: list[str]) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    model = Model(acts)
    server = await serving(model.session, port, context)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    print("ready", flush=True)
    await model.run(lines)
    server.close()


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 50)
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2] == "acts", sys.argv[3:]))
