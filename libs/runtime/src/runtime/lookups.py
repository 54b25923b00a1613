"""The threads in which the loop looks names up (its default executor), and an end that does not
wait for them.

A resolver that gets no answer holds its thread for half a minute, nothing can interrupt it, and
both asyncio and the interpreter wait for such threads at their end. A stopping process must not:
its grace would run out with everything else done.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from runtime import logging
from runtime.clock import monotonic_ms

_log = logging.get("lookups")

LAST_MS = 500
"""ms that threads without work are given to end by themselves."""


class Lookups(ThreadPoolExecutor):
    """``use`` it in the loop, ``leave`` with it at the very end of the process."""

    def use(self) -> None:
        """Make it the running loop's default executor. Only look-ups may run in that: what must be
        finished has threads of its own.
        """
        asyncio.get_running_loop().set_default_executor(self)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further work; never waits."""
        super().shutdown(wait=False, cancel_futures=True)

    def leave(self, code: int) -> int:
        """``code``, if no look-up runs; otherwise the process ends with it here and now."""
        self.shutdown()
        until = monotonic_ms() + LAST_MS
        for thread in tuple(self._threads):
            thread.join(max(0, until - monotonic_ms()) / 1000)
        if not any(thread.is_alive() for thread in self._threads):
            return code
        _log.warning("a name is still being looked up: left without waiting for it")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
