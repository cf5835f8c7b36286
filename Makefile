.DEFAULT_GOAL := help
.PHONY: help demo test test-oldest test-matrix test-airflow lives live bench install dist docs fmt lint

TARGET := $(or $(CARGO_TARGET_DIR),target)

# With a Terraform or OpenTofu of one's own, the tests run on that one alone.
ifdef TERRAFORM
export KMS_TEST_TERRAFORM_VERSIONS ?= $(shell TERRAFORM=$(TERRAFORM) scripts/terraform-cli --own)
export KMS_TEST_OLD_TERRAFORM_VERSIONS ?=
export TERRAFORM
endif

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: ## Runs the demonstration, with the real Terraform and an emulated KMS
	@scripts/demo

test: ## Runs all tests, with both servers and the newest Terraform, which it installs
	cargo test --no-run
	@# Tests of the wire wait more than they compute, so those with the second server run beside the others.
	KMS_TEST_SERVER=infisical cargo test --test kms_emulator_rules --test grpc --test lives \
		>$(TARGET)/infisical.log 2>&1 & second=$$!; \
	KMS_TEST_TERRAFORM_VERSIONS=$${KMS_TEST_TERRAFORM_VERSIONS:-1.15.5} cargo test; first=$$?; \
	wait $$second; second=$$?; \
	cat $(TARGET)/infisical.log; \
	[ $$first = 0 ] && [ $$second = 0 ]

test-oldest: ## Runs the tests on Terraform with the oldest supported release
	KMS_TEST_TERRAFORM_VERSIONS=1.11.4 cargo test --test terraform

test-matrix: ## Runs the end-to-end tests on every Terraform and OpenTofu from 1.11 on, and shows a table
	@scripts/test-matrix

test-airflow: ## Tests the functions and a rotated token with a real Airflow; installs it on first use
	KMS_TEST_AIRFLOW=1 cargo test --test terraform -- --nocapture airflow::

lives: ## Tests random sequences of changes and faults, LIVES=20000 of them
	@LIVES=$(or $(LIVES),20000) LIVES_SEED=$(or $(LIVES_SEED),$$(date +%s)) LIVES_AT_ONCE=$(or $(LIVES_AT_ONCE),64) \
		cargo test --profile emulator --test lives random -- --nocapture

live: ## Runs the life of a connection and of a rotation with a real KMS; CONTRIBUTING.md lists its variables
	@scripts/live $(LIVE)

bench: ## Measures start-up, memory, and Terraform runs over many connections
	cargo build --release --bin terraform-provider-kms
	cargo build --profile emulator --example kms-emulator
	@scripts/bench $(BENCH)
	KMS_TEST_TERRAFORM_VERSIONS=1.15.5 cargo test --test terraform -- --ignored --nocapture load::

install: ## Builds the provider and installs it for terraform init
	cargo build --release --bin terraform-provider-kms
	@scripts/install $(TARGET)/release/terraform-provider-kms

dist: ## Builds the release archives in dist/: static, reproducible, with checksums and licenses
	@scripts/dist $(DIST)

docs: ## Regenerates docs/ from the schemas and examples/
	UPDATE_DOCS=1 cargo test --quiet --test docs

fmt: ## Formats code and examples
	cargo fmt --all
	"$$(scripts/terraform-cli)" fmt -recursive examples

lint: ## Checks formatting and runs clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
