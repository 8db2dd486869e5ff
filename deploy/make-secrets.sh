#!/bin/sh
# Makes the secrets that compose.yaml reads, in `secrets` beside it; what is there already stays as it is.
set -eu
folder="$(dirname "$0")/secrets"
umask 077
mkdir -p "$folder"

make() {
    [ -s "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}

make database_password "$(openssl rand -hex 24)"
make database_url "postgresql://drydock:$(cat "$folder/database_password")@postgres:5432/drydock"
make secret_key "$(openssl rand -hex 32)"
make service_token "$(openssl rand -hex 32)"
make admin_token "ddk_$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n')"
# Containers get the files one by one and read them as users of their own; on this machine the folder is shut.
chmod 700 "$folder"
chmod 644 "$folder"/*
