#!/usr/bin/env bash
# Runs every crate's tests under CRATE/tests/; the scenarios, which want to be alone, have their own script.
set -euo pipefail
cd "$(dirname "$0")/../.."

arguments=()
for file in {proto,raft,node,benches,tests}/tests/{*.rs,*/main.rs}; do
    [ -e "$file" ] || continue
    name=${file%/main.rs}
    name=$(basename "$name" .rs)
    grep -q "^$name"$'\t' tests/scenarios.tsv && continue
    arguments+=(--test "$name")
done
if [ "${#arguments[@]}" -gt 0 ]; then
    cargo test --workspace "${arguments[@]}"
fi
