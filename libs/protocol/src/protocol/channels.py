"""Every subject as data: what it carries, who sends and who receives it. The one table from which
the AsyncAPI document, the reference page and the NATS permissions are made.

``{name}`` in an address stands for one token. Functions that spell subjects are in subjects.
"""

from typing import Any, Literal, get_args

from msgspec import Struct

from protocol import callers, calls, commands, events, line, placement, subjects, todos

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


def channels() -> tuple[Channel, ...]:
    """All of them: the log, the events, the line, placement, services."""
    return (*_log(), *_LINE, _STEERING, *_PLACEMENT, *_SERVICES)


def writers() -> dict[type[events.Event], tuple[Role, ...]]:
    """Every event and the services that may write it."""
    unions: tuple[tuple[Role, tuple[type[events.Event], ...]], ...] = (
        (WEBHOOKS, get_args(events.WebhooksEvent)),
        (INGRESS, get_args(events.IngressEvent)),
        (AGENT, get_args(events.WorkerEvent)),
        (DESK, (events.OperatorActed,)),
    )
    found: dict[type[events.Event], tuple[Role, ...]] = {}
    for role, kinds in unions:
        for kind in kinds:
            found[kind] = (*found.get(kind, ()), role)
    return found


def _log() -> list[Channel]:
    made: list[Channel] = []
    for kind, roles in writers().items():
        name = events.name_of(kind)
        summary = " ".join((kind.__doc__ or f"``{name}`` happened.").split())
        made += (
            Channel(
                name=f"log.{name}",
                address=f"call.{{call}}.log.{name}",
                kind="log",
                summary=f"Written with an ack into the stream CALLS. {summary}",
                senders=roles,
                receivers=(),
                messages=(kind,),
            ),
            Channel(
                name=f"event.{name}",
                address=f"call.{{call}}.event.{name}",
                kind="event",
                summary=summary,
                senders=(),
                receivers=EVERYBODY,
                messages=(kind,),
            ),
        )
    return made


def _in(
    kind: str,
    message: type[Struct] | None,
    summary: str,
    receivers: tuple[Role, ...] = (AGENT, DESK, LISTENER),
) -> Channel:
    return Channel(
        name=f"in.{kind}",
        address=f"call.{{call}}.in.{{leg}}.{kind}",
        kind="message" if message else "audio",
        summary=summary,
        senders=(INGRESS,),
        receivers=receivers,
        messages=(message,) if message else (),
    )


def _out(kind: str, message: type[Struct] | None, summary: str) -> Channel:
    return Channel(
        name=f"out.{kind}",
        address=f"call.{{call}}.out.{{epoch}}.{kind}",
        kind="message" if message else "audio",
        summary=summary,
        senders=(AGENT,),
        receivers=(INGRESS, DESK, LISTENER),
        messages=(message,) if message else (),
    )


_LINE = (
    _in("audio", None, "What the caller says: raw mu-law 8 kHz, some 40 ms a message."),
    _in("clock", line.Clock, "Where on the line the next audio byte lies."),
    _in("dtmf", line.Dtmf, "A key; for the agent alone, because it may be a PIN.", (AGENT,)),
    _in("heard", line.Heard, "How much of an item the caller has heard."),
    _in("cleared", line.Cleared, "The answer to a clear."),
    _out("item", line.Item, "The audio that follows belongs to this item."),
    _out("audio", None, "What the assistant says: raw mu-law 8 kHz."),
    _out("done", line.ItemDone, "All audio of an item was sent."),
    _out("clear", line.Clear, "Drop what is unplayed."),
    _out("end", line.End, "Close the stream once the queued audio was heard."),
    Channel(
        name="live.transcript",
        address="call.{call}.live.transcript",
        kind="message",
        summary="Words so far, for screens. Lost ones do no harm.",
        senders=(AGENT,),
        receivers=(DESK, LISTENER),
        messages=(line.LiveTranscript,),
    ),
)


Sides = tuple[tuple[Role, ...], tuple[Role, ...]]
"""Who asks, who answers."""


def _request(
    name: str,
    address: str,
    summary: str,
    sides: Sides,
    message: type[Struct] | None,
    replies: tuple[type[Struct], ...],
) -> Channel:
    return Channel(
        name=name,
        address=address,
        kind="request",
        summary=summary,
        senders=sides[0],
        receivers=sides[1],
        messages=(message,) if message else (),
        replies=replies,
    )


