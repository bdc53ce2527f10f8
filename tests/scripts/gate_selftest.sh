#!/usr/bin/env bash
# Plants one fault after another in a scratch worktree and wants the gate to refuse each; and the clean tree to pass.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-$PWD/target}/gate-selftest
scratch=$target/tree
git worktree prune
rm -rf "$scratch"
mkdir -p "$target"
# What is tracked, as it lies here: the gate of this tree is what is tried, committed or not.
git worktree add -q --detach "$scratch" HEAD
trap 'git worktree remove --force "$scratch"' EXIT
git diff HEAD --binary | (cd "$scratch" && git apply --allow-empty --index)
export CARGO_TARGET_DIR=$target/build
cd "$scratch"
git -c user.name=gate -c user.email=gate@localhost commit -q --allow-empty -m "as it lies here" --no-verify

tried=0
# red NAME STEP…: the step must fail, then the plant is taken out again.
red() {
    local name=$1
    shift
    git add -A
    if "$@" >"$target/$name.log" 2>&1; then
        echo "gate: $name was planted, and \`$*\` passed"
        exit 1
    fi
    echo "gate: $name refused: $(grep -vE '^\s*$' "$target/$name.log" | head -n 1)"
    git reset -q --hard HEAD
    git clean -qfd
    tried=$((tried + 1))
}

for step in tests/scripts/layers.sh tests/scripts/imports.py tests/scripts/words.sh; do
    "$step" || {
        echo "gate: $step refuses the clean tree"
        exit 1
    }
done

echo 'pub fn planted() { let unused = 1; }' >>proto/src/time.rs
red lint cargo clippy --locked --offline -q -p conclave-proto --lib -- -D warnings
echo 'pub fn planted( ) { }' >>proto/src/time.rs
red format cargo fmt --all -- --check
echo 'use sled::Db;' >>node/src/clock.rs
red layer_breach tests/scripts/layers.sh
sed -i '1a use crate::ticket::Ticket;' proto/src/time.rs
red import_circle tests/scripts/imports.py
# Fails where a climb is named, whatever else is.
red_floor() {
    local said
    said=$(tests/scripts/imports.py) || true
    echo "$said" | grep 'climbs a floor' && return 1
    return 0
}
sed -i '1a use crate::ticket::Ticket;' proto/src/id.rs
red climb red_floor
printf '\n#[test]\n#[ignore]\nfn planted() {}\n' >>tests/src/jar.rs
red ignored_test tests/scripts/words.sh
echo 'fn no_duty_line() {}' >proto/src/planted.rs
red file_without_its_duty tests/scripts/words.sh
printf 'planted\t1\t\n' >>tests/scenarios.tsv
red undeclared_skip tests/scripts/words.sh
printf '//! Asserts nothing.\nuse conclave_tests::report::Scenario;\n#[test]\nfn planted() {\n    Scenario::begin("planted", 1, 1, "run").passed();\n}\n' >tests/tests/planted.rs
printf 'planted\t1\t\n' >>tests/scenarios.tsv
red scenario_that_asserts_nothing tests/scripts/words.sh
echo "gate: $tried faults planted, each refused"
