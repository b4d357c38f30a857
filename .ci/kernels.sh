#!/bin/sh
# One environment per ipykernel version whose widget and interrupt behaviour differs, for tests/kernels.
#
#   BIFROST_NB_KERNELS=$(.ci/kernels.sh) pytest tests/kernels
#
# Prints the folder that holds ik-6.31, ik-7.3 and ik-7.4. Nothing is done for an environment that is complete and was
# made for this pyproject.toml. The package is installed editable for its dependencies' sake: the tests put the checkout
# under test first on the kernels' PYTHONPATH, so several checkouts can share one folder.
#
# BIFROST_NB_KERNELS  that folder (default: one for each list of dependencies, below BIFROST_NB_CACHE)
# BIFROST_NB_CACHE    where environments are kept (default ~/.cache/bifrost-nb)
# PYTHON              interpreter to build with (default python3.11, else python3)
set -eu
cd "$(dirname "$0")/.."

hash_of() { (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-12; }

cache=${BIFROST_NB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bifrost-nb}
dependencies=$(sed '/^\[tool\./,$d' pyproject.toml | hash_of) # settings of tools change no environment
folder=${BIFROST_NB_KERNELS:-$cache/kernels/$dependencies}
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
mkdir -p "$folder"

make_environment() { # version: an environment is complete when its marker says for what it was made
    target=$folder/ik-$1
    [ "$(cat "$target/complete" 2>/dev/null)" = "$dependencies" ] && return
    rm -rf "$target"
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python "$python" "$target"
        uv pip install --quiet --compile-bytecode --python "$target/bin/python" -e . "ipykernel==$1.*" "nest-asyncio2>=1.7"
    else
        "$python" -m venv "$target"
        "$target/bin/python" -m pip install --quiet -e . "ipykernel==$1.*" "nest-asyncio2>=1.7"
    fi
    echo "$dependencies" >"$target/complete"
}

for version in 6.31 7.3 7.4; do
    make_environment "$version" >&2
done
echo "$folder"
