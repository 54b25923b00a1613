"""Commands to a running call (shell): heard as long as this worker holds it, obeyed beside the
call's stages, answered.

A worker that does not hold the call any more says nothing: the one that does will.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from ai_agent.held_call import HeldCall
from protocol import codec, subjects
from protocol.commands import Command, Refused, Reply
from protocol.errors import DecodeError
from runtime import logging
from runtime.bus import Message
from runtime.calllog import CallLog
from runtime.errors import NatsAway, StaleWriter

_log = logging.get("steering")

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
        if not await _holds(held):
            return
        reply = await _obeyed(obey, message.data)
        if isinstance(reply, Refused):
            _log.info("command refused", call_id=held.id, code=reply.code)
        if message.reply:
            await held.worker.bus.publish(message.reply, reply)
    except StaleWriter:
        held.watch.leave("stale")
    except NatsAway:
        _log.warning("command not answered", call_id=held.id)


async def _obeyed(obey: Obey, data: bytes) -> Reply:
    try:
        command = codec.decode(Command, data)
    except DecodeError as error:
        return Refused("unreadable", f"this is no command: {error}")
    return await obey(command)


async def _holds(held: HeldCall) -> bool:
    holder = await CallLog(held.worker.bus).last(held.id, "assigned")
    return not held.watch.over.is_set() and holder is not None and holder.sequence == held.epoch
