"""The PIN part of the service ``callers.*``: verify_pin, pin_state and set_pin. Asked by agents at
the gate and by the desk. Digits are compared and forgotten: never logged, stored or said in an
error.
"""

from collections.abc import Callable
from datetime import datetime

from protocol import ids, subjects
from protocol.callers import PinLocked, PinStanding, PinState, PinVerdict, SetPin, VerifyPin
from protocol.errors import InvalidToken
from runtime import clock
from runtime.errors import Refused
from runtime.micro import Endpoint, Request, json_handler
from tool_runner import metrics
from tool_runner.callers.repository import Callers
from tool_runner.callers.rules import number as stored_number
from tool_runner.database import Database
from tool_runner.pins import rules
from tool_runner.pins.hasher import Hasher
from tool_runner.pins.repository import Pins
from tool_runner.text import Invalid

WITHIN_S = 5.0


class Gate:
    """Answers for PINs from ``database``; ``now`` is the clock of the lock-outs."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        now: Callable[[], datetime] = clock.utc_now,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._now = now

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of the service, for runtime.micro."""
        handlers = {
            "verify_pin": json_handler(VerifyPin, self.verify),
            "pin_state": json_handler(PinState, self.state),
            "set_pin": json_handler(SetPin, self.set),
        }
        return [Endpoint(verb, subjects.callers(verb), work) for verb, work in handlers.items()]

    async def verify(self, asked: VerifyPin, _: Request) -> PinVerdict:
        """Count the guess and judge it; what is no PIN is wrong. A guess while the number is
        locked out, or past the call's tries, is counted and not compared.

        Raises Refused: 400 for a bad number, call or key, 409 for a key of another guess, 503 and
        504 as the database does. Repeat it under the same key then.
        """
        number = _number(asked.number)
        try:
            ids.call_id(asked.call)
            ids.token(asked.key)
        except InvalidToken as error:
            raise Refused(400, f"call or key cannot be used: {error}") from error
        async with self._database.transaction(WITHIN_S) as connection:
            guess = await Pins(connection).claim(asked, number, self._now())
        verdict = guess.verdict
        if verdict is None:
            hash = None if guess.holder is None else guess.holder.hash
            right = await self._hasher.matches(hash, rules.pin(asked.digits))
            async with self._database.transaction(WITHIN_S) as connection:
                verdict = await Pins(connection).settle(guess, right=right)
        if guess.lock_s and isinstance(verdict, PinLocked):
            metrics.pin_lockouts.labels(str(guess.lock_s)).inc()
        metrics.pin_verdicts.labels(str(verdict.__struct_config__.tag)).inc()
        return verdict

    async def state(self, asked: PinState, _: Request) -> PinStanding:
        """Has the number a PIN, may it try? Raises Refused(400) for an empty or overlong number."""
        number = _number(asked.number)
        async with self._database.transaction(WITHIN_S) as connection:
            return await Pins(connection).standing(number, self._now())

    async def set(self, asked: SetPin, _: Request) -> PinStanding:
        """Set or remove a caller's PIN; failures and lock-out of the number are forgotten.

        Raises Refused: 400 when it is no PIN, 404 when there is no such caller.
        """
        pin = None if asked.digits is None else rules.pin(asked.digits)
        if pin is None and asked.digits is not None:
            raise Refused(400, "a PIN is 4 to 8 digits")
        hash = None if pin is None else await self._hasher.hash(pin)
        async with self._database.transaction(WITHIN_S) as connection:
            caller = await Callers(connection).get(asked.caller_id)
            if caller is None:
                raise Refused(404, "there is no such caller")
            pins = Pins(connection)
            await pins.keep(caller, hash)
            return await pins.standing(caller.number, self._now())


def _number(text: str) -> str:
    try:
        return stored_number(text)
    except Invalid as error:
        raise Refused(400, error.message) from error
