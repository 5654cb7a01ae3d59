#!/usr/bin/env bash
# Installs the Debian packages named in the given lists, if any is missing. Quick when all are there.
set -euo pipefail
missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done < <(grep -hv '^#' "$@" | sed '/^$/d')
# npm fetches the pinned model packages; any npm will do, so Debian's is taken only where there is none.
command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: these Debian packages are missing and neither root nor sudo is at hand: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing Debian packages: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /tmp/onsite-apt.$$.log 2>&1 || {
  tail -20 "/tmp/onsite-apt.$$.log" >&2; echo "setup: apt-get failed; the whole log is /tmp/onsite-apt.$$.log" >&2; exit 1; }
rm -f "/tmp/onsite-apt.$$.log"
