# What smoke.sh, upgrade.sh and backup.sh say and ask alike. Sourced by them.
ok() { printf 'ok    %s\n' "$*"; }
fail() { printf 'FAIL  %s\n' "$*"; exit 1; }
is() { [ "$2" = "$3" ] && ok "$1" || fail "$1: ‘$2’ instead of ‘$3’"; }
container() { docker ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter "label=com.docker.compose.service=$1"; }
