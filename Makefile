# The two commands of a fresh machine are `make demo` and `make test`. They need only a Rust toolchain; they
# install what else is missing, and say so (scripts/install).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test matrix lint bench fuzz chaos soak image npm book

# First the tools of scripts/install, then those of `cargo install`.
export PATH := $(CURDIR)/target/tools/bin:$(HOME)/.cargo/bin:$(PATH)
export CARGO_TERM_COLOR ?= auto

TESTS ?=
FUZZ_SECONDS ?= 60
MINUTES ?= 60

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the main job on an embedded, broken ES384 issuer: the verifier's verdict before and after
	@scripts/install cc cmake
	@scripts/first-build
	@cargo run --locked -- demo

test: ## every test; TESTS='--test http hops::' runs one file
	@scripts/install cc cmake nextest
	@scripts/install node packages redis chromium linters workflows mdbook helm promtool systemd || echo "test: the tests that need these will fail" >&2
	@scripts/test $(TESTS)

matrix: ## every verifier on every issuer, each in its own language; UPDATE=1 writes docs/matrix.md anew
	@scripts/install cc cmake nextest node packages matrix
	@scripts/test --test e2e -E 'test(/^matrix/)' $(TESTS)

lint: ## format, clippy without a warning, licences and bans
	@scripts/install cc cmake components python
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-features --all-targets --quiet -- -D warnings
	@scripts/deny

bench: ## the speed beside its peers, written to docs/benchmarks.md
	@scripts/install cc cmake node packages nginx wrk
	@scripts/bench $(ROWS)

fuzz: ## every fuzz target for FUZZ_SECONDS (60) each
	@scripts/install cc cmake
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

chaos: ## the long fault tests: outages, rotations, replicas, restarts, kill -9; prints its figures
	@scripts/install cc cmake nextest node packages redis
	@COUNTERSIGN_CHAOS=long scripts/test --profile chaos --test keys --test http -E 'test(/^(chaos|chaos_redis|disk_full|floods|redis|restart)::/)' $(TESTS)

soak: ## MINUTES (60) at a third of the load it can bear: memory and descriptors must not grow; BINARY=… takes one that is built
	@scripts/install cc cmake
	@MINUTES=$(MINUTES) scripts/soak $(abspath $(BINARY))

image: ## the static binary as the Dockerfile makes it, run in an empty root without a container engine
	@scripts/install cc cmake node
	@scripts/image

npm: ## the npm packages of this platform, from the static binary, in target/npm; BINARY=… takes one that is built
	@scripts/install cc cmake node
	@node packages/npm/build.mjs "$${BINARY:-$$(scripts/static-build)}"

book: ## docs/ as pages, in target/book
	@scripts/install mdbook
	@mdbook build
