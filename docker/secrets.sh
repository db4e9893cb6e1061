#!/bin/sh
# Makes the secrets that docker-compose.yml asks for and puts them into .env of the current folder: once. What is there stays.
set -eu
umask 077
command -v openssl >/dev/null || { echo 'openssl is needed to make secrets: install it' >&2; exit 1; }

keep () { # NAME COMMAND…: a line NAME=<what the command prints>, unless there is one
  name=$1; shift
  if grep -q "^$name=." .env; then echo "$name is there already"; return; fi
  value=$("$@")
  [ -n "$value" ] || { echo "$name could not be made" >&2; exit 1; }
  printf '%s=%s\n' "$name" "$value" >> .env
  echo "$name was made"
}

# Access tokens are signed with it; the same for all gateways. Ed25519, PKCS#8, as one line.
signing_key () { openssl genpkey -algorithm ed25519 | base64 | tr -d '\n'; }
# Hexadecimal: nothing in it needs escaping in a URL.
password () { openssl rand -hex 24; }

[ -e .env ] || : > .env
[ -z "$(tail -c 1 .env)" ] || echo >> .env # a last line without its end
chmod 600 .env
keep JWT_PRIVATE_KEY signing_key
keep REDIS_PASSWORD password
keep POSTGRES_PASSWORD password
keep GRAFANA_PASSWORD password
