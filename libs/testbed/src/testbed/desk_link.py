"""The way into the desk of a system on this machine: a one-time link for an operator of its own,
made by the same command that a person uses.
"""

import sys

from testbed.process import Process, StartError
from testbed.system import System

OPERATOR = "admin"


async def login_link(system: System) -> str:
    """A link that logs OPERATOR in, once, within 15 minutes. Raises StartError."""
    argv = [sys.executable, "-m", "dashboard.add_operator", OPERATOR, "--role", "admin"]
    env = {"DATABASE_URL": system.database_url, "DASHBOARD_URL": system.dashboard_url}
    process = Process("add-operator", argv, env=env)
    await process.start()
    if await process.wait() != 0:
        raise StartError(f"nobody can log in to the desk: {process.complaint()}")
    for line in process.lines:
        if line.startswith(f"{system.dashboard_url}/login#"):
            return line.strip()
    raise StartError(f"no link came from add_operator: {process.complaint()}")
