#!/usr/bin/env bash
# PostgreSQL, Redis and MinIO as a service of many machines has them, on this machine and for development only. Run by `make dev-up`; a
# second run finds what is there. Data lie in build/dev (DEV_DIR), secrets are made once, everything listens on 127.0.0.1.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

deploy/setup/apt.sh deploy/dev/apt.txt
minio=$(deploy/dev/minio.sh)

mkdir -p "$dir"
umask 077
chmod 711 "$dir" # user postgres must get through to its own folder
exec 9> "$dir/.lock" # one at a time; what is started below does not inherit it
flock 9

# Secrets: made once, each in a file of its own.
secret() {
  [ -s "$dir/secret/$1" ] || { mkdir -p "$dir/secret"; head -c "${2:-24}" /dev/urandom | base64 -w0 | tr '+/' '-_' > "$dir/secret/$1"; }
  cat "$dir/secret/$1"
}
postgres_password=$(secret postgres) redis_password=$(secret redis) minio_password=$(secret minio) event_secret=$(secret event)
[ -s "$dir/kek" ] || { head -c 32 /dev/urandom | base64 > "$dir/kek.new"; mv "$dir/kek.new" "$dir/kek"; }

postgres_up() {
  local data=$dir/postgres/data log=$dir/postgres/log
  if [ ! -s "$data/PG_VERSION" ]; then
    say "making the PostgreSQL cluster in $data"
    rm -rf "$dir/postgres"
    mkdir -p "$dir/postgres"
    cp "$dir/secret/postgres" "$dir/postgres/password"
    [ ${#as_postgres[@]} -eq 0 ] || chown -R postgres "$dir/postgres"
    "${as_postgres[@]}" test -r "$dir/postgres/password" ||
      die "user postgres cannot get to $dir; set DEV_DIR to a folder that it can reach, /var/tmp/onsite-dev say"
    "${as_postgres[@]}" "$pg/initdb" -D "$data.new" -U onsite --pwfile="$dir/postgres/password" --auth=scram-sha-256 -E UTF8 --locale=C.UTF-8 > "$dir/postgres/initdb.log" 2>&1 ||
      { tail "$dir/postgres/initdb.log" >&2; die "initdb failed"; }
    mv "$data.new" "$data" # whole or not at all
  fi
  "${as_postgres[@]}" "$pg/pg_ctl" -D "$data" status > /dev/null 2>&1 ||
    "${as_postgres[@]}" "$pg/pg_ctl" -w -t 60 -D "$data" -l "$log" start \
      -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir/postgres -c max_connections=200" > /dev/null 9>&- ||
    { tail "$log" >&2; die "PostgreSQL does not start; DEV_POSTGRES_PORT chooses another port than $postgres_port"; }
  export PGPASSWORD=$postgres_password
  local psql=("$pg/psql" -h 127.0.0.1 -p "$postgres_port" -U onsite -d postgres -qtAX)
  "${psql[@]}" -c 'SELECT 1' > /dev/null || die "PostgreSQL runs, but not on port $postgres_port; run make dev-down first"
  [ "$("${psql[@]}" -c "SELECT 1 FROM pg_database WHERE datname = 'onsite'")" = 1 ] || "${psql[@]}" -c 'CREATE DATABASE onsite'
}

redis_up() {
  local home=$dir/redis
  mkdir -p "$home"
  if ! ours "$home/pid" "127.0.0.1:$redis_port" > /dev/null; then
    # The settings that Onsite asks of any Redis: nothing is evicted, everything is written down.
    cat > "$home/redis.conf" <<CONF
bind 127.0.0.1
port $redis_port
requirepass $redis_password
dir $home
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
save ""
daemonize yes
pidfile $home/pid
logfile $home/log
CONF
    redis-server "$home/redis.conf" > /dev/null 9>&- || { tail "$home/log" >&2; die "Redis does not start"; }
  fi
  # It opens its port once it has read its file; a client then waits for the answer.
  local i
  for i in $(seq 100); do
    [ "$(REDISCLI_AUTH=$redis_password redis-cli --no-auth-warning -h 127.0.0.1 -p "$redis_port" ping 2>/dev/null)" = PONG ] && return
    sleep 0.1
  done
  tail "$home/log" >&2
  die "Redis does not answer; DEV_REDIS_PORT chooses another port than $redis_port"
}

minio_up() {
  local home=$dir/minio i
  mkdir -p "$home/data" "$home/queue/webhook" "$home/queue/redis"
  if ! ours "$home/pid" "$home/data" > /dev/null; then
    # Notifications wait in the queue folders while their receiver is down.
    env MINIO_ROOT_USER=onsite MINIO_ROOT_PASSWORD="$minio_password" MINIO_BROWSER=off MINIO_UPDATE=off MINIO_CALLHOME_ENABLE=off HOME="$home" \
      MINIO_NOTIFY_WEBHOOK_ENABLE_DEV=on MINIO_NOTIFY_WEBHOOK_ENDPOINT_DEV="$api/v1/events/s3" \
      MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_DEV="$event_secret" MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_DEV="$home/queue/webhook" \
      MINIO_NOTIFY_REDIS_ENABLE_DEV=on MINIO_NOTIFY_REDIS_ADDRESS_DEV="127.0.0.1:$redis_port" MINIO_NOTIFY_REDIS_PASSWORD_DEV="$redis_password" \
      MINIO_NOTIFY_REDIS_KEY_DEV=onsite:events MINIO_NOTIFY_REDIS_FORMAT_DEV=access MINIO_NOTIFY_REDIS_QUEUE_DIR_DEV="$home/queue/redis" \
      setsid nohup "$minio" server --quiet --address "127.0.0.1:$minio_port" --console-address 127.0.0.1:0 "$home/data" \
      > "$home/log" 2>&1 < /dev/null 9>&- &
    echo $! > "$home/pid"
  fi
  for i in $(seq 600); do
    curl -fs -o /dev/null "http://127.0.0.1:$minio_port/minio/health/cluster" && return
    ours "$home/pid" "$home/data" > /dev/null || break
    sleep 0.1
  done
  tail "$home/log" >&2
  die "MinIO does not answer; DEV_MINIO_PORT chooses another port than $minio_port"
}

postgres_up
redis_up
minio_up

cat > "$dir/env.new" <<ENV
# Settings of onsite api, onsite worker and onsite migrate for what \`make dev-up\` started: set -a; . build/dev/env; set +a
ONSITE_STORE_POSTGRES=postgres://onsite:$postgres_password@127.0.0.1:$postgres_port/onsite?sslmode=disable
ONSITE_REDIS_URL=redis://:$redis_password@127.0.0.1:$redis_port/0
ONSITE_OBJECTS_S3_ENDPOINT=http://127.0.0.1:$minio_port
ONSITE_OBJECTS_S3_BUCKET=onsite
ONSITE_OBJECTS_S3_UPLOAD_BUCKET=onsite-uploads
ONSITE_OBJECTS_S3_ACCESS_KEY=onsite
ONSITE_OBJECTS_S3_SECRET_KEY=$minio_password
ONSITE_KEK_FILE=$dir/kek
ONSITE_API_EVENT_SECRET=$event_secret
ONSITE_INTAKE_LIST=onsite:events
ENV
mv "$dir/env.new" "$dir/env"

# Buckets, with their notifications: onsite-uploads by webhook, onsite-inbox by Redis list.
(set -a; . "$dir/env"; set +a; go run ./deploy/dev/buckets)

say "PostgreSQL 127.0.0.1:$postgres_port · Redis 127.0.0.1:$redis_port · MinIO http://127.0.0.1:$minio_port"
say "bucket onsite-uploads tells $api by webhook, bucket onsite-inbox (for uploads of others) the Redis list onsite:events"
say "settings, with secrets, are in $dir/env:  set -a; . $dir/env; set +a"
sed -n 's/^\(ONSITE_[A-Z0-9_]*\)=.*/  \1/p' "$dir/env"
