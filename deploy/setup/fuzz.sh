#!/usr/bin/env bash
# Runs every fuzz target for the given time, one after the other. usage: fuzz.sh 30s
set -euo pipefail
cd "$(dirname "$0")/../.."
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "fuzz: $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 1x "$package"
  done
done
