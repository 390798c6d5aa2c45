.PHONY: help test race lint bench fuzz demo chart e2e gate nightly

help: ## what there is
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
test: ## the README's tests
	.ci/run readme-test
race: ## all modules but e2e under the race detector
	.ci/run race
lint: ## format, vet, golangci-lint
	.ci/run format vet lint
bench: ## the benchmarks, for real
	go test -run '^$$' -bench . ./...
fuzz: ## each fuzz target for 2 s (FUZZ_SECONDS)
	.ci/run fuzz
demo: ## the demo for a minute, with a hub killed
	.ci/run demo
chart: ## the Helm chart rendered, decoded and checked by the real programs
	.ci/run chart
e2e: ## real processes, twice
	.ci/run e2e
gate: ## everything, as CI does it
	.ci/run
nightly: ## what takes too long for that
	.ci/run nightly
