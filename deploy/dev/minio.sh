#!/usr/bin/env bash
# Prints where the MinIO program is, and builds it the first time (some minutes, 150 MB). MinIO is AGPL: it runs as a process of its own for
# development and tests and is neither imported nor shipped.
set -euo pipefail
version=v0.0.0-20260212201848-7aac2a2c5b7c
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${ONSITE_CACHE:-$root/.cache}/bin
mkdir -p "$bin"
exec 9> "$bin/.minio.lock" # packages are tested side by side: one builds, the others wait
flock 9
if [ ! -x "$bin/minio" ]; then
  echo "minio: building $version (some minutes, once)" >&2
  work=$(mktemp -d "$bin/.minio.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # Outside of this module, with none of its flags.
  (cd "$work" && env -u GOFLAGS -u CGO_LDFLAGS -u CGO_CXXFLAGS CGO_ENABLED=0 GOBIN="$work" \
    nice go install -trimpath "github.com/minio/minio@$version") >&2
  mv "$work/minio" "$bin/minio"
fi
echo "$bin/minio"
