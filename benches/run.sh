#!/bin/sh
# Builds what is measured, measures it, and writes docs/reports/bench.md.
# With subjects as arguments it only prints: benches/run.sh ticket apply
set -eu
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || tests/scripts/parts.sh bench
cargo build --release -p conclave -p conclave-benches
bench="${CARGO_TARGET_DIR:-target}/release/conclave-bench"
if [ $# -gt 0 ]; then
    exec "$bench" "$@"
fi
mkdir -p docs/reports
exec "$bench" --report docs/reports/bench.md
