#!/usr/bin/env bash
# The image and docker-compose.yml as an operator meets them: a fresh project, nothing edited. Needs Docker, curl and Node.
# Makes a compose project of its own and removes it again.
# COMPOSE names the program (default: docker compose), SMOKE_PORT the port that is published.
set -euo pipefail
cd "$(dirname "$0")/../.."

read -ra compose <<<"${COMPOSE:-docker compose}"
export COMPOSE_PROJECT_NAME=claviger-smoke CLAVIGER_PORT=${SMOKE_PORT:-3000}
unset ISSUER
work=$(mktemp -d)

compose() { "${compose[@]}" "$@"; }
cleanup() {
  local status=$?
  ((status == 0)) || compose logs --tail 20 || true
  compose --profile replicas down --volumes --timeout 5 >"$work/down" 2>&1 || cat "$work/down"
  rm -rf "$work"
}
trap cleanup EXIT

. test/container/checks.sh
in_server() { docker exec "$server" "$@"; }
field() { node -e 'const value = JSON.parse(require("fs").readFileSync(0, "utf8"))[process.argv[1]]; console.log(typeof value === "string" ? value : JSON.stringify(value))' "$1"; }
# post BASE PATH BODY: the reply's body, then its status in a line of its own
post() { curl -sS -H 'content-type: application/json' -H "host: localhost:$CLAVIGER_PORT" -w '\n%{http_code}' -d "$3" "$1$2"; }

compose up --build --wait -d
server=$(container claviger)
base=http://127.0.0.1:$CLAVIGER_PORT

