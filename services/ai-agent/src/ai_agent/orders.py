"""What operators want of a running call, carried out (shell): each command in the stage that is on,
or refused with the reason. One at a time changes who speaks.

Made by the call runner, beside its stages; steering hands it the commands.
"""

import asyncio
import contextlib
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ai_agent.dialogue import Dialogue
from ai_agent.held_call import HeldCall
from ai_agent.operator_voice import OperatorVoice
from ai_agent.stage import DONE, ENDING
from ai_agent.talk_orders import NO_SESSION
from protocol import commands, subjects
from protocol.calls import CallDone, CallReply, TransferCall
from protocol.commands import Command, Refused, Reply
from protocol.errors import DecodeError
from protocol.events import AgentEvent, GivenBack, TakenOver
from runtime import clock, errors, logging
from runtime.assistant import somebody_there

_log = logging.get("orders")

WRITE_S = 0.8
"""How long the log may take for what must be in it before it is done."""
DIAL_S = 3.0
"""How long webhooks, and Twilio behind it, may take to put a caller through to another number."""
NOT_BEGUN = Refused("not_now", "this call has not begun yet: ask again")
NOT_WRITTEN = Refused("not_applied", "the log does not answer: nothing was changed")
SPEAKS = "an operator speaks in this call now: give it back first"


