#!/bin/sh
# Builds what is measured, measures it, and writes docs/reports/bench.md.
# With --sizing it writes docs/reports/sizing.md instead: memory and disk by number of sessions, ten minutes and 8 GiB.
# With subjects as arguments it only prints: benches/run.sh ticket apply
set -eu
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || tests/scripts/parts.sh bench
cargo build --release -p conclave -p conclave-benches
bench="${CARGO_TARGET_DIR:-target}/release/conclave-bench"
mkdir -p docs/reports
case ${1-} in
'') exec "$bench" --report docs/reports/bench.md ;;
--sizing) exec "$bench" --report docs/reports/sizing.md sizing ;;
*) exec "$bench" "$@" ;;
esac
