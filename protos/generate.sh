#!/bin/sh
# Generates protos/gen from the .proto files; `make protos` runs it, `make lint` fails when the result differs.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/protos/gen}
bin=$root/.venv/bin
rm -rf "$out/drydock"
mkdir -p "$out"
cd "$root/protos"
PATH=$bin:$PATH "$bin/python" -m grpc_tools.protoc -I . \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="$out" --mypy_grpc_out="$out" \
  $(find drydock -name '*.proto' | sort)
find "$out/drydock" -type d -exec touch {}/__init__.py \;