class Orders:
    """Of one call, as long as this worker has it."""

    def __init__(self, held: HeldCall) -> None:
        self._held = held
        self._voice = OperatorVoice(held, self._lapsed)
        self._one_by_one = asyncio.Lock()

    async def obey(self, command: Command) -> Reply:
        """Carry ``command`` out, or say why not. Raises StaleWriter, NatsAway."""
        if (wrong := _wrong(command)) is not None:
            return wrong
        at_once = isinstance(command, commands.HangUp) and command.now
        if self._held.ended and not at_once:
            return ENDING
        match command:
            case commands.UpdateSession():
                stage = self._held.stage
                return await stage.update(command) if isinstance(stage, Dialogue) else NO_SESSION
            case commands.Whisper():
                return await self._whisper(command)
            case commands.HangUp():
                return await self._hang_up(now=command.now)
            case commands.Say():
                return await self._say(command.text)
            case commands.Transfer():
                return await self._transfer(command.to)
            case commands.ChangeMode() | commands.TakeOver() | commands.GiveBack():
                async with self._one_by_one:
                    return await self._change(command)

    def go_on(self, operator: str) -> None:
        """The worker before was gone while ``operator`` spoke: the lease begins anew."""
        if operator and self._held.floor.take(operator) == "new":
            self._voice.begin()

    # -- what is told and said

    async def _whisper(self, asked: commands.Whisper) -> Reply:
        stage = self._held.stage
        if isinstance(stage, Dialogue):
            return await stage.whisper(asked.by, asked.text)
        return Refused("not_now", "the model is not in this call now: nobody would hear it")

    async def _say(self, text: str) -> Reply:
        if self._held.floor.muted:
            return Refused("not_now", SPEAKS)
        return NOT_BEGUN if self._held.stage is None else await self._held.stage.say(text)

    # -- how it ends

    async def _hang_up(self, *, now: bool) -> Reply:
        held = self._held
        await self._voice.end()
        if now:
            await held.line.clear()
        if held.ended:
            return DONE
        if now or held.stage is None:
            await held.end("hangup")
            return DONE
        return await held.stage.hang_up()

    async def _transfer(self, to: str | None) -> Reply:
        held, stage = self._held, self._held.stage
        if stage is None or not held.is_briefed:
            return NOT_BEGUN
        if to:
            return await self._dial(to)
        transfer = held.brief.assistant.transfer
        if not transfer.number:
            return Refused("not_allowed", "the assistant of this call names no human")
        if not somebody_there(
            transfer, clock.utc_now().astimezone(ZoneInfo(held.brief.assistant.time_zone))
        ):
            return Refused("not_now", "nobody is there to take the call at this hour")
        await self._voice.end()
        return await stage.transfer()

    async def _dial(self, to: str) -> Reply:
        """Another number than the profile's: webhooks knows whether it may be called."""
        held = self._held
        try:
            reply: CallReply = await held.worker.bus.request(
                subjects.calls("transfer"), TransferCall(held.id, to), CallReply, timeout=DIAL_S
            )
        except (errors.NoAnswer, errors.NatsAway, errors.Refused, DecodeError) as error:
            _log.warning("transfer not answered", call_id=held.id, kind=type(error).__name__)
            why = "webhooks did not answer: look at the call before you ask again"
            return Refused("not_applied", why)
        if isinstance(reply, CallDone):
            return DONE
        return Refused("not_allowed", reply.message)

    # -- who speaks

    async def _change(
        self, asked: commands.ChangeMode | commands.TakeOver | commands.GiveBack
    ) -> Reply:
        stage = self._held.stage
        if stage is None:
            return NOT_BEGUN
        match asked:
            case commands.TakeOver():
                return await self._take_over(asked.by)
            case commands.GiveBack():
                return await self._give_back(asked.by)
            case commands.ChangeMode():
                if self._held.floor.muted:
                    return Refused("not_now", SPEAKS)
                if asked.mode == "gate":
                    return Refused("not_allowed", "nobody is sent back to the gate")
                return await stage.change_mode(asked.mode)

    async def _take_over(self, by: str) -> Reply:
        held, stage = self._held, self._held.stage
        assert stage is not None, "the caller has looked"
        if held.floor.muted:
            if held.floor.take(by) == "taken":
                return Refused("taken", f"{held.floor.operator} speaks in this call now")
            held.floor.begin(clock.monotonic_ms())
            return DONE
        if (why := stage.refuses_operator()) is not None:
            return why
        held.floor.take(by)
        await stage.muted()
        fields = {"operator": by, "line_ms": held.audio.now_line_ms}
        if await self._written(TakenOver, fields):
            self._voice.begin()
            return DONE
        await self._return(by, "given_back", wait=False)
        return NOT_WRITTEN

    async def _give_back(self, by: str) -> Reply:
        speaks = self._held.floor.operator
        if not speaks:
            return Refused("not_now", "no operator speaks in this call")
        if speaks != by:
            return Refused("taken", f"{speaks} speaks in this call: only they can give it back")
        await self._voice.end()
        await self._return(by, "given_back")
        return DONE

    async def _lapsed(self, operator: str) -> None:
        with contextlib.suppress(errors.StaleWriter):
            await self._return(operator, "silent")

    async def _return(
        self, operator: str, reason: Literal["given_back", "silent"], *, wait: bool = True
    ) -> None:
        """It is the assistant's turn, and the log says so before its next words."""
        held = self._held
        held.floor.give_back(clock.monotonic_ms())
        fields = {"operator": operator, "line_ms": held.audio.now_line_ms, "reason": reason}
        if wait:
            await self._written(GivenBack, fields)
        else:
            held.record(GivenBack, fields)
        if held.stage is not None and not (held.ended or held.floor.muted):
            await held.stage.unmuted()

    async def _written(self, kind: type[AgentEvent], fields: dict[str, Any]) -> bool:
        """Whether the log has it in time. Raises StaleWriter."""
        return await self._held.written(kind, fields, WRITE_S) is not None


def _wrong(command: Command) -> Refused | None:
    """Why a command is refused whatever the call does."""
    update = isinstance(command, commands.UpdateSession)
    if not update and not command.by.strip():
        return Refused("nothing_asked", "it must say by whom it is asked")
    if len(command.by) > commands.BY_MAX:
        return Refused("too_long", f"by is longer than {commands.BY_MAX}")
    if isinstance(command, commands.Whisper | commands.Say):
        if not command.text.strip():
            return Refused("nothing_asked", "there are no words in it")
        if len(command.text) > commands.TEXT_MAX:
            return Refused("too_long", f"text is longer than {commands.TEXT_MAX}")
    return None
