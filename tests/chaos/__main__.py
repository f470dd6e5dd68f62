"""`python -m tests.chaos --seed 1 --faults 300 --brokers 1 --minutes 15 --json FILE`: exit code 1 when anything is wrong."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import table
from tests.chaos.run import Plan, run


def main() -> int:
    """Run as the arguments say; print the account; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=80.0, help="mentions a second")
    parser.add_argument("--workers", type=int, default=2, help="of each role")
    parser.add_argument("--only", action="append", default=[], help="a kind of fault; may be given several times")
    parser.add_argument("--json", type=Path, help="write the account here too")
    parser.add_argument("--keep", type=Path, help="use this new folder and keep logs and sources in it")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # who ends this ends its workers, too
    plan = Plan(given.seed, given.faults, given.brokers, given.minutes, given.rate, given.workers, tuple(given.only))
    with tempfile.TemporaryDirectory(prefix="earshot-chaos-", ignore_cleanup_errors=True) as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run(plan, folder, say=lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write(f"{table(result)}\n")
    if given.json:
        given.json.write_text(json.dumps({**dataclasses.asdict(result), "well": result.is_well}, indent=1), "utf-8")
    return 0 if result.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
