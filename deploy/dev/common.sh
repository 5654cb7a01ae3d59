# Read by up.sh and down.sh: where things lie and on which ports they listen. Every line can be overridden from outside.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(realpath -m "${DEV_DIR:-$root/build/dev}")
postgres_port=${DEV_POSTGRES_PORT:-55432}
redis_port=${DEV_REDIS_PORT:-56379}
minio_port=${DEV_MINIO_PORT:-59000}
api=${DEV_API:-http://127.0.0.1:8420} # where the buckets' webhook finds `onsite api`
pg=/usr/lib/postgresql/15/bin

# PostgreSQL refuses to run as root.
as_postgres=()
[ "$(id -u)" -ne 0 ] || as_postgres=(runuser -u postgres --)

say() { echo "dev: $*"; }
die() { echo "dev: $*" >&2; exit 1; }

# ours PIDFILE WORD: the process of a pid file, if it still is the one that was started with this folder in its arguments.
ours() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$2" && echo "$pid"
}
