#!/usr/bin/env bash
# Runs the scenarios of tests/scenarios.tsv one after another and prints the table.
#   scenarios.sh quick        counts made smaller by each scenario's own SCALE
#   scenarios.sh full         the full counts, and docs/reports/test-full.md with its rows beside it as JSON
#   scenarios.sh MODE NAME…   only those
# SCALE in the environment wins over the table's; SEED repeats a run's choices.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=$1
shift
chosen=("$@")
# A choice in quick mode renews its own rows and keeps the others; the full run's earlier rows stand in its report.
[ "$mode" = quick ] && [ "${#chosen[@]}" -gt 0 ] || rm -rf "${CARGO_TARGET_DIR:-target}/report"

report=${CARGO_TARGET_DIR:-target}/debug/report
wanted=()
failed=()
while IFS=$'\t' read -r name quick needs; do
    case $name in '' | '#'*) continue ;; esac
    if [ "${#chosen[@]}" -gt 0 ] && [[ ! " ${chosen[*]} " == *" $name "* ]]; then continue; fi
    # Each scenario of the list leaves a row, one that is left out too.
    wanted+=("$name")
    missing=
    case $needs in
        java) command -v java >/dev/null 2>&1 || missing="Java is not installed" ;;
        image) [ -d target/image/root ] || missing="\`make image\` has not run" ;;
    esac
    if [ "$mode" = quick ] && [ -n "$missing" ]; then
        echo "== $name: skipped: $missing"
        "$report" --skip "$name" "$missing"
        continue
    fi
    if [ "$mode" = full ]; then scale=${SCALE:-1}; else scale=${SCALE:-$quick}; fi
    echo "== $name (SCALE=$scale)"
    if ! SCALE=$scale RUST_BACKTRACE=0 cargo test -q --workspace --test "$name" -- --test-threads=1 --nocapture; then
        failed+=("$name")
    fi
done <tests/scenarios.tsv

arguments=(--expect "$(IFS=,; echo "${wanted[*]}")")
if [ "$mode" = full ]; then
    mkdir -p docs/reports
    arguments+=(--write docs/reports/test-full)
fi
echo
status=0
"$report" "${arguments[@]}" || status=1
if [ "${#failed[@]}" -gt 0 ]; then
    echo "failed: ${failed[*]}"
    status=1
fi
exit "$status"
