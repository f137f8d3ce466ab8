# `make help` lists the targets. Everything but Go, git and make is built from the
# module files under tools/ into .build/bin, once for each change of those files.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .build/bin
GO ?= go

# A tool is wanted in the version of its module file, whatever the caller's flags say,
# and nobody looks at its version control stamp.
tool_build = cd $(1) && GOWORK=off GOFLAGS= $(GO) build -buildvcs=false -o $(CURDIR)/$(BIN)/ $(2) && touch $(CURDIR)/$@

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- Generated code --------------------------------------------------------------------

.PHONY: generate
generate: generator-tools ## Make the Go code and the OpenAPI document from the protos
	@tools/generate

.PHONY: check-generated
check-generated: generator-tools ## Fail if a generated file is not what the protos make
	@tools/generate --check

.PHONY: docs
docs: ## Make the pages of docs/ that are made from the code
	$(GO) test . -run 'Page$$' -update

# --- Checks ----------------------------------------------------------------------------

.PHONY: lint lint-go lint-proto lint-api
lint: lint-go lint-proto lint-api ## Run all linters

lint-go: $(BIN)/.golangci ## Lint the Go code (golangci-lint), import directions included
	@$(BIN)/golangci-lint run ./...
	@for module in protodeps openapi openapicheck; do \
	  (cd tools/$$module && $(CURDIR)/$(BIN)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); \
	done

lint-proto: generator-tools ## Lint the protos (buf)
	@$(BIN)/protodeps .build/protodeps
	@BUF_CACHE_DIR=.build/buf-cache $(BIN)/buf lint

lint-api: generator-tools $(BIN)/.apilinter ## Hold the protos against the API Improvement Proposals (api-linter)
	@tools/lint-api

.PHONY: breaking
breaking: generator-tools ## Report what breaks the API since BASE (default: the last release)
	@tools/breaking $(BASE)

.PHONY: openapi-check
openapi-check: $(BIN)/openapicheck ## Validate the OpenAPI document
	@$(BIN)/openapicheck gateway/openapi/openapi.json

.PHONY: vuln
vuln: $(BIN)/.govulncheck ## Look for known vulnerabilities in what the code calls
	@tools/vuln ./...

# --- Tests -----------------------------------------------------------------------------

FUZZTIME ?= 10s
BENCH ?=

.PHONY: test
test: $(BIN)/etcd ## Run the tests
	$(GO) test ./...

.PHONY: test-race
test-race: $(BIN)/etcd ## Run the tests with the race detector
	$(GO) test -race ./...

.PHONY: test-tools
test-tools: ## Run the tests of the tools under tools/
	@for module in protodeps openapi openapicheck; do (cd tools/$$module && $(GO) test ./...); done

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (default: 10s) each
	@FUZZTIME=$(FUZZTIME) tools/fuzz

# Where in a commit the crash tests stop the program. In a file: before anything is written, with
# the pages written, with the meta page written, and with all on disk before any caller knows. In
# a cluster: before the commit is sent, and when it is answered and no caller knows.
POINTS_bolt := beforeWrite,beforeSyncDataPages,beforeSyncMetaPage,afterSync
POINTS_etcd := beforeSend,afterAnswer
ENGINE ?= bolt
KILLS ?= 20
SEED ?= 0

.PHONY: crash
crash: $(BIN)/.gofail $(BIN)/etcd ## Kill the services KILLS times (default: 20) on an ENGINE (bolt, etcd) and look for what is lost; SEED repeats a run
	@tools/failpoints
	@$(GO) run ./tools/crash -engine $(ENGINE) -kills $(KILLS) -seed $(SEED) -bin $(CURDIR)/.build/failpoints/bin/yizhen -failpoints $(POINTS_$(ENGINE))

.PHONY: nightly
nightly: ## Run what takes too long for every change: hundreds of kills, fuzzing, the race detector, the benchmark
	@.ci/nightly

.PHONY: bench
bench: ## Measure the suite against the limits of this machine (BENCH: flags, such as -quick)
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/bench ./tools/bench
	@$(BIN)/bench $(BENCH)

# --- The program -----------------------------------------------------------------------

.PHONY: build
build: ## Build bin/yizhen
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/yizhen .

.PHONY: demo
demo: ## Run the demo
	$(GO) run . demo

# --- Tools -----------------------------------------------------------------------------

.PHONY: generator-tools
generator-tools: $(BIN)/.generators $(BIN)/protodeps $(BIN)/openapi

$(BIN)/.generators: tools/generators/go.mod tools/generators/go.sum
	@mkdir -p $(BIN)
	@echo "building the code generators"
	@$(call tool_build,tools/generators,tool)

$(BIN)/protodeps: $(wildcard tools/protodeps/*.go) tools/protodeps/go.mod tools/protodeps/go.sum
	@mkdir -p $(BIN)
	@$(call tool_build,tools/protodeps,.)

$(BIN)/openapicheck: $(wildcard tools/openapicheck/*.go) tools/openapicheck/go.mod tools/openapicheck/go.sum
	@mkdir -p $(BIN)
	@$(call tool_build,tools/openapicheck,.)

# The linters, govulncheck and gofail: each has a module file of its own, as a `tool` directive.
$(BIN)/.golangci $(BIN)/.apilinter $(BIN)/.govulncheck $(BIN)/.gofail: $(BIN)/.%: tools/%/go.mod tools/%/go.sum
	@mkdir -p $(BIN)
	@echo "building $*"
	@$(call tool_build,tools/$*,tool)

# The server that the tests of pkg/store/etcd start. They build it themselves if it is missing.
.PHONY: etcd
etcd: $(BIN)/etcd ## Build the etcd server that tests run

$(BIN)/etcd: $(wildcard tools/etcd/*.go) tools/etcd/go.mod tools/etcd/go.sum
	@mkdir -p $(BIN)
	@$(call tool_build,tools/etcd,.)

$(BIN)/openapi: $(wildcard tools/openapi/*.go) tools/openapi/go.mod tools/openapi/go.sum
	@mkdir -p $(BIN)
	@$(call tool_build,tools/openapi,.)
