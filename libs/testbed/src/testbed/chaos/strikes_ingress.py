"""Faults of ingresses: deployed, and killed, with each thing that Twilio may do then."""

from testbed.chaos.moments import Kind
from testbed.chaos.run import Run
from testbed.chaos.strikes import Strikes, breathe, deployed
from testbed.twilio.faults import AfterStream


async def ingress_drain(run: Run) -> None:
    """SIGTERM of the ingress that has the call."""
    kinds: tuple[Kind, ...] = ("speaking", "owed")
    for kind in kinds:
        call_id = await run.moment(kind, 400)
        if not call_id:
            return
        await deployed(run, run.world.ingress_of(call_id), kind)


def ingress_crash(after: AfterStream, times: int = 2) -> Strikes:
    """SIGKILL of the ingress that has the call; `after`: what Twilio does then."""

    async def strike(run: Run) -> None:
        run.world.twilio.faults.after_loss = after
        kinds: tuple[Kind, ...] = ("speaking", "owed")
        for kind in kinds[:times]:
            call_id = await run.moment(kind, 400)
            victim = run.world.ingress_of(call_id) if call_id else ""
            if not victim:
                return
            over = run.struck(run.held_by(victim), kind)
            run.world.stack.processes[victim].kill()
            await run.world.stack.processes[victim].wait()
            over()
            await run.back(victim)
            await breathe(run)

    return strike
