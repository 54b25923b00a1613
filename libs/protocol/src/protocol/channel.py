"""One subject as data: what it carries, who sends and who receives it. The table is in channels."""

from typing import Literal

from msgspec import Struct

Role = Literal[
    "webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard", "tools", "subscriber"
]
"""The five services; ``tools``: anybody's tool service; ``subscriber``: whoever only listens."""
Kind = Literal["log", "event", "message", "audio", "request"]
"""log: published with ack into the stream; event: republished by it; request: with a reply."""

WEBHOOKS: Role = "webhooks"
INGRESS: Role = "stream-ingress"
AGENT: Role = "ai-agent"
RUNNER: Role = "tool-runner"
DESK: Role = "dashboard"
TOOLS: Role = "tools"
LISTENER: Role = "subscriber"
SERVICES: tuple[Role, ...] = (WEBHOOKS, INGRESS, AGENT, RUNNER, DESK)
EVERYBODY: tuple[Role, ...] = (*SERVICES, TOOLS, LISTENER)


class Channel(Struct, frozen=True, kw_only=True):
    """One subject. ``messages`` are what it may carry (none: raw mu-law bytes, or a tool's own
    JSON), ``replies`` what answers a request.
    """

    name: str
    address: str
    kind: Kind
    summary: str
    senders: tuple[Role, ...]
    receivers: tuple[Role, ...]
    messages: tuple[type[Struct], ...] = ()
    replies: tuple[type[Struct], ...] = ()

    @property
    def pattern(self) -> str:
        """The address as a NATS wildcard."""
        return ".".join("*" if token.startswith("{") else token for token in self._tokens)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(token[1:-1] for token in self._tokens if token.startswith("{"))

    @property
    def _tokens(self) -> list[str]:
        return self.address.split(".")


Sides = tuple[tuple[Role, ...], tuple[Role, ...]]
"""Who asks, who answers."""


def request(
    name: str,
    address: str,
    summary: str,
    sides: Sides,
    messages: tuple[type[Struct], ...],
    replies: tuple[type[Struct], ...],
) -> Channel:
    """A channel of requests."""
    return Channel(
        name=name,
        address=address,
        kind="request",
        summary=summary,
        senders=sides[0],
        receivers=sides[1],
        messages=messages,
        replies=replies,
    )
