"""`python -m testbed.soak.child MODULE`: a service under the soak. At SIGUSR1 it gives back what it
does not use, so that what is left is what it holds.

Unchanged otherwise. Linux's C library is needed for the memory, not for anything else.
"""

import ctypes
import gc
import runpy
import signal
import sys
from types import FrameType

TIDY = signal.SIGUSR1


def tidy(_signal: int, _frame: FrameType | None) -> None:
    """Collect cycles, and return free memory to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


if __name__ == "__main__":
    signal.signal(TIDY, tidy)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