_INGRESS_TO_AGENT: Sides = ((INGRESS,), (AGENT,))
_STEERING = _request(
    "command",
    "call.{call}.command",
    "Change a running call; a worker that does not hold it stays silent.",
    ((DESK,), (AGENT,)),
    commands.UpdateSession,
    get_args(commands.Reply),
)
_PLACEMENT = (
    Channel(
        name="agents.load",
        address=subjects.AGENTS_LOAD,
        kind="message",
        summary="What a worker says of itself every 250 ms.",
        senders=(AGENT,),
        receivers=(INGRESS, AGENT, DESK),
        messages=(placement.AgentLoad,),
    ),
    _request(
        "agent.assign",
        "agent.{worker}.assign",
        "Hold this call.",
        _INGRESS_TO_AGENT,
        placement.AssignCall,
        get_args(placement.AssignReply),
    ),
    _request(
        "agent.attach",
        "agent.{worker}.attach",
        "The call that you hold has a new line.",
        _INGRESS_TO_AGENT,
        placement.AttachCall,
        get_args(placement.AssignReply),
    ),
    _request(
        "agent.prepare",
        "agent.{worker}.prepare",
        "Be ready to take this call over.",
        ((AGENT,), (AGENT,)),
        placement.PrepareCall,
        get_args(placement.PrepareReply),
    ),
    _request(
        "agent.ping",
        "agent.{worker}.ping",
        "Do you hold these calls?",
        _INGRESS_TO_AGENT,
        placement.PingCalls,
        (placement.PingReply,),
    ),
    _request(
        "ingress.replay",
        "ingress.{ingress}.replay",
        "Ringed caller audio and keys of a span.",
        ((AGENT,), (INGRESS,)),
        placement.ReplayRequest,
        (placement.Replay,),
    ),
    Channel(
        name="ingress.alive",
        address="ingress.{ingress}.alive",
        kind="message",
        summary="Heartbeat of an ingress with the legs it holds.",
        senders=(INGRESS,),
        receivers=(WEBHOOKS, DESK),
        messages=(placement.IngressAlive,),
    ),
)


def _verb(
    area: str,
    verb: str,
    message: type[Struct],
    replies: Any,
    senders: tuple[Role, ...],
    receiver: Role,
) -> Channel:
    summary = " ".join((message.__doc__ or "").replace(f"``{area}.{verb}``", "").split())
    return _request(
        f"{area}.{verb}",
        f"{area}.{verb}",
        summary.lstrip(":. ") or f"The service {area}, {verb}.",
        (senders, (receiver,)),
        message,
        get_args(replies) or (replies,),
    )


_DESK: tuple[Role, ...] = (DESK,)
_SERVICES = (
    _request(
        "tools",
        "tools.{tool}",
        "A tool: the arguments as a JSON object in, a JSON object for the model out.",
        ((AGENT, DESK), (RUNNER, TOOLS)),
        None,
        (),
    ),
    _verb("todos", "list", todos.ListTodos, todos.TodoList, (DESK, AGENT), RUNNER),
    _verb("todos", "add", todos.AddTodo, todos.TodoReply, _DESK, RUNNER),
    _verb("todos", "change", todos.ChangeTodo, todos.TodoReply, _DESK, RUNNER),
    _verb("todos", "delete", todos.DeleteTodo, todos.TodoReply, _DESK, RUNNER),
    _verb("callers", "identify", todos.IdentifyCaller, todos.Caller, (DESK, AGENT), RUNNER),
    _verb("callers", "list", todos.ListCallers, todos.CallerList, _DESK, RUNNER),
    _verb("callers", "verify_pin", callers.VerifyPin, callers.PinVerdict, (AGENT,), RUNNER),
    _verb("callers", "pin_state", callers.PinState, callers.PinStanding, (AGENT, DESK), RUNNER),
    _verb("callers", "set_pin", callers.SetPin, callers.PinStanding, _DESK, RUNNER),
    _verb("callers", "admit", callers.AdmitCall, callers.Admission, (AGENT,), RUNNER),
    _verb("callers", "forget", callers.ForgetCaller, callers.CallerForgotten, _DESK, RUNNER),
    _verb("callers", "spend", callers.Spend, callers.DaySpend, (AGENT,), RUNNER),
    # Its own user may ask these two as well: commands beside webhooks do (call_me, place_call).
    _verb("calls", "place", calls.PlaceCall, calls.PlaceReply, (DESK, WEBHOOKS), WEBHOOKS),
    _verb("calls", "hang_up", calls.HangUpCall, calls.CallReply, (DESK, AGENT, WEBHOOKS), WEBHOOKS),
    _verb("calls", "transfer", calls.TransferCall, calls.CallReply, (DESK, AGENT), WEBHOOKS),
    _verb("calls", "redirect", calls.RedirectCall, calls.CallReply, (DESK, AGENT), WEBHOOKS),
    Channel(
        name="todo.changed",
        address="todo.{caller}.changed",
        kind="message",
        summary="A todo was added, changed, completed or deleted; a hint to look again.",
        senders=(RUNNER,),
        receivers=(AGENT, DESK, LISTENER),
        messages=(todos.TodoChanged,),
    ),
)
