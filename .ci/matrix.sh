#!/bin/sh
# The suites that libraries and Python itself can break, on what users may have instead of the newest of everything:
#
#   lowest     every dependency at the lower bound that pyproject.toml states
#   pandas-2   the newest of everything else with pandas 2
#   newest     pandas 3 on the newest Python that is here, 3.13 or later
#
#   .ci/matrix.sh [name ...]      all of them, or those named; some 100 s of CPU for each
#   .ci/matrix.sh environments    make what all of them need, and run nothing
#
# An environment that is complete and was made for this pyproject.toml is used again. The package is installed editable
# for its dependencies' sake: `python -m pytest` puts the checkout under test first, so several checkouts can share one.
#
# BIFROST_NB_NO_SKIP  where set, a machine without such a Python is a failure; else that one is said and left out
# BIFROST_NB_CACHE  where environments are kept (default ~/.cache/bifrost-nb)
# PYTHON            interpreter of the first two (default python3.11, else python3)
set -eu
cd "$(dirname "$0")/.."

hash_of() { (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-12; }

cache=${BIFROST_NB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bifrost-nb}
dependencies=$(sed '/^\[tool\./,$d' pyproject.toml | hash_of) # settings of tools change no environment
folder=$cache/matrix/$dependencies
mkdir -p "$folder"

works() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

usual_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3; do
        if works "$candidate"; then command -v "$candidate"; return; fi
    done
    echo "There is no Python 3.11 or later; name one in PYTHON." >&2
    exit 1
}

newest_python() { # a shim of pyenv can be on PATH for a version that is not in use, so each is tried
    for minor in 15 14 13; do
        for candidate in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.$minor.*/bin/python; do
            if works "$candidate"; then command -v "$candidate"; return; fi
        done
    done
}

# Only uv resolves to lower bounds; it never fetches an interpreter here.
if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv=$cache/matrix/uv/bin/uv
    [ -x "$uv" ] || { "$(usual_python)" -m venv "$cache/matrix/uv" && "$cache/matrix/uv/bin/pip" install -q uv; } >&2
fi
export UV_PYTHON_DOWNLOADS=never

make_environment() { # name, interpreter, what to install
    target=$folder/$1
    python=$2
    shift 2
    [ "$(cat "$target/complete" 2>/dev/null)" = "$python" ] && return
    rm -rf "$target"
    "$uv" venv --quiet --python "$python" "$target"
    "$uv" pip install --quiet --compile-bytecode --python "$target/bin/python" "$@"
    echo "$python" >"$target/complete"
}

as_stated() { # whether lowest has what the package needs in the very releases that pyproject.toml states
    "$folder/lowest/bin/python" - <<'END'
import sys, tomllib
from importlib.metadata import version
from packaging.requirements import Requirement
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for line in project["dependencies"] + project["optional-dependencies"]["cluster"]:
    needed = Requirement(line)
    (bound,) = needed.specifier
    if not Requirement(f"{needed.name}=={bound.version}.*").specifier.contains(version(needed.name)):
        sys.exit(f"{line} is stated, but the lowest that can be installed is {version(needed.name)}")
END
}

run_tests() { # name, further options of pytest
    name=$1
    shift
    echo "== $name: $("$folder/$name/bin/python" -c 'import sys, pandas, numpy
print(f"Python {sys.version.split()[0]}, pandas {pandas.__version__}, NumPy {numpy.__version__}")')"
    # What deals with frames: all that pandas itself can break.
    set -- "$@" tests/runs/test_frame.py tests/runs/test_log.py tests/runs/test_hostile.py tests/charts \
        tests/compare/test_compare.py tests/compare/test_summary.py tests/compare/test_dataset.py \
        tests/compare/test_plan.py tests/notebook/magic/test_cells.py tests/notebook/widgets/test_grid.py
    # The rest asks no pandas, and beside it pandas-2 has what the README's test command has.
    [ "$name" = pandas-2 ] || set -- "$@" tests/wire tests/client/test_calls.py tests/test_public.py
    "$folder/$name/bin/python" -m pytest -q -p no:cacheprovider "$@"
}

lowest() { # makes the environment
    make_environment lowest "$(usual_python)" --resolution lowest-direct -e '.[test]'
    # The SDKs of the tests ask for more than the package does (pydantic), so what it needs is chosen again without.
    as_stated 2>/dev/null || "$uv" pip install --quiet --compile-bytecode --python "$folder/lowest/bin/python" \
        --upgrade --resolution lowest-direct -e '.[cluster]'
    as_stated
}

pandas_2() { make_environment pandas-2 "$(usual_python)" -e '.[test]' 'pandas<3'; }

newest() { # nothing where there is no such Python
    python=$(newest_python)
    [ -z "$python" ] || make_environment newest "$python" -e '.[test]' 'pandas>=3'
}

for name in ${*:-lowest pandas-2 newest}; do
    case $name in
    environments)
        lowest
        pandas_2
        newest
        ;;
    lowest)
        lowest
        # What was current then warns of what is current now.
        run_tests lowest -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning
        ;;
    pandas-2)
        pandas_2
        run_tests pandas-2
        ;;
    newest)
        newest
        if [ -z "$(newest_python)" ]; then
            echo "== newest: left out, since neither PATH nor pyenv has a Python 3.13 or later"
            [ -z "${BIFROST_NB_NO_SKIP:-}" ] || exit 1
            continue
        fi
        run_tests newest tests/kernels/test_nested.py::test_a_loop_in_a_running_loop
        ;;
    *)
        echo "There is no $name; it is lowest, pandas-2, newest or environments." >&2
        exit 2
        ;;
    esac
done
