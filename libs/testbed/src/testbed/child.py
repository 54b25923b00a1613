"""The last step before a child program runs: tie its life to the launcher's, then exec it.

`testbed.process` runs this file by path in a bare interpreter; nothing imports it. It is a program
and not a preexec_fn because code between fork and exec of a threaded parent may deadlock, and
because a change of user clears the parent-death signal, so the order below matters.
Arguments: death signal, launcher's pid, uid to run as (-1 = unchanged), program, its arguments.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    death_signal, launcher, uid = (int(argument) for argument in arguments[:3])
    argv = arguments[3:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != launcher:
            sys.exit(f"the launcher {launcher} is gone")
    # The interpreter ignores SIGPIPE, and what is ignored stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
