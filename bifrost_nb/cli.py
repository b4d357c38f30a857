"""The command line: ``bifrost-nb demo``, ``bifrost-nb gateway``, ``bifrost-nb runs export``, ``bifrost-nb trust``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import BifrostError

__all__ = ["main"]

DEMO_DEPLOYMENTS = ("azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct")
DEMO_PRODUCTS = ("a solar lamp", "a bicycle bell", "a rain barrel")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 after an error of ours, 2 for a wrong command line, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except BifrostError as error:
        print(f"bifrost-nb: {error}", file=sys.stderr)
        return 1
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

    gateway = commands.add_parser("gateway", help="serve the embedded gateway on this machine")
    gateway.add_argument("--port", type=int, default=8080, help="on the loopback address (default 8080; 0: a free one)")
    gateway.add_argument("--seed", type=int, default=0, help="decides texts, times and errors")
    gateway.add_argument(
        "--dialect", choices=("1.3", "1.4", "1.5", "2.0", "2.2"), default="2.2", help="which gateway to speak like"
    )
    gateway.add_argument("--speed", type=float, default=1.0, help="so many times quicker than a real provider")
    gateway.set_defaults(run=_gateway)

    runs = commands.add_parser("runs", help="the run log").add_subparsers(title="run log", required=True)
    export = runs.add_parser("export", help="write the log as .parquet, .csv or .jsonl")
    export.add_argument("path", type=Path)
    export.add_argument("--log", type=Path, help="another log file than the configured one")
    export.set_defaults(run=_export)

    trust = commands.add_parser("trust", help="let a folder's pyproject.toml choose address and run log")
    trust.add_argument("folder", type=Path, nargs="?", help="the project's folder (default: this one)")
    trust.add_argument("--remove", action="store_true", help="no longer")
    trust.set_defaults(run=_trust)
    return parser


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
    print(f"\nEvery run is a line of {client.log.path}; bf.runs() reads it as a DataFrame.")


def _gateway(options: argparse.Namespace) -> None:
    from ._simulator.serve import serve

    serve(port=options.port, seed=options.seed, dialect=options.dialect, speed=options.speed)


def _export(options: argparse.Namespace) -> None:
    from ._runs.log.log import RunLog, run_log

    log = run_log() if options.log is None else RunLog(options.log)
    log.export(options.path)
    print(f"{options.path}: the runs of {log.path}")


def _trust(options: argparse.Namespace) -> None:
    from ._project_file import distrust, trust
    from ._settings import project_file

    print((distrust if options.remove else trust)(project_file(options.folder)))


if __name__ == "__main__":
    sys.exit(main())
