"""``ai-agent`` and ``python -m ai_agent``."""

from ai_agent.app import serve
from ai_agent.settings import Settings
from runtime import service


def main() -> int:
    """Run until a signal; see runtime.service for the exit codes."""
    return service.run(
        "ai-agent",
        Settings,
        serve,
        admin_port=lambda settings: settings.agent_admin_port,
        admin_setting="AGENT_ADMIN_PORT",
    )


if __name__ == "__main__":
    raise SystemExit(main())
