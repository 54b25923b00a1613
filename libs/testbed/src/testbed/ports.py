"""Free TCP ports on the loopback interface, for servers that must know their port beforehand.

Called by the embedded servers, the launcher and tests. It never keeps a port open: a port is
free when it is handed out, and is not handed out again by this process.
"""

import random
import socket
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 16_000
_DEFAULT_EPHEMERAL_START = 32_768
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_handed_out: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port at this moment."""
    with socket.socket() as probe:
        # Servers set it too: a port that only has old connections in TIME_WAIT is usable.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """One free port; see `free_ports`."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """`count` different free ports that this process has not handed out before.

    They lie below the range of outgoing connections where there is room: a client that tries to
    reach a stopped server on a port of that range can be given the very port as its own source,
    connects to itself, and the server cannot come back.
    """
    found: list[int] = []
    top = max(_ephemeral_start(), _LOWEST + 1)
    for candidate in random.sample(range(_LOWEST, top), min(top - _LOWEST, 200 + 4 * count)):
        if len(found) == count:
            break
        if candidate not in _handed_out and is_free(candidate):
            found.append(candidate)
            _handed_out.add(candidate)
    while len(found) < count:
        port = _port_from_the_system()
        if port not in _handed_out:
            found.append(port)
            _handed_out.add(port)
    return found


def _port_from_the_system() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _ephemeral_start() -> int:
    with suppress(OSError, ValueError):
        return int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    return _DEFAULT_EPHEMERAL_START
