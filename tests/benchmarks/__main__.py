"""`python -m tests.benchmarks [NAME…]`: measures, and prints what came out."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import uvloop

from services.kernel.log import configure_logs
from tests.benchmarks import (
    advisories,
    against_trivy,
    complete_to_told,
    findings_stream,
    known_layers,
    large_layers,
    layer_reading,
    outbox_relay,
    push_beside_bulk,
    reevaluation,
    rule_matching,
    rule_runs,
    status_rpc,
    webhook_intake,
    webhook_to_scanning,
)
from tests.benchmarks.figures import Figure, Measure, Result
from tests.benchmarks.machine import machine_line

BENCHMARKS: Mapping[str, Measure] = MappingProxyType(
    {
        "status-rpc": status_rpc.measure,
        "webhook-to-scanning": webhook_to_scanning.measure,
        "webhook-intake": webhook_intake.measure,
        "complete-to-told": complete_to_told.measure,
        "known-layers": known_layers.measure,
        "push-beside-bulk": push_beside_bulk.measure,
        "reevaluation": reevaluation.measure,
        "findings-stream": findings_stream.measure,
        "layer-reading": layer_reading.measure,
        "large-layers": large_layers.measure,
        "rule-matching": rule_matching.measure,
        "rule-runs": rule_runs.measure,
        "outbox-relay": outbox_relay.measure,
        "advisories": advisories.measure,
        "against-trivy": against_trivy.measure,
    }
)
"""Each name and the one function behind it, in the order in which all are run."""


PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_GENERATED = re.compile(r"(<!-- begin: make bench -->\n).*(<!-- end: make bench -->\n)", re.DOTALL)


def main() -> None:
    """Runs what was named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--output", choices=("markdown", "json"), default="markdown")
    parser.add_argument("--record", action="store_true", help="put what came out of all into docs/benchmarks.md")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if arguments.record and arguments.names:
        parser.error("--record is for all of them together")
    configure_logs(level="error")
    machine = f"{machine_line()}.\n"
    found: dict[str, Result] = {}
    markdown = [machine]
    as_markdown = arguments.output == "markdown"
    if as_markdown:
        print(machine)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in arguments.names or BENCHMARKS:
            found[name] = runner.run(BENCHMARKS[name]())
            markdown.append(_section(name, found[name]))
            if as_markdown:
                print(markdown[-1], flush=True)
    if not as_markdown:
        print(_json(machine.strip(), found))
    if arguments.record:
        PAGE.write_text(recorded(PAGE.read_text(), "\n".join(markdown)))


def recorded(page: str, markdown: str) -> str:
    """Returns the page with the last run's figures replaced by these."""
    return _GENERATED.sub(lambda found: f"{found[1]}{markdown}{found[2]}", page)


def _section(name: str, result: Result) -> str:
    lines = [f"### {name}", "", result.question, ""]
    if result.figures:
        lines += ["| what | median | min to max | unit | bar |", "|---|---|---|---|---|"]
        lines += [*(_row(figure) for figure in result.figures), ""]
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    low, high = _number(min(figure.rounds)), _number(max(figure.rounds))
    spread = f"{low} to {high}" if len(figure.rounds) > 1 else ""
    return f"| {figure.what} | {_number(figure.median)} | {spread} | {figure.unit or 'ratio'} | {figure.bar} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _json(machine: str, results: Mapping[str, Result]) -> str:
    found = {name: dataclasses.asdict(result) for name, result in results.items()}
    return json.dumps({"machine": machine, "results": found}, indent=2)


if __name__ == "__main__":
    main()
