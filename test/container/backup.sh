#!/usr/bin/env bash
# Runs the commands of docs/operations.md, "Backup with Compose": a stack that is used, its backup, its end with all its
# volumes, and a new one from the backup. Needs Docker, curl and Node; the image of PostgreSQL must hold pg_dump of its version.
# COMPOSE and SMOKE_PORT as for smoke.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

read -ra compose <<<"${COMPOSE:-docker compose}"
export COMPOSE_PROJECT_NAME=claviger-backup CLAVIGER_PORT=${SMOKE_PORT:-3000} COMPOSE_FILE=$PWD/docker-compose.yml
export ISSUER=http://localhost:$CLAVIGER_PORT
operations=$PWD/docs/operations.md
work=$(mktemp -d)

compose() { "${compose[@]}" "$@"; }
# What the page says, with the program that is used here.
docker() { if [ "$1" = compose ]; then compose "${@:2}"; else command docker "$@"; fi; }
cleanup() {
  local status=$?
  ((status == 0)) || compose logs --tail 20 || true
  compose down --volumes --timeout 5 >"$work/down" 2>&1 || cat "$work/down"
  rm -rf "$work"
}
trap cleanup EXIT

. test/container/checks.sh
# block N: the lines of the page's Nth block of commands under that heading
block() { awk -v n="$1" '/^### /{here = /^### Backup with Compose$/} here && /^```/{inside = !inside; if (inside) count++; next} here && inside && count == n' "$operations"; }
# follow N: runs them as somebody would who has pasted them, but stops at the first that fails
follow() {
  block "$1" >"$work/commands"
  [ -s "$work/commands" ] || fail "the page has no block $1"
  sed 's/^/      $ /' "$work/commands"
  cd "$work"
  . "$work/commands"
  cd - >/dev/null
}
claviger() { docker exec -i "$(container claviger)" claviger "$@"; }
as_superuser() { docker exec "$(container postgres)" psql -U postgres -d claviger -Atc "$1"; }
field() { node -e 'console.log(JSON.parse(require("fs").readFileSync(0, "utf8"))[process.argv[1]])' "$1"; }
# post PATH BODY: the reply's body, then its status in a line of its own
post() { curl -sS -H 'content-type: application/json' -H "host: localhost:$CLAVIGER_PORT" -w '\n%{http_code}' -d "$2" "http://127.0.0.1:$CLAVIGER_PORT$1"; }
# login ADDRESS: prints a refresh token
login() { post /login "{\"email\":\"$1\",\"password\":\"correct horse battery staple\",\"client_id\":\"native\"}" | head -n 1 | field refresh_token; }
# refresh TOKEN: the reply's body, then its status
refresh() { post /refresh "{\"refresh_token\":\"$1\",\"client_id\":\"native\"}"; }
keys() { curl -sS "http://127.0.0.1:$CLAVIGER_PORT/.well-known/jwks.json"; }

echo '-- a stack that is used'
compose up --build --wait -d
for address in ada@example.com bob@example.com; do printf 'correct horse battery staple\n' | claviger users create "$address"; done
kept=$(login ada@example.com)
signed_out=$(login ada@example.com)
claviger users disable bob@example.com
published=$(keys)
events=$(as_superuser 'SELECT count(*) FROM audit')

echo '-- its backup'
follow 1
is 'nobody else can read it' "$(stat -c %a "$work/claviger.dump" "$work/claviger-secret" | sort -u)" 600
secret=$(cat "$work/claviger-secret")
if grep -qaF -- "$secret" "$work/claviger.dump"; then fail 'the secret is in the dump'; fi
is 'the secret is that of the server' "$secret" "$(docker exec "$(container claviger)" cat /var/lib/claviger/server/claviger-secret)"

echo '-- what happens after it is lost'
kept=$(refresh "$kept" | head -n 1 | field refresh_token)
kept=$(refresh "$kept" | head -n 1 | field refresh_token)
is 'a sign-out' "$(post /logout "{\"refresh_token\":\"$signed_out\"}" | tail -n 1)" 204
later=$(login ada@example.com)
compose down --volumes

echo '-- a new stack from the backup'
follow 2
is 'no server has run yet' "$(container claviger)" ''
follow 3
is 'the same keys' "$(keys)" "$published"
is 'the trail is there' "$(as_superuser "SELECT count(*) >= $events FROM audit")" t
is 'the tables belong to the owner' "$(as_superuser "SELECT string_agg(DISTINCT tableowner, ', ') FROM pg_tables WHERE schemaname = 'public'")" claviger
is 'the server is connected as the role that only serves' "$(as_superuser "SELECT string_agg(DISTINCT usename, ', ') FROM pg_stat_activity WHERE application_name = 'claviger'")" claviger_serve
is 'which may not delete from the trail' "$(as_superuser "SELECT has_table_privilege('claviger_serve', 'audit', 'DELETE')")" f
refresh "$kept" >"$work/reply"
is 'a session goes on with a token that the backup does not know' "$(tail -n 1 "$work/reply")" 200
is 'and an event says so' "$(as_superuser "SELECT count(*) FROM audit WHERE type = 'refresh.rolled_forward'")" 1
is 'one that began later is unknown' "$(refresh "$later" | tail -n 1)" 401
is 'one that was ended later is live again' "$(refresh "$signed_out" | tail -n 1)" 200
is 'whoever was disabled before still is' "$(post /login '{"email":"bob@example.com","password":"correct horse battery staple"}' | tail -n 1)" 401
login ada@example.com >/dev/null && ok 'passwords are as they were'
claviger sessions end --all --yes >/dev/null
is 'until all sessions are ended' "$(refresh "$(head -n 1 "$work/reply" | field refresh_token)" | tail -n 1)" 401
