#!/usr/bin/env bash
# Runs the scenarios of tests/scenarios.tsv one after another and prints the table.
#   scenarios.sh quick        counts made smaller by each scenario's own SCALE
#   scenarios.sh full         the full counts, and docs/reports/test-full.md
#   scenarios.sh quick NAME…  only those
# SCALE in the environment wins over the table's; SEED repeats a run's choices.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=$1
shift
chosen=("$@")
# A choice renews its own rows and keeps the others.
[ "${#chosen[@]}" -gt 0 ] || rm -rf "${CARGO_TARGET_DIR:-target}/report"

ran=()
failed=()
while IFS=$'\t' read -r name quick needs; do
    case $name in '' | '#'*) continue ;; esac
    if [ "${#chosen[@]}" -gt 0 ] && [[ ! " ${chosen[*]} " == *" $name "* ]]; then continue; fi
    if [ "$mode" = quick ] && [ "$needs" = java ] && ! command -v java >/dev/null 2>&1; then
        echo "== $name: only where Java is there, and in test-full"
        continue
    fi
    if [ "$mode" = quick ] && [ "$needs" = image ] && [ ! -d target/image/root ]; then
        echo "== $name: only where \`make image\` has run, and in test-full"
        continue
    fi
    if [ "$mode" = full ]; then scale=${SCALE:-1}; else scale=${SCALE:-$quick}; fi
    echo "== $name (SCALE=$scale)"
    ran+=("$name")
    if ! SCALE=$scale RUST_BACKTRACE=0 cargo test -q --workspace --test "$name" -- --test-threads=1 --nocapture; then
        failed+=("$name")
    fi
done <tests/scenarios.tsv

arguments=(--expect "$(IFS=,; echo "${ran[*]}")")
if [ "$mode" = full ]; then
    mkdir -p docs/reports
    arguments+=(--write docs/reports/test-full.md)
fi
echo
status=0
"${CARGO_TARGET_DIR:-target}/debug/report" "${arguments[@]}" || status=1
if [ "${#failed[@]}" -gt 0 ]; then
    echo "failed: ${failed[*]}"
    status=1
fi
exit "$status"
