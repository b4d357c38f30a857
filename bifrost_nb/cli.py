"""The command line: ``bifrost-nb demo``, ``gate``, ``gateway``, ``runs export`` and ``trust``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BifrostError, ConfigurationError, LogError

if TYPE_CHECKING:
    from ._compare.comparison import Comparison
    from ._gate.gate import Gate

__all__ = ["main"]

DEMO_DEPLOYMENTS = ("azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct")
DEMO_PRODUCTS = ("a solar lamp", "a bicycle bell", "a rain barrel")
NOT_RUN = 3
"""Exit status of a gate that could not be held, which is neither failed (1) nor undecided (2)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 after an error of ours, 2 for a wrong command line, 130 after Ctrl-C.

    ``gate`` is 0 passed, 1 failed, 2 undecided, 3 for all else.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    gating = given[:1] == ["gate"]
    try:
        options = _parser().parse_args(given)
    except SystemExit as error:
        if gating and error.code == 2:
            return NOT_RUN
        raise
    try:
        return int(options.run(options) or 0)
    except BifrostError as error:
        print(f"bifrost-nb: {error}", file=sys.stderr)
        return NOT_RUN if gating else 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(prog="bifrost-nb", description="Compare deployments behind a Bifrost gateway.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(title="commands")

    demo = commands.add_parser("demo", help="stream and compare three deployments of the embedded gateway")
    demo.add_argument("--repeats", type=int, default=3, help="calls of each prompt and deployment (default 3)")
    demo.set_defaults(run=_demo)

    _add_gate(
        commands.add_parser("gate", help="hold a notebook's or script's comparison to rules: exit status 0, 1, 2")
    )

    gateway = commands.add_parser("gateway", help="serve the embedded gateway on this machine")
    gateway.add_argument("--port", type=int, default=8080, help="on the loopback address (default 8080; 0: a free one)")
    gateway.add_argument("--seed", type=int, default=0, help="decides texts, times and errors")
    gateway.add_argument(
        "--dialect",
        choices=("1.3", "1.4", "1.4.18", "1.5.1", "1.5", "2.0", "2.2"),
        default="2.2",
        help="which gateway to speak like",
    )
    gateway.add_argument("--speed", type=float, default=1.0, help="speed-up over a real provider")
    gateway.set_defaults(run=_gateway)

    runs = commands.add_parser("runs", help="the run log").add_subparsers(title="run log", required=True)
    export = runs.add_parser("export", help="write the log as .parquet, .csv or .jsonl")
    export.add_argument("path", type=Path)
    export.add_argument("--log", type=Path, help="another log file than the configured one")
    export.set_defaults(run=_export)

    trust = commands.add_parser("trust", help="let a folder's pyproject.toml choose address and run log")
    trust.add_argument("folder", type=Path, nargs="?", help="the project's folder (default: this one)")
    trust.add_argument("--remove", action="store_true", help="revoke the trust")
    trust.set_defaults(run=_trust)
    return parser


def _add_gate(gate: argparse.ArgumentParser) -> None:
    gate.description = (
        "Run FILE, a notebook or script, and hold the comparison that it leaves to the rules given, or take the gates "
        "that it leaves. Exit status: 0 passed, 1 failed, 2 undecided, 3 not run."
    )
    gate.add_argument("file", type=Path, metavar="FILE")
    gate.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="NAME=RULE",
        help="for example 'score=not worse by 0.02'; repeatable",
    )
    gate.add_argument("--candidate", help="the variant that is held to the rules")
    gate.add_argument("--baseline", help="a variant, or a report or Parquet file of an earlier comparison")
    gate.add_argument("--baseline-variant", help="the variant of that file")
    gate.add_argument("--confidence", type=float, default=0.95, help="one-sided (default 0.95)")
    gate.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary for a pull request")
    gate.add_argument("--report", type=Path, metavar="FILE", help="write the comparison's report (.html)")
    gate.set_defaults(run=_gate)


