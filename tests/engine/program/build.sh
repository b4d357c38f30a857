#!/usr/bin/env bash
# Builds the engines that are missing into ${BIFROST_NB_CACHE:-~/.cache/bifrost-nb}/engines/<version>/ and prints one path
# a line. A binary is rebuilt when the program, its pinned modules or the Go release change. Arguments: versions (all).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BIFROST_NB_CACHE:-$HOME/.cache/bifrost-nb}/engines
[ $# -gt 0 ] || set -- 1.4 1.5 1.7
# Where Go's own installer puts it, for shells that do not look there.
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { echo "Go is needed to build Bifrost's engine: https://go.dev/doc/install" >&2; exit 1; }
go=$(go env GOVERSION)
for version; do
    pins=$here/v$version
    [ -f "$pins/go.sum" ] || { echo "no pinned modules for engine $version in $here" >&2; exit 1; }
    key=$({ cat "$pins/go.mod" "$pins/go.sum" "$here"/*.go; echo "$go"; } | sha256sum | cut -c1-16)
    target=$cache/$version/bifrost-engine
    if [ ! -x "$target" ] || [ "$(cat "$target.key" 2>/dev/null)" != "$key" ]; then
        mkdir -p "$cache/$version"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        cp "$pins/go.mod" "$pins/go.sum" "$here"/*.go "$work/"
        # Under a name of its own until whole: two builds at once never hand out half a file.
        (cd "$work" && CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -ldflags=-s -p "${BIFROST_NB_JOBS:-2}" -o "$target.$$" .) >&2
        mv "$target.$$" "$target"
        printf %s "$key" >"$target.key"
        rm -rf "$work"
    fi
    echo "$target"
done
