# Two commands are the whole set-up: the one in the README, and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
step = @echo "== $(1)"

.PHONY: help setup test check fmt clippy direction tests docs examples demo bench bench-setup bench-check bench-micro fuzz fuzz-merge field-check field-report deb container clean check-soak check-report openapi-check

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

test: setup check ## install what is missing, then everything that must pass

setup: ## install the programs that the tests use and this machine lacks
	$(call step,setup)
	@.ci/setup

check: fmt clippy direction tests docs examples bench-micro ## everything that must pass, without installing

fmt: ## formatting
	$(call step,fmt)
	@$(CARGO) fmt --all --check

clippy: ## lints, with default features, without, and with all
	$(call step,clippy)
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@$(CARGO) clippy -p oncegate -p oncegate-stores --no-default-features --locked -- -D warnings
	@$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings

direction: ## which crate may know which
	$(call step,direction)
	@.ci/direction

tests: ## all tests
	$(call step,tests)
	@$(CARGO) test --workspace --all-features --locked

docs: ## the documentation of the crates, without a broken link
	$(call step,docs)
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

examples: ## the examples
	$(call step,examples)
	@$(CARGO) build --workspace --examples --locked --quiet

demo: ## see a duplicate payment prevented
	@$(CARGO) run --locked --quiet -p oncegate-cli -- demo

bench-setup: ## install what `make bench` measures against
	$(call step,bench-setup)
	@.ci/bench-setup

BENCH_RUN = --reps $(or $(REPS),3) $(if $(QUICK),--quick) $(if $(UPDATE),--update docs/performance.md) $(ARGS)
bench: ## Oncegate beside its peers, all measured in one run (REPS=5, QUICK=1, UPDATE=1 for the paper)
	$(call step,bench)
	@$(CARGO) build --release --locked --quiet -p oncegate-cli
	@$(CARGO) build --release --locked --quiet --ignore-rust-version --manifest-path bench/Cargo.toml
	@BENCH_COMMAND="make bench $(MAKEOVERRIDES)" bench/target/release/oncegate-bench run $(BENCH_RUN)

bench-check: ## the lints and tests of the bench itself
	$(call step,bench-check)
	@cd bench && $(CARGO) fmt --check && $(CARGO) clippy --all-targets --locked --ignore-rust-version -- -D warnings
	@cd bench && $(CARGO) test --locked --quiet --ignore-rust-version

MICRO = --release --locked --quiet --manifest-path bench/micro/Cargo.toml
bench-micro: ## what a request costs in instructions, held to the record (UPDATE=1 renews it)
	$(call step,bench-micro)
	@$(CARGO) fmt --check --manifest-path bench/micro/Cargo.toml
	@$(CARGO) test $(MICRO)
	@$(CARGO) run $(MICRO) -- gate $(if $(UPDATE),--update)

check-report: ## the HTML report of `oncegate check` in Chromium (PICTURES=FOLDER keeps what it looks like)
	$(call step,check-report)
	@$(CARGO) build --locked --quiet -p oncegate-cli
	@crates/oncegate-check/tests/page/look target/debug/oncegate $(PICTURES)

openapi-check: ## `oncegate openapi` on large public descriptions, and against a proxy that runs (installs packages)
	$(call step,openapi-check)
	@$(CARGO) build --locked --quiet -p oncegate-cli
	@crates/oncegate-openapi/tests/real/check target/debug/oncegate

fuzz: ## each fuzz target for FUZZ_SECONDS (60); stops at what it finds
	@fuzz/run

fuzz-merge: ## keep what fuzzing found of new code in the corpora
	@fuzz/run --merge

field-check: ## every host of the field does what its page says, with a new key each time (installs packages)
	$(call step,field-check)
	@field/run --hosts -- field/host-check {url} {options}

field-report: ## docs/field-report.md: the checker tried on the whole field (installs packages)
	$(call step,field-report)
	@$(CARGO) build --locked --quiet -p oncegate-cli
	@field/run --all -- field/report judge {name} {url} {options} {told}
	@field/report write docs/field-report.md

check-soak: ## the verdicts of `oncegate check` on a busy machine, RUNS (50) times in a row
	@.ci/check-soak

deb: ## a Debian package, in target/debian, installed into a throw-away copy of this machine (root)
	@packaging/debian/build
	@packaging/debian/check target/debian/oncegate_*.deb

container: ## what the container image holds, run as the image would (root)
	@packaging/container/check

clean: ## forget what was built
	@$(CARGO) clean
