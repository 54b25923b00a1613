"""Dialling the human of a profile, or another number, in place of the assistant: the TwiML, what
follows the dialled call, and what the human is told first.
"""

from msgspec import Struct
from starlette.responses import Response

from protocol.ids import CallId
from runtime import clock, logging
from runtime.errors import NatsAway
from webhooks import metrics, paths, twiml
from webhooks.allowance import Allowance, Barred
from webhooks.answers import document
from webhooks.decision import after_dial
from webhooks.numbers import Parties, caller_id, parties
from webhooks.profiles import Profiles
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.signature import SignedForm
from webhooks.wishes import Wishes

_log = logging.get("humans")

RING_S = 25
LOG_S = 1.0
"""Seconds that the log may take; the caller hears silence meanwhile."""


class Target(Struct, frozen=True):
    """Who is dialled. ``whisper``: the profile whose words the human hears first; empty: none."""

    number: str
    ring_s: int = RING_S
    whisper: str = ""


class Humans:
    """Finds and dials people; ``ended`` and ``whisper`` are Twilio's webhooks around that."""

    def __init__(
        self, settings: Settings, profiles: Profiles, record: Record, wishes: Wishes
    ) -> None:
        self._base = settings.public_base
        self._limit_s = settings.outbound_call_s
        self._profiles = profiles
        self._record = record
        self._allowance = Allowance(settings, wishes)

    def warn(self) -> None:
        """Say once which profiles name a human who may not be dialled."""
        for profile in self._profiles.all():
            number = profile.transfer.number
            if number and (reason := self._allowance.refusal(number)) is not None:
                _log.warning(
                    "the human of a profile may not be dialled: callers are told that nobody is"
                    " there; allow the number's prefix or change the profile",
                    profile=profile.name,
                    key="transfer.number",
                    setting="OUTBOUND_PREFIXES",
                    reason=reason,
                )

    def target(self, called: str) -> Target | None:
        """The human of a called number, if somebody is there now."""
        found = self._profiles.human(called, clock.utc_now())
        if found is None:
            return None
        profile, transfer = found
        return Target(transfer.number, transfer.ring_s, profile.name if transfer.whisper else "")

    async def take(self, call: CallId, target: Target, *, counted: bool) -> Barred | None:
        """Count a dial of ``target`` unless ``counted``; why it must not be made, or None."""
        barred = await self._allowance.take(target.number, counted=counted)
        if barred is not None:
            _log.warning("human not dialled", call_id=call, reason=barred)
        return barred

    def dial(self, target: Target, who: Parties) -> str:
        """The TwiML that connects a call with ``target``, which must be allowed."""
        whisper = self._base + paths.whisper(target.whisper) if target.whisper else ""
        return twiml.dial(
            number=target.number,
            action=self._base + paths.DIAL_ENDED,
            ring_s=target.ring_s,
            limit_s=self._limit_s,
            caller_id=caller_id(who),
            whisper=whisper,
        )

    def nobody(self, called: str) -> str:
        """The TwiML for a caller whom no human can take over: a sentence and the end."""
        return twiml.say_goodbye(self._profiles.nobody(called))

    def net(self, form: SignedForm) -> str:
        """What a caller gets when we cannot serve the call: the human, or an apology. Without the
        log nothing of it is written, and only this process counts.
        """
        who = parties(form)
        target = self.target(who.called)
        if target is None:
            return twiml.apologise("unavailable")
        if (barred := self._allowance.take_here(target.number)) is not None:
            _log.warning("human not dialled", call_id=form.call, reason=barred)
            return twiml.apologise("unavailable")
        return self.dial(target, who)

    async def ended(self, form: SignedForm) -> Response:
        """POST /twilio/dial-ended, the action of ``<Dial>``: hang up, or say that nobody came."""
        status = form.get("DialCallStatus")[:32]
        decision = after_dial(status, call_status=form.get("CallStatus"))
        metrics.decisions.labels(type(decision).__name__).inc()
        _log.info("dial ended", call_id=form.call, dial_status=status)
        try:
            await self._record.dial_ended(
                form.call,
                form.get("DialCallSid")[:64],
                status=status,
                duration_s=_seconds(form.get("DialCallDuration")),
                reason=decision.reason,
                timeout=LOG_S,
            )
        except NatsAway:
            # The status callback says the end again.
            metrics.log_away.labels("dial-ended").inc()
            _log.warning("end of dial not written: the log is away", call_id=form.call)
        if decision.answered or decision.over:
            return document(twiml.hang_up())
        return document(self.nobody(parties(form).called))

    async def whisper(self, form: SignedForm) -> Response:
        """POST /twilio/whisper/<profile>: said to the human before they are joined."""
        profile = self._profiles.named(form.path.get(paths.PROFILE, ""))
        return document(twiml.say(profile.transfer.whisper if profile is not None else ""))


def _seconds(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
