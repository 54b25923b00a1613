"""Entry point of the process and of the console script ``stream-ingress``."""

from runtime import service
from stream_ingress import app
from stream_ingress.settings import Settings


def main() -> int:
    """Serve until a signal; the exit code of runtime.service.run."""
    return service.run(
        "stream-ingress",
        Settings,
        app.serve,
        admin_port=lambda settings: settings.ingress_admin_port,
        admin_setting="INGRESS_ADMIN_PORT",
    )


if __name__ == "__main__":
    raise SystemExit(main())
