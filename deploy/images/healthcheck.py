"""Is the service of this container ready? Exit code 0 or 1, one line why not.

Run by Docker every few seconds, so it imports next to nothing and none of ours.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

ADMIN_PORTS = {
    "webhooks": ("WEBHOOKS_ADMIN_PORT", 9081),
    "stream-ingress": ("INGRESS_ADMIN_PORT", 9082),
    "ai-agent": ("AGENT_ADMIN_PORT", 9083),
    "tool-runner": ("TOOL_RUNNER_ADMIN_PORT", 9084),
    "dashboard": ("DASHBOARD_ADMIN_PORT", 9085),
}
"""Service -> the setting of its admin port and that setting's default."""


def main() -> int:
    """Ask /readyz of the service named by SERVICE."""
    env = os.environ  # noqa: TID251 -- none of ours may be imported here
    setting, port = ADMIN_PORTS[env["SERVICE"]]
    connection = HTTPConnection("127.0.0.1", int(env.get(setting) or port), timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        sys.stdout.write(answer.read(200).decode(errors="replace"))
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    raise SystemExit(main())