def _demo(options: argparse.Namespace) -> None:
    from . import Client, compare

    client = Client("demo")
    print("azure/gpt-35-turbo-instruct writes:\n")
    print("Once upon a time", end="", flush=True)
    with client.stream("azure/gpt-35-turbo-instruct", "Once upon a time", max_tokens=60) as stream:
        for piece in stream:
            print(piece, end="", flush=True)
    print("\n")
    comparison = compare(
        DEMO_DEPLOYMENTS,
        "Write a tagline for {{product}}.",
        inputs={"product": list(DEMO_PRODUCTS)},
        repeats=options.repeats,
        max_tokens=40,
        client=client,
        fresh=True,  # a second demo measures again instead of reading the log
    )
    print(comparison)
    kept = f"Every run is a line of {client.log.path}; bf.runs() reads it as a DataFrame."
    print("\nThe run log is off, so no run is kept." if client.log.path is None else f"\n{kept}")


def _gate(options: argparse.Namespace) -> int:
    from ._gate.gate_files import as_junit, as_markdown, write_text
    from ._notebook.run_file import run_file

    rules = _rules(options.rule)  # a wrong one is told before anything is sent
    gates = _gates(run_file(options.file), rules, options)
    for gate in gates.values():
        print(gate)
    if options.junit is not None:
        write_text(options.junit, as_junit(gates, options.file.name))
    if options.markdown is not None:
        write_text(options.markdown, as_markdown(gates))
    found = [gate.exit_status for gate in gates.values()]
    return 1 if 1 in found else max(found)


def _rules(given: Sequence[str]) -> dict[str, str | float]:
    rules: dict[str, str | float] = {}
    for one in given:
        name, equals, rule = one.partition("=")
        if not equals or not name.strip() or not rule.strip():
            raise ConfigurationError(f"{one!r} is no rule.", hint="Write NAME=RULE, for example p95_ms=1500.")
        if name.strip() in rules:  # the last alone would be held
            raise ConfigurationError(f"--rule {name.strip()} is given twice.", hint="A gate has one rule for a figure.")
        try:
            rules[name.strip()] = float(rule)
        except ValueError:
            rules[name.strip()] = rule.strip()
    return rules


def _gates(left: dict[str, Any], rules: dict[str, str | float], options: argparse.Namespace) -> dict[str, Gate]:
    """The gates that a file left, or that of its comparison and `rules`."""
    from ._compare.comparison import Comparison
    from ._gate.gate import Gate

    named = {name: value for name, value in left.items() if not name.startswith("_")}
    found = {name: value for name, value in named.items() if isinstance(value, Comparison)}
    comparison = found.get("comparison") or (next(iter(found.values())) if len(found) == 1 else None)
    if options.report is not None:
        _one(comparison, found, options.file).report(options.report)
    if rules:
        one = _one(comparison, found, options.file)
        name = next(name for name, value in found.items() if value is one)
        chosen = {key: getattr(options, key) for key in ("candidate", "baseline", "baseline_variant", "confidence")}
        if taken := rules.keys() & {*chosen, "self", "mixed", "seed"}:
            raise ConfigurationError(f"{taken.pop()!r} is no figure that a rule can be about.")
        arguments: dict[str, Any] = {**chosen, **rules}
        return {name: one.gate(**arguments)}
    gates = {name: value for name, value in named.items() if isinstance(value, Gate)}
    if not gates:
        raise ConfigurationError(
            f"{options.file.name} leaves no gate.",
            hint="Pass rules (--rule 'score=not worse by 0.02'), or let it end in found = comparison.gate(...).",
        )
    return gates


def _one(comparison: Comparison | None, found: dict[str, Any], file: Path) -> Comparison:
    if comparison is None:
        several = f"leaves several comparisons ({', '.join(found)})" if found else "leaves no comparison"
        raise ConfigurationError(f"{file.name} {several}.", hint="Call the one that counts `comparison`.")
    return comparison


def _gateway(options: argparse.Namespace) -> None:
    from ._simulator.serve import serve

    serve(port=options.port, seed=options.seed, dialect=options.dialect, speed=options.speed)


def _export(options: argparse.Namespace) -> None:
    from ._runs.log.log import RunLog, run_log

    if options.log is not None and not options.log.exists():  # an empty log, and an empty export over a full one
        raise LogError(f"There is no run log {options.log}.")
    log = run_log() if options.log is None else RunLog(options.log)
    log.export(options.path)
    print(f"{options.path}: the runs of {log.path}")


def _trust(options: argparse.Namespace) -> None:
    from ._project_file import distrust, trust
    from ._settings import project_file

    print((distrust if options.remove else trust)(project_file(options.folder)))


if __name__ == "__main__":
    sys.exit(main())
