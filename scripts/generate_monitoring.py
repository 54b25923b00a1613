"""Wraps deploy/monitoring/rules.yml as a PrometheusRule, for the Prometheus operator.

Run by `make generate`; ``--check`` changes nothing and says what is out of date. A test calls it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
RULES = Path("deploy/monitoring/rules.yml")
WRAPPED = Path("deploy/monitoring/prometheus-rule.yaml")
HEAD = """\
# Made by scripts/generate_monitoring.py from rules.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: trunkline
spec:
"""


def wrapped(rules: str) -> str:
    """``rules``, the text of a Prometheus rules file, as a resource of the operator."""
    lines = [line for line in rules.splitlines() if not line.startswith("#")]
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    made = wrapped((root / RULES).read_text("utf-8"))
    path = root / WRAPPED
    if path.is_file() and path.read_text("utf-8") == made:
        return 0
    if check:
        print(f"{WRAPPED} is out of date: run `make generate`", file=sys.stderr)  # noqa: T201
        return 1
    path.write_text(made, encoding="utf-8")
    print(f"{WRAPPED} written")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
