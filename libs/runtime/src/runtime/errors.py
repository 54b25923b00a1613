"""Errors meant for the operator of a service: one sentence that says what, where and what to do."""


class ServiceError(Exception):
    """Stops the service with exit code 1; its text is the one sentence shown, so it holds no
    personal data.
    """


class AskedToStop(Exception):
    """The process was asked to stop while it still waited for what it needs: an orderly end."""


class SettingsError(Exception):
    """Settings that cannot be used (exit code 2). ``problems`` has one sentence a variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NatsAway(Exception):
    """The bus has no connection to NATS right now; what was asked for did not happen."""


class NoAnswer(Exception):
    """A request got no reply: nobody listens (``nobody``), or not within its time."""

    def __init__(self, subject: str, *, nobody: bool) -> None:
        super().__init__(
            f"no answer on {subject}: " + ("nobody listens" if nobody else "timed out")
        )
        self.nobody = nobody


class Refused(Exception):
    """A service answered with an error (ADR-32 headers). ``code`` is HTTP-like."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description


class StaleWriter(Exception):
    """The log refused an event because a newer writer holds the call or the line: leave at once."""
