#!/usr/bin/env bash
# docker-compose.yml over what an older version has left in the volumes: by default the last one in which a single role owned
# the tables and served. Needs Docker, curl, Node and the history of the repository.
# usage: upgrade.sh [REF]      COMPOSE and SMOKE_PORT as for smoke.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

read -ra compose <<<"${COMPOSE:-docker compose}"
export COMPOSE_PROJECT_NAME=claviger-upgrade CLAVIGER_PORT=${SMOKE_PORT:-3000}
export ISSUER=http://localhost:$CLAVIGER_PORT
ref=${1:-$(git log --diff-filter=A --format=%H -1 -- docker/make-roles.ts)^}
work=$(mktemp -d)

# in_older ARG…, in_present ARG…: compose with either version's file
in_older() { (cd "$work/older" && "${compose[@]}" "$@"); }
in_present() { "${compose[@]}" "$@"; }
cleanup() {
  local status=$?
  ((status == 0)) || in_present logs --tail 20 || true
  in_present down --volumes --timeout 5 >"$work/down" 2>&1 || cat "$work/down"
  rm -rf "$work"
}
trap cleanup EXIT

. test/container/checks.sh
as_superuser() { docker exec "$(container postgres)" psql -U postgres -d claviger -Atc "$1"; }
field() { node -e 'console.log(JSON.parse(require("fs").readFileSync(0, "utf8"))[process.argv[1]])' "$1"; }
post() { curl -sS -H 'content-type: application/json' -w '\n%{http_code}' -d "$2" "http://127.0.0.1:$CLAVIGER_PORT$1" -H "host: localhost:$CLAVIGER_PORT"; }
refresh() {
  post /refresh "{\"refresh_token\":\"$token\",\"client_id\":\"native\"}" >"$work/reply"
  [ "$(tail -n 1 "$work/reply")" = 200 ] || fail "refresh: $(cat "$work/reply")"
  token=$(head -n 1 "$work/reply" | field refresh_token)
}

mkdir "$work/older"
git archive "$ref" | tar -x -C "$work/older"
echo "-- $(git log -1 --format='%h %s' "$ref")"
in_older up --build --wait -d
printf 'correct horse battery staple\n' | docker exec -i "$(container claviger)" claviger users create a@example.com
post /login '{"email":"a@example.com","password":"correct horse battery staple","client_id":"native"}' >"$work/reply"
token=$(head -n 1 "$work/reply" | field refresh_token)
refresh
keys=$(curl -sS "http://127.0.0.1:$CLAVIGER_PORT/.well-known/jwks.json")
events=$(as_superuser 'SELECT count(*) FROM audit')
docker exec "$(container claviger)" sh -c 'cat /var/lib/claviger/server/database-url' >"$work/old-url" 2>/dev/null || : >"$work/old-url"

echo '-- the present one, with the same volumes'
in_present up --build --wait -d
refresh
ok 'the session lives'
is 'the same keys' "$(curl -sS "http://127.0.0.1:$CLAVIGER_PORT/.well-known/jwks.json")" "$keys"
is 'the trail is whole' "$(as_superuser "SELECT count(*) >= $events FROM audit")" t
is 'the server is connected as the role that only serves' "$(as_superuser "SELECT string_agg(DISTINCT usename, ', ') FROM pg_stat_activity WHERE application_name = 'claviger'")" claviger_serve
is 'which may not delete from the trail' "$(as_superuser "SELECT has_table_privilege('claviger_serve', 'audit', 'UPDATE, DELETE, TRUNCATE')")" f
is 'nor make temporary tables' "$(as_superuser "SELECT has_database_privilege('claviger_serve', 'claviger', 'TEMPORARY')")" f
if [ -s "$work/old-url" ]; then
  docker exec "$(container postgres)" psql "$(cat "$work/old-url")" -c 'SELECT 1' >"$work/old-role" 2>&1 && fail 'the password that the server had still opens the database as the owner' || ok 'the password that the server had is worth nothing'
  grep -q 'password authentication failed' "$work/old-role" || fail "$(cat "$work/old-role")"
fi
in_present up --wait -d
refresh
ok 'and once more, with nothing to do'
