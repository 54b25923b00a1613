"""Commands to a running call (shell): heard as long as this worker holds it, obeyed beside the
call's stages, answered.

A worker that does not hold the call any more says nothing: the one that does will. While it offers
the call to another one it waits for the outcome.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from ai_agent.held_call import HeldCall
from protocol import codec, subjects
from protocol.commands import Command, HangUp, Refused, Reply
from protocol.errors import DecodeError
from runtime import logging
from runtime.calllog import CallLog
from runtime.errors import NatsAway, StaleWriter
from runtime.subscribed import Message

_log = logging.get("steering")

LOG_S = 0.8
POLL_S = 0.02
OFFERED_POLLS = 60
"""How often the outcome of an offer is looked for: a little longer than an offer stands."""
LOG_AWAY = Refused("not_now", "the log does not answer: nothing was changed")
ON_ITS_WAY = Refused("not_now", "the call is being handed to another worker: ask again")

Obey = Callable[[Command], Awaitable[Reply]]


@contextlib.asynccontextmanager
async def steered(held: HeldCall, obey: Obey) -> AsyncGenerator[None]:
    """Hand every command on this call to ``obey`` during the block."""

    async def came(message: Message) -> None:
        held.tasks.isolate(_answer(held, obey, message), "command")

    subscribed = await held.worker.bus.subscribe(subjects.command(held.id), came)
    try:
        yield
    finally:
        await subscribed.stop()


async def _answer(held: HeldCall, obey: Obey, message: Message) -> None:
    try:
        command = _decoded(message.data)
        holds = await _holds(held)
        if holds is False:
            return
        if isinstance(command, Refused):
            reply = command
        elif holds is None and not isinstance(command, HangUp):
            reply = LOG_AWAY
        elif await _offered(held):
            reply = ON_ITS_WAY
        else:
            reply = await obey(command)
        if isinstance(reply, Refused):
            _log.info("command refused", call_id=held.id, code=reply.code)
        if message.reply:
            await held.worker.bus.publish(message.reply, reply)
    except StaleWriter:
        held.watch.leave("stale")
    except NatsAway:
        _log.warning("command not answered", call_id=held.id)


def _decoded(data: bytes) -> Command | Refused:
    try:
        command: Command = codec.decode_as(Command, data)
    except DecodeError as error:
        return Refused("unreadable", f"this is no command: {error}")
    return command


async def _offered(held: HeldCall) -> bool:
    """The call is offered to another worker, and was taken or is about to be."""
    for _ in range(OFFERED_POLLS):
        if not held.line.muted or held.watch.over.is_set():
            break
        await asyncio.sleep(POLL_S)
    return held.line.muted or held.watch.over.is_set()


async def _holds(held: HeldCall) -> bool | None:
    """None: the log does not say. Ending a call is safe even then, for nobody hears what a worker
    says that was overtaken.
    """
    try:
        async with asyncio.timeout(LOG_S):
            holder = await CallLog(held.worker.bus).last(held.id, "assigned")
    except (NatsAway, TimeoutError):
        return None if held.epoch and not held.watch.over.is_set() else False
    return not held.watch.over.is_set() and holder is not None and holder.sequence == held.epoch
