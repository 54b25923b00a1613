"""What an amount of money may be, and which day it counts for. PURE. Called by the ledger."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal

from tool_runner.text import Invalid

MOST_USD = 100_000
"""Of one request; more is a mistake of the asker."""
_STEP = Decimal("1e-9")


def amount(usd: float) -> Decimal:
    """``usd`` as it is added up: exact, to 9 places. Raises Invalid unless it is 0 to MOST_USD."""
    if not math.isfinite(usd) or not 0 <= usd <= MOST_USD:
        raise Invalid("usd", f"usd must be from 0 to {MOST_USD}")
    return Decimal(repr(usd)).quantize(_STEP)


def day(now: datetime) -> date:
    """The UTC day of ``now``."""
    return now.astimezone(UTC).date()
