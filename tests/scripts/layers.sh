#!/usr/bin/env bash
# proto <- raft <- node: the names of the stores and frameworks stay in their layer.
set -euo pipefail
cd "$(dirname "$0")/../.."

status=0
# only PATTERN LAYER: PATTERN may stand in LAYER's code and manifest alone.
only() {
    local pattern=$1 layer=$2 found
    found=$(grep -rnE "\b($pattern)(::|\b.*workspace)" --include='*.rs' --include=Cargo.toml proto raft node tests benches |
        grep -v "^$layer/" | grep -vE ':[0-9]+:\s*(//|#)' || true)
    if [ -n "$found" ]; then
        echo "named outside $layer/:"
        echo "$found"
        status=1
    fi
}
only 'openraft|sled' raft
only 'openidconnect' node
only 'bincode' proto

# actix belongs to node; the benches hold a bare actix-web handler beside it.
found=$(grep -rnE '\bactix(_web|_http|_rt|_tls)?::|\bactix[a-z-]*\.workspace' --include='*.rs' --include=Cargo.toml proto raft tests |
    grep -vE ':[0-9]+:\s*(//|#)' || true)
if [ -n "$found" ]; then
    echo "actix outside node/:"
    echo "$found"
    status=1
fi

# Nothing points back, and the rules do no IO.
for edge in 'proto:conclave-raft' 'proto:^conclave\.' 'proto:tokio' 'proto:reqwest' 'raft:^conclave\.' 'node:conclave-tests'; do
    if grep -qE "${edge#*:}" "${edge%%:*}/Cargo.toml"; then
        echo "${edge%%:*}/Cargo.toml names ${edge#*:}"
        status=1
    fi
done
exit "$status"
