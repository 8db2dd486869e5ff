"""`python -m tests.chaos`: kills, stalls, fills and misdates while pushes arrive, and looks what was lost."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import secrets
import sys
from pathlib import Path

import uvloop

from services.kernel.log import configure_logs
from tests.chaos.run import Result, run
from tests.chaos.schedule import Plan, schedule
from tests.chaos.stage import scratch_stage, staged


def main() -> None:
    """Runs, prints, and ends with 1 when something was lost or done twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--pushes", type=int, default=1000)
    parser.add_argument("--fixes", type=int, default=50, help="that are asked for meanwhile")
    parser.add_argument("--kills", type=int, default=2, help="of every process, of the broker and of the database")
    parser.add_argument(
        "--outage", type=float, default=30.0, help="seconds that broker and database stay away once"
    )
    parser.add_argument("--bus", choices=("kafka", "postgres"), default="kafka")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only-kills", action="store_true", help="no stalls, full disks and jumping clocks")
    parser.add_argument("--settle", type=float, default=300.0, help="seconds until all must have come to rest")
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder for logs and data, which stays")
    parser.add_argument("--schedule", action="store_true", help="print what would strike when, and end")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    plan = Plan(
        pushes=arguments.pushes,
        fixes=arguments.fixes,
        kills=arguments.kills,
        outage_seconds=arguments.outage,
        everything=not arguments.only_kills,
    )
    print(f"seed {seed}", file=sys.stderr, flush=True)
    if arguments.schedule:
        for stroke in schedule(plan, seed):
            print(f"{stroke.after:6} {stroke.fault}")
        return
    configure_logs(level="error")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_run(plan, seed, arguments.bus == "kafka", arguments.settle, arguments.keep))
    print(json.dumps(dataclasses.asdict(result), indent=2) if arguments.output == "json" else _table(result))
    sys.exit(0 if result.good else 1)


async def _run(plan: Plan, seed: int, kafka: bool, settle_seconds: float, keep: Path | None) -> Result:
    if keep is not None:
        keep.mkdir(parents=True)
    async with staged(keep, kafka=kafka) if keep is not None else scratch_stage(kafka=kafka) as stage:
        return await run(stage, plan, seed, settle_seconds=settle_seconds)


def _table(result: Result) -> str:
    facts = {
        "seed": result.seed,
        "pushes": result.plan.pushes,
        "seconds": f"{result.seconds}, the last {result.settling_seconds} of them to come to rest",
        "kills": _counts(result.kills),
        "faults": _counts(result.faults),
        "tasks": _counts(result.ends),
        "fixes": _counts(result.fixes),
        "notifications": f"{result.notifications}, repeated {result.repeated}",
        "unknown": _counts(result.unknown),
        "findings": f"{result.findings} open, told by {result.finding_events} messages",
    }
    lines = [f"{name + ':':15}{value}" for name, value in facts.items()] + [""]
    for name, found in result.broken.items():
        lines.append(f"{'holds' if not found else f'BROKEN {len(found)}':12}{name}")
        lines += [f"            {each}" for each in found[:8]]
    return "\n".join(lines)


def _counts(counts: object) -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


if __name__ == "__main__":
    main()
