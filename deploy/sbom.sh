#!/bin/sh
# Prints an SPDX 2.3 list of every package in Cargo.lock, with the checksums that the lock file holds.
set -eu
cd "$(dirname "$0")/.."
awk -v epoch="${SOURCE_DATE_EPOCH:-0}" '
    function quoted(line) { sub(/^[^"]*"/, "", line); sub(/".*$/, "", line); return line }
    function flush() {
        if (name == "") return
        id = "SPDXRef-" name "-" version
        gsub(/[^A-Za-z0-9.-]/, "-", id)
        printf "%s\n  {\"SPDXID\": \"%s\", \"name\": \"%s\", \"versionInfo\": \"%s\", \"downloadLocation\": \"%s\"", (count++ ? "," : ""), id, name, version, (source == "" ? "NONE" : "NOASSERTION")
        if (source != "") printf ", \"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\", \"referenceLocator\": \"pkg:cargo/%s@%s\"}]", name, version
        if (sum != "") printf ", \"checksums\": [{\"algorithm\": \"SHA256\", \"checksumValue\": \"%s\"}]", sum
        printf "}"
        name = version = source = sum = ""
    }
    BEGIN {
        ("date -u -d @" epoch " +%Y-%m-%dT%H:%M:%SZ") | getline created
        printf "{\"spdxVersion\": \"SPDX-2.3\", \"dataLicense\": \"CC0-1.0\", \"SPDXID\": \"SPDXRef-DOCUMENT\", \"name\": \"conclave\",\n"
        printf " \"documentNamespace\": \"urn:conclave:sbom:%s\", \"creationInfo\": {\"created\": \"%s\", \"creators\": [\"Tool: sbom.sh\"]},\n \"packages\": [", epoch, created
    }
    /^\[\[package\]\]/ { flush() }
    /^name = / { name = quoted($0) }
    /^version = / && name != "" { version = quoted($0) }
    /^source = / { source = quoted($0) }
    /^checksum = / { sum = quoted($0) }
    END { flush(); printf "\n ]}\n" }
' Cargo.lock