echo '-- healthy, confined'
is 'the server is healthy' "$(docker inspect -f '{{.State.Health.Status}}' "$server")" healthy
is 'it runs as no root' "$(in_server id -u)" 1000
in_server sh -c 'echo x >/app/x || echo x >/var/lib/claviger/server/x || echo x >/home/node/x' 2>/dev/null && fail 'its file system can be written' || ok 'its file system is read-only'
in_server sh -c 'echo x >/tmp/x && rm /tmp/x' && ok '/tmp can be written'
is 'it has no capability' "$(in_server sh -c "grep -h CapEff /proc/[0-9]*/status | sort -u | tr -d '\t '")" CapEff:0000000000000000
in_server sh -c 'command -v npm || command -v curl || command -v gcc' && fail 'there are tools that nobody needs' || ok 'no npm, no curl, no compiler'
is 'it holds its bill of materials' "$(in_server node -p "JSON.parse(require('fs').readFileSync('/app/sbom.cdx.json', 'utf8')).bomFormat")" CycloneDX
is 'the compiled argon2 is what is loaded' "$(in_server node -e "require('argon2'); console.log(Object.keys(require.cache).find((path) => path.endsWith('.node')))")" /app/node_modules/argon2/build/Release/argon2.node
is 'the secret has one reader' "$(in_server stat -c '%u %a' /var/lib/claviger/server/claviger-secret)" '1000 400'
docker exec "$(container postgres)" sh -c 'cat /docker-entrypoint-initdb.d/claviger-secret || ls /var/lib/claviger' 2>/dev/null && fail 'the database can read the secret of the server' || ok 'the database has not the secret of the server'
as_superuser() { docker exec "$(container postgres)" psql -U postgres -d claviger -Atc "$1"; }
is 'neither role is a superuser' "$(as_superuser "SELECT string_agg(rolname || ' ' || rolsuper, ', ' ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'claviger%'")" 'claviger false, claviger_serve false'
is 'the tables belong to the owner' "$(as_superuser "SELECT string_agg(DISTINCT tableowner, ', ') FROM pg_tables WHERE schemaname = 'public'")" claviger
is 'the server is connected as the other role' "$(as_superuser "SELECT string_agg(DISTINCT usename, ', ') FROM pg_stat_activity WHERE application_name = 'claviger'")" claviger_serve
# as_server STATEMENT: what the database says to whoever has taken over the server
as_server() {
  in_server node --input-type=module -e '
    import { readFileSync } from "node:fs"
    import pg from "pg"
    const client = new pg.Client({ connectionString: readFileSync(process.env.DATABASE_URL_FILE, "utf8") })
    await client.connect()
    console.log(await client.query(process.argv[1]).then(() => "done", (error) => error.code))
    await client.end()' "$1"
}
for statement in "DELETE FROM audit" "UPDATE audit SET reason = null" "TRUNCATE audit" "DROP TABLE audit" "CREATE TABLE mine (id int)" "CREATE TEMPORARY TABLE mine (id int)"; do
  is "the server may not ‘$statement’" "$(as_server "$statement")" 42501
done
as_superuser "INSERT INTO audit (id, at, type, outcome, actor) SELECT gen_random_uuid(), now() - interval '366 days', 'login', 'success', 'user' FROM generate_series(1, 5)" >"$work/inserted"
in_server claviger prune >"$work/pruned"
is 'events past their retention are deleted' "$(as_superuser "SELECT count(*) FROM audit WHERE at < now() - interval '365 days'")" 0
is 'it may call for younger ones to be deleted' "$(as_server "SELECT audit_delete_old(now() + interval '10 years', 1000)")" done
is 'and none is' "$(as_superuser "SELECT count(*) > 0 FROM audit WHERE type = 'server.started'")" t
in_server sh -c 'cat /var/lib/claviger/database/*' 2>/dev/null && fail 'the server can read the secrets of the database' || ok 'the server has not the password of the owner'
docker inspect "$server" "$(container postgres)" >"$work/inspect"
for file in claviger-secret serving-url; do
  secret=$(in_server cat "/var/lib/claviger/server/$file")
  if grep -qF -- "$secret" "$work/inspect"; then fail "$file is in the metadata of a container"; fi
  if docker logs "$server" 2>&1 | grep -qF -- "$secret"; then fail "$file is in the log"; fi
done
ok 'no secret in metadata or log'
is 'the database is not published' "$(docker port "$(container postgres)" | wc -l | tr -d ' ')" 0

echo '-- accounts, sessions'
is 'registration is closed' "$(post "$base" /register '{"email":"b@example.com","password":"correct horse battery staple"}' | tail -n 1)" 403
printf 'correct horse battery staple\n' | docker exec -i "$server" claviger users create a@example.com && ok 'users create'
compose run --rm -T claviger users list 2>/dev/null | grep -q a@example.com && ok 'a command in a container of its own'
post "$base" /login '{"email":"a@example.com","password":"correct horse battery staple","client_id":"native"}' >"$work/reply"
is 'login' "$(tail -n 1 "$work/reply")" 200
token=$(head -n 1 "$work/reply" | field refresh_token)
# refresh BASE: rotates $token there
refresh() {
  post "$1" /refresh "{\"refresh_token\":\"$token\",\"client_id\":\"native\"}" >"$work/reply"
  [ "$(tail -n 1 "$work/reply")" = 200 ] || fail "refresh at $1: $(cat "$work/reply")"
  token=$(head -n 1 "$work/reply" | field refresh_token)
}
refresh "$base"
ok 'refresh'
keys=$(curl -sS "$base/.well-known/jwks.json")

echo '-- replicas'
compose --profile replicas up -d --wait --scale replica=2
for replica in $(container replica); do
  address=$(docker inspect -f '{{(index .NetworkSettings.Networks "'"$COMPOSE_PROJECT_NAME"'_default").IPAddress}}' "$replica")
  is 'a replica has the same keys' "$(curl -sS "http://$address:3000/.well-known/jwks.json")" "$keys"
  refresh "http://$address:3000"
  ok 'it refreshes the session'
  refresh "$base"
  ok 'and the first server goes on from there'
done
is 'the name leads to all servers' "$(in_server getent ahostsv4 claviger | cut -d ' ' -f 1 | sort -u | wc -l | tr -d ' ')" 3

echo '-- restarts'
compose restart
for _ in {1..60}; do curl -fsS "$base/readyz" >/dev/null 2>&1 && break || sleep 0.5; done
is 'the same keys' "$(curl -sS "$base/.well-known/jwks.json")" "$keys"
refresh "$base"
ok 'the session lives'
start=$(date +%s%N)
docker stop -t 30 "$server" >/dev/null
took=$((($(date +%s%N) - start) / 1000000))
((took < 5000)) && ok "an idle server stops in $took ms" || fail "stopping took $took ms"
is 'and ends by itself' "$(docker inspect -f '{{.State.ExitCode}}' "$server")" 0
compose --profile replicas down
compose up -d --wait
server=$(container claviger)
is 'the same keys after down and up' "$(curl -sS "$base/.well-known/jwks.json")" "$keys"
refresh "$base"
ok 'the session lives after down and up'

echo '-- several processes'
metric() { in_server node -e 'fetch("http://127.0.0.1:9464/metrics").then((reply) => reply.text()).then((text) => console.log(text.match(new RegExp(`^${process.argv[1]} (.+)$`, "m"))?.[1]))' "$1"; }
# eventually NAME COMMAND…: until that succeeds, for half a minute
eventually() {
  for _ in {1..60}; do if "${@:2}"; then ok "$1"; return; fi; sleep 0.5; done
  fail "$1"
}
serving() { [ "$(metric claviger_processes)" = "$1" ]; }
# workers: the ids of all that have served so far
workers() { docker logs "$server" 2>&1 | sed -n 's/.*"worker":\([0-9]*\),"msg":"a process serves".*/\1/p'; }
PROCESSES=auto compose up -d --wait
server=$(container claviger)
cores=$(in_server node -p 'os.availableParallelism()')
is 'one for each core is wanted' "$(metric claviger_processes_wanted)" "$cores"
PROCESSES=2 compose up -d --wait
server=$(container claviger)
eventually 'two serve' serving 2
refresh "$base"
ok 'the session lives'
for _ in 1 2 3 4; do post "$base" /login '{"email":"a@example.com","password":"correct horse battery staple","client_id":"native"}' >"$work/reply"; done
is 'one scrape tells of the sign-ins at both' "$(metric 'claviger_logins_total{outcome="success"}')" 4
in_server bash -c "kill -KILL $(workers | head -n 1)"
is 'one that is killed does not make the container unhealthy' "$(in_server /app/docker/healthcheck && echo healthy)" healthy
refresh "$base"
replaced() { [ "$(workers | wc -l)" = 3 ] && serving 2; }
eventually 'and is replaced' replaced
is 'nothing was restarted' "$(docker inspect -f '{{.RestartCount}}' "$server")" 0
compose stop
is 'all end by themselves' "$(docker inspect -f '{{.State.ExitCode}}' "$server")" 0
is 'the last word is theirs' "$(docker logs --tail 1 "$server" 2>&1 | field msg)" stopped
