#!/usr/bin/env bash
# Holds every tracked file against tests/scripts/banned.tsv, Rust files against the house's form (a first line that says
# the file's duty, at most 800 lines), and the list of scenarios against their files: each begins and says what it held.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Ends with 1 where git grep itself fails: a list that cannot be read must not pass for a clean tree.
lines() {
    local code=0
    git grep -nIE -e "$1" -- ${2:+"$2"} ':!tests/scripts/banned.tsv' ':!tests/scripts/gate_selftest.sh' || code=$?
    [ "$code" -le 1 ]
}

# As `lines`, for Rust files of the crates up to their inline tests.
code_lines() {
    local file
    git ls-files {proto,raft,node,benches}/src/'*.rs' | grep -vE '/tests(/|\.rs)' | while read -r file; do
        sed '/^#\[cfg(test)\]$/,$d' "$file" | grep -nE -e "$1" | sed "s#^#$file:#" || true
    done
}

status=0
while IFS=$'\t' read -r where what instead; do
    case $where in '' | '#'*) continue ;; esac
    case $where in
        code) found=$(code_lines "$what") ;;
        all) found=$(lines "$what" '') ;;
        *) found=$(lines "$what" "*$where") ;;
    esac
    if [ -n "$found" ]; then
        echo "banned ($instead):"
        echo "$found"
        status=1
    fi
done <tests/scripts/banned.tsv

while read -r file; do
    if ! head -n 1 "$file" | grep -q '^//!'; then
        echo "$file: the first line must say the file's duty (//!)"
        status=1
    fi
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 800 ]; then
        echo "$file: $lines lines, over 800"
        status=1
    fi
done < <(git ls-files '*.rs')

while IFS=$'\t' read -r name _; do
    case $name in '' | '#'*) continue ;; esac
    file=tests/tests/$name.rs
    if [ ! -e "$file" ]; then
        echo "tests/scenarios.tsv lists $name, and $file does not exist"
        status=1
    elif ! grep -q 'Scenario::begin' "$file" || ! grep -q '\.held(' "$file"; then
        echo "$file: must begin a Scenario and say what it held"
        status=1
    fi
done <tests/scenarios.tsv
# Each test that SECURITY.md's table names is a scenario, or part of a test's name.
while read -r name; do
    if ! grep -q "^$name"$'\t' tests/scenarios.tsv && ! git grep -qE "fn \w*$name" -- '*.rs'; then
        echo "SECURITY.md names the test $name, and there is none"
        status=1
    fi
done < <(sed -n '/^| Attack/,/^$/p' SECURITY.md | awk -F' \\| ' 'NR > 2 {print $NF}' | grep -oE '`[a-z0-9_.]+`' | tr -d '`' | sed 's/\..*//' | sort -u)

ids() { grep -oE 'RUSTSEC-[0-9]{4}-[0-9]{4}' "$1" | sort -u; }
if ! diff <(ids deny.toml) <(ids SECURITY.md); then
    echo "deny.toml and SECURITY.md must name the same advisories"
    status=1
fi
exit "$status"
