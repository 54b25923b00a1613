"""POST /twilio/amd/<policy>: what answered a call that we placed. A machine is hung up on if the
policy, which travels in the signed address, says so.
"""

from starlette.responses import Response

from runtime import logging
from runtime.errors import NatsAway
from webhooks import answers, metrics, paths
from webhooks.calls import Calls
from webhooks.record import Record
from webhooks.signature import SignedForm

_log = logging.get("amd")

LOG_S = 2.0


class MachineAnswer:
    """The callback of asynchronous answering-machine detection."""

    def __init__(self, record: Record, calls: Calls) -> None:
        self._record = record
        self._calls = calls

    async def answer(self, form: SignedForm) -> Response:
        """Write ``machine_detected`` and do what the policy says: 204."""
        answered_by = form.get("AnsweredBy")[:32]
        took = form.get("MachineDetectionDuration")
        try:
            await self._record.machine_detected(
                form.call,
                answered_by,
                took_ms=int(took) if took.isascii() and took.isdigit() and len(took) < 9 else 0,
                timeout=LOG_S,
            )
        except NatsAway:
            metrics.log_away.labels("amd").inc()
            _log.warning("machine detection not written: the log is away", call_id=form.call)
        _log.info("answered by", call_id=form.call, answered_by=answered_by)
        if form.path.get(paths.POLICY) == "hang_up" and is_machine(answered_by):
            await self._calls.hang_up_on_machine(form.call)
        return answers.accepted()


def is_machine(answered_by: str) -> bool:
    """Twilio's words for a machine: machine_start, machine_end_*, fax. ``unknown`` is a person
    until proven otherwise.
    """
    return answered_by.startswith("machine") or answered_by == "fax"
