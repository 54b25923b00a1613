"""The failures of the table: what each strikes, at which moments, and the target for its gap.

A row's strikes get the run and return when the last fault is over. At least half of the moments
lie where the assistant owes or speaks a reply; two are set: between `tool_called` and its result,
and between `assigned` and the first audio.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from testbed.chaos import (
    strikes,
    strikes_agent,
    strikes_ingress,
    strikes_openai,
    strikes_servers,
)
from testbed.chaos.run import Run
from testbed.chaos.world import Needs

INGRESSES = Needs(ingresses=2)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Gaps in ms; a target of None is printed and not judged.

    `apart`: the failure ends calls, or waits for something, by its nature: listed apart and judged
    by effects and voices alone. `honest`: a tool may fail honestly in place of its effect.
    """

    name: str
    says: str
    strike: Callable[[Run], Awaitable[None]]
    target_ms: float | None = None
    needs: Needs = field(default_factory=Needs)
    apart: bool = False
    honest: bool = False


ROWS = (
    Row("nothing", "nothing at all, once more", strikes.nothing),
    Row("agent-crash", "agent killed (SIGKILL)", strikes_agent.agent_crash, 2_000),
    Row("agent-freeze", "agent frozen for 6 s, wakes", strikes_agent.agent_freeze, 2_500),
    Row(
        "agent-cut-off",
        "agent cut off from NATS for 6 s",
        strikes_agent.agent_cut_off,
        2_500,
        Needs(relays=True),
    ),
    Row("agent-drain", "agent deployed (SIGTERM)", strikes_agent.agent_drain, 150),
    Row("openai-lost", "OpenAI session lost", strikes_openai.openai_lost, 1_500),
    Row("openai-text", "restored session answers in text", strikes_openai.openai_text),
    Row("openai-silent", "OpenAI session falls silent", strikes_openai.openai_silent),
    Row(
        "ingress-drain",
        "ingress deployed (handoff)",
        strikes_ingress.ingress_drain,
        1_500,
        INGRESSES,
    ),
    Row(
        "ingress-crash",
        "ingress killed, Twilio asks the action",
        strikes_ingress.ingress_crash("action"),
        needs=INGRESSES,
    ),
    Row(
        "ingress-crash-silent",
        "ingress killed, Twilio stays silent",
        strikes_ingress.ingress_crash("silent"),
        needs=INGRESSES,
    ),
    Row("nats-1s", "NATS gone for 1 s", strikes_servers.nats_gone(1, times=3), honest=True),
    Row("nats-10s", "NATS gone for 10 s", strikes_servers.nats_gone(10, times=1), honest=True),
    Row("postgres-away", "PostgreSQL away for 5 s", strikes_servers.postgres_away, honest=True),
    Row("webhooks-dies", "webhooks killed", strikes.killed("webhooks"), 150),
    Row("dashboard-dies", "dashboard killed", strikes.killed("dashboard"), 150),
    Row(
        "ingress-crash-next-verb",
        "ingress killed, Twilio goes to the next verb",
        strikes_ingress.ingress_crash("next_verb", times=1),
        needs=INGRESSES,
        apart=True,
    ),
    Row(
        "ingress-crash-hang-up",
        "ingress killed, Twilio hangs up",
        strikes_ingress.ingress_crash("hang_up", times=1),
        needs=INGRESSES,
        apart=True,
    ),
    Row(
        "nats-leader",
        "JetStream leader lost (three nodes)",
        strikes_servers.leader_lost,
        needs=Needs(cluster=True),
        apart=True,
        honest=True,
    ),
    Row(
        "nats-for-good",
        "NATS gone for good",
        strikes_servers.nats_for_good,
        apart=True,
        honest=True,
    ),
)
BY_NAME = {row.name: row for row in ROWS}


def chosen(names: str) -> tuple[Row, ...]:
    """The rows of a comma-separated list, in the table's order; all for "". KeyError for a name
    that is none.
    """
    wanted = [name for name in names.replace(" ", ",").split(",") if name]
    if unknown := set(wanted) - BY_NAME.keys():
        raise KeyError(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    return tuple(row for row in ROWS if not wanted or row.name in wanted)
