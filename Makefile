# Two commands are the whole set-up: the one in the README, and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
step = @echo "== $(1)"

.PHONY: help setup test check fmt clippy direction tests docs examples demo clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

test: setup check ## install what is missing, then everything that must pass

setup: ## install the programs that the tests use and this machine lacks
	$(call step,setup)
	@.ci/setup

check: fmt clippy direction tests docs examples ## everything that must pass, without installing

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

clean: ## forget what was built
	@$(CARGO) clean
