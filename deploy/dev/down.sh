#!/usr/bin/env bash
# Stops what up.sh started; with --wipe it also removes all of its data and secrets. Run by `make dev-down`.
set -euo pipefail
. "$(dirname "$0")/common.sh"
[ -d "$dir" ] || { say "nothing runs in $dir"; exit 0; }
exec 9> "$dir/.lock"
flock 9

# stop NAME PIDFILE WORD: asks the process to end and waits until it has.
stop() {
  local pid i
  pid=$(ours "$2" "$3") || { rm -f "$2"; return 0; }
  kill "$pid"
  for i in $(seq 200); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$2"; say "$1 stopped"; return 0; }
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$2"
  say "$1 did not end within 20 s and was killed"
}

stop MinIO "$dir/minio/pid" "$dir/minio/data"
stop Redis "$dir/redis/pid" redis-server
if "${as_postgres[@]}" "$pg/pg_ctl" -D "$dir/postgres/data" status > /dev/null 2>&1; then
  "${as_postgres[@]}" "$pg/pg_ctl" -D "$dir/postgres/data" -m fast -w -t 60 stop > /dev/null
  say "PostgreSQL stopped"
fi
if [ "${1:-}" = --wipe ]; then
  rm -rf "${dir:?}/postgres" "$dir/redis" "$dir/minio" "$dir/secret" "$dir/env" "$dir/kek"
  say "data and secrets removed from $dir"
fi
