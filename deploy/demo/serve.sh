#!/usr/bin/env bash
# Runs the lines of a README about the service, word for word, against `onsite serve` in an empty folder: from enrolment to verdict.
# usage: serve.sh [README]      With ONSITE_API_LISTEN=127.0.0.1:PORT both sides use that address instead of the usual one.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD readme=$(realpath "${1:-README.md}")
listen=${ONSITE_API_LISTEN:-127.0.0.1:8420}

# The empty folder has what a checkout has after `make setup-demo`: the program and the footage.
folder=$(mktemp -d)
mkdir "$folder/bin"
ln -s "${ONSITE_BINARY:-$root/bin/onsite}" "$folder/bin/onsite"
ln -s "$root/bin/onsite-decode" "$folder/bin/onsite-decode"
ln -s "${ONSITE_CACHE:-$root/.cache}" "$folder/.cache"
cd "$folder"
unset ONSITE_BINARY

# lines MARK: the fenced block after the comment "<!-- run: MARK -->"
lines() { awk -v mark="<!-- run: $1 -->" '$0 == mark {found = 1; next} found && /^```/ {if (inside) exit; inside = 1; next} inside' "$readme"; }

bash -c "exec $(lines serve)" > serve.out 2> serve.log &
server=$!
stop() { kill "$server" 2> /dev/null && wait "$server" || true; }
trap 'stop; rm -rf "$folder"' EXIT
for _ in $(seq 300); do
  curl -fs "http://$listen/readyz" > ready.json && break
  kill -0 "$server" 2> /dev/null || { cat serve.log >&2; echo "serve.sh: onsite serve ended" >&2; exit 1; }
  sleep 0.2
done
cat serve.out

lines use > use.sh
[ -s use.sh ] || { echo "serve.sh: $readme has no lines to run" >&2; exit 1; }
sed -i "s/127\.0\.0\.1:8420/$listen/" use.sh
bash -euo pipefail use.sh | tee use.out || { tail -20 serve.log >&2; exit 1; }
grep -q '"decision": "pass"' use.out || { echo "serve.sh: the verdict is not the expected one" >&2; exit 1; }

kill "$server"
wait "$server" || { tail -5 serve.log >&2; echo "serve.sh: onsite serve did not stop in order" >&2; exit 1; }
trap 'rm -rf "$folder"' EXIT
echo "serve.sh: the README's lines work"
