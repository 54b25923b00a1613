"""Tells browsers on a planner page to look again when a todo of its caller was changed, by a call
or by another desk. What changed is asked of tool-runner; the message is only a hint.
"""

from typing import Protocol

from dashboard.sse import Hub, Message
from protocol import codec, subjects
from protocol.ids import CallerId
from protocol.todos import TodoChanged
from runtime.bus import Bus
from runtime.service import Shutdown

ALL = "planner"
LOOK_AGAIN = Message("todos", "look again")


def caller_topic(caller: CallerId) -> str:
    """The topic of one caller's planner."""
    return f"planner.{caller}"


class Hint(Protocol):
    """The part of a NATS message that is read here."""

    data: bytes


async def run(bus: Bus, hub: Hub, shutdown: Shutdown) -> None:
    """Pass hints on until ``shutdown``. After a reconnect everybody looks again: hints may have
    been missed.
    """

    async def changed(message: Hint) -> None:
        change = codec.decode(TodoChanged, message.data)
        hub.publish(caller_topic(change.caller_id), LOOK_AGAIN)

    hints = await bus.subscribe(subjects.ALL_TODO_CHANGES, changed)
    forget = bus.on_reconnect(lambda: hub.publish(ALL, LOOK_AGAIN))
    try:
        await shutdown.wait()
    finally:
        forget()
        await hints.stop()
