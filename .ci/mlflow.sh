#!/bin/sh
# All of MLflow in an environment of its own, for tests/tracking/test_mlflow_server.py; the extra of the package has what
# talks to a server and no server.
#
#   BIFROST_NB_MLFLOW=$(.ci/mlflow.sh) pytest tests/tracking
#
# Prints the path of the program. Nothing is done where it is complete; some 45 s of CPU and 850 MB else.
#
# BIFROST_NB_CACHE  where it is kept (default ~/.cache/bifrost-nb)
# PYTHON            interpreter to build with (default python3.11, else python3)
set -eu

version=3.17
target=${BIFROST_NB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bifrost-nb}/mlflow/$version
python=${PYTHON:-$(command -v python3.11 || command -v python3)}

if [ ! -e "$target/complete" ]; then
    rm -rf "$target"
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python "$python" "$target"
        uv pip install --quiet --compile-bytecode --python "$target/bin/python" "mlflow==$version.*"
    else
        "$python" -m venv "$target"
        "$target/bin/python" -m pip install --quiet "mlflow==$version.*"
    fi >&2
    touch "$target/complete"
fi
echo "$target/bin/mlflow"
