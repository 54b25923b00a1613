"""Every subject as data: what it carries, who sends and who receives it. The one table from which
the AsyncAPI document, the reference page and the NATS permissions are made.

``{name}`` in an address stands for one token. Functions that spell subjects are in subjects.
"""

from typing import Any, get_args

from msgspec import Struct

from protocol import callers, calls, commands, events, line, placement, subjects, todos
from protocol.channel import (
    AGENT,
    DESK,
    EVERYBODY,
    INGRESS,
    LISTENER,
    RUNNER,
    TOOLS,
    WEBHOOKS,
    Channel,
    Role,
    Sides,
    request,
)


def channels() -> tuple[Channel, ...]:
    """All of them: the log, the events, the line, placement, services."""
    return (*_log(), *_LINE, *_STEERING, *_PLACEMENT, *_SERVICES)


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
    _out("ear", line.OpenEar, "The call may be listened to, or is to be recorded, from here on."),
    Channel(
        name="ear",
        address="call.{call}.ear.{track}",
        kind="audio",
        summary="What was really said (caller) and heard (assistant): raw mu-law 8 kHz in blocks "
        "of 200 ms, header Trunkline-Line-Ms. Only while somebody listens or it is recorded.",
        senders=(INGRESS,),
        receivers=(DESK, LISTENER),
    ),
    Channel(
        name="recording",
        address="call.{call}.recording.{track}",
        kind="audio",
        summary="The same of a recorded call, into the stream RECORDINGS, which republishes it as "
        "ear.",
        senders=(INGRESS,),
        receivers=(),
    ),
    Channel(
        name="operator.audio",
        address="call.{call}.operator.audio",
        kind="audio",
        summary="The voice of an operator who took the call over: raw mu-law 8 kHz, 20 ms a "
        "message, silence too.",
        senders=(DESK,),
        receivers=(AGENT,),
    ),
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


_INGRESS_TO_AGENT: Sides = ((INGRESS,), (AGENT,))
_STEERING = (
    request(
        "command",
        "call.{call}.command",
        "Change a running call; a worker that does not hold it stays silent.",
        ((DESK,), (AGENT,)),
        get_args(commands.Command),
        get_args(commands.Reply),
    ),
    request(
        "listen",
        "call.{call}.listen",
        "Let the ear tracks of a call flow for the next seconds; the ingress that holds its line "
        "answers.",
        ((DESK, LISTENER), (INGRESS,)),
        (line.Listen,),
        get_args(line.ListenReply),
    ),
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
    request(
        "agent.assign",
        "agent.{worker}.assign",
        "Hold this call.",
        _INGRESS_TO_AGENT,
        (placement.AssignCall,),
        get_args(placement.AssignReply),
    ),
    request(
        "agent.attach",
        "agent.{worker}.attach",
        "The call that you hold has a new line.",
        _INGRESS_TO_AGENT,
        (placement.AttachCall,),
        get_args(placement.AssignReply),
    ),
    request(
        "agent.prepare",
        "agent.{worker}.prepare",
        "Be ready to take this call over.",
        ((AGENT,), (AGENT,)),
        (placement.PrepareCall,),
        get_args(placement.PrepareReply),
    ),
    request(
        "agent.ping",
        "agent.{worker}.ping",
        "Do you hold these calls?",
        _INGRESS_TO_AGENT,
        (placement.PingCalls,),
        (placement.PingReply,),
    ),
    request(
        "ingress.replay",
        "ingress.{ingress}.replay",
        "Ringed caller audio and keys of a span.",
        ((AGENT,), (INGRESS,)),
        (placement.ReplayRequest,),
        (placement.Replay,),
    ),
    request(
        "ingress.close",
        "ingress.{ingress}.close",
        "Close a leg with an intent: how browser calls are steered.",
        ((WEBHOOKS,), (INGRESS,)),
        (placement.CloseLeg,),
        get_args(placement.CloseReply),
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
    return request(
        f"{area}.{verb}",
        f"{area}.{verb}",
        summary.lstrip(":. ") or f"The service {area}, {verb}.",
        (senders, (receiver,)),
        (message,),
        get_args(replies) or (replies,),
    )


_DESK: tuple[Role, ...] = (DESK,)
_SERVICES = (
    request(
        "tools",
        "tools.{tool}",
        "A tool: the arguments as a JSON object in, a JSON object for the model out.",
        ((AGENT, DESK), (RUNNER, TOOLS)),
        (),
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
    _verb("calls", "browser_phone", calls.BrowserPhone, calls.BrowserPhoneReply, _DESK, WEBHOOKS),
    _verb("calls", "open_browser_call", calls.OpenBrowserCall, calls.OpenReply, _DESK, WEBHOOKS),
    _verb(
        "calls", "stream_ended", calls.BrowserStreamEnded, calls.StreamEndedReply, _DESK, WEBHOOKS
    ),
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
