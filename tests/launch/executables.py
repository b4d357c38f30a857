"""Executables that stand for a gateway's: they take its flags and serve the embedded gateway, or fail in their way."""

from __future__ import annotations

import sys
from pathlib import Path

SERVING = """
import json, os, pathlib, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
folder = pathlib.Path(flags["-app-dir"])
seen = {"argv": sys.argv[1:], "cwd": os.getcwd(), "pid": os.getpid(), "key": os.environ.get("TEST_UPSTREAM_KEY")}
seen |= {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
pathlib.Path(os.environ["SEEN_BY_EXECUTABLE"]).write_text(json.dumps(seen))
assert flags["-host"] == "127.0.0.1"
from bifrost_nb._simulator.serve import serve
serve(port=int(flags["-port"]), dialect=os.environ.get("TEST_DIALECT", "2.2"))
"""
CRASHING = """
import os, sys
print("starting", flush=True)
print("cannot open config: key", os.environ.get("TEST_UPSTREAM_KEY"), "is wrong", file=sys.stderr)
sys.exit(3)
"""
HANGING = """
import json, os, pathlib, time
pathlib.Path(os.environ["SEEN_BY_EXECUTABLE"]).write_text(json.dumps({"pid": os.getpid()}))
time.sleep(600)
"""
# The server behind it would take SIGTERM for itself; here it may not.
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal = lambda *_: None\n" + SERVING
# Of docker only what is used: `version`, `run --name N -p HOST:PORT:8080 -v FOLDER:/app/data ... IMAGE`, `rm`.
DOCKER = """
import json, os, pathlib, sys
with open(os.environ["SEEN_BY_DOCKER"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "version":
    print(os.environ.get("TEST_DOCKER_VERSION", "")); print("Cannot connect to the Docker daemon", file=sys.stderr)
    sys.exit(0 if os.environ.get("TEST_DOCKER_VERSION") else 1)
if sys.argv[1] == "run":
    folder = sys.argv[sys.argv.index("-v") + 1].removesuffix(":/app/data")
    port = sys.argv[sys.argv.index("-p") + 1].split(":")[1]
    assert pathlib.Path(folder, "config.json").exists()
    from bifrost_nb._simulator.serve import serve
    serve(port=int(port))
"""


def install(folder: Path, name: str, code: str) -> Path:
    """An executable `name` in `folder` that runs `code` with this interpreter."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path
