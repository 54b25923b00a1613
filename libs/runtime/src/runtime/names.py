"""Names of processes that are safe as tokens of a NATS subject."""

import os
import re
import socket


def process_name(kind: str) -> str:
    """``<kind>-<host>-<pid>``, with what no token may hold replaced; unique among running
    processes.
    """
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:80]
    return f"{kind}-{host}-{os.getpid()}"
