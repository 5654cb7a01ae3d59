# Each target does what it needs first; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE ?= $(CURDIR)/.cache
GOLANGCI := $(CACHE)/bin/golangci-lint
GOLANGCI_VERSION := v2.15.0

# gocv on Debian's OpenCV 4.6 with a small set of modules: deploy/setup/opencv names them. -trimpath everywhere, so that what the program was
# compiled to serves the tests, too.
export GOFLAGS := -trimpath -tags=customenv,gocv_specific_modules,gocv_features2d,gocv_calib3d
export CGO_ENABLED := 1
export CGO_CXXFLAGS := -O2 -I$(CURDIR)/deploy/setup/opencv -I/usr/include/opencv4
OPENCV := -lopencv_core -lopencv_imgproc -lopencv_imgcodecs -lopencv_features2d -lopencv_calib3d
export CGO_LDFLAGS := $(OPENCV)
export ONSITE_CACHE := $(CACHE)
export ONSITE_DECODER := $(CURDIR)/bin/onsite-decode

# SQLite in Go is C in translation, uniseg looks every character up in tables, the others are arithmetic on what they are given: watching each
# of their memory accesses for races takes most of the tests' time and finds nothing of ours.
PLAIN := $(foreach p,modernc.org/sqlite/lib modernc.org/libc github.com/rivo/uniseg gonum.org/v1/gonum/... golang.org/x/image/... image/... compress/flate \
	regexp/... unicode github.com/goccy/go-yaml/lexer github.com/goccy/go-yaml/parser github.com/goccy/go-yaml/scanner github.com/goccy/go-yaml/token \
	crypto/internal/fips140/edwards25519/... math,-gcflags='$(p)=-race=false -d=checkptr=0')
# So with arithmetic of our own: tests that compute much and have nothing side by side end in Unraced. They run in the second pass, which the
# benchmarks need without the detector anyway; it takes only the packages that have some of either.
UNRACED = $(sort $(dir $(shell grep -rlE '^func (Benchmark|Test.*Unraced\b)' --include='*_test.go' api cmd models pipeline results workers | sed 's,^,./,')))
# Many packages wait for servers: twice as many at a time as there are cores.
TOGETHER := $(shell expr 2 '*' $$(nproc))

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help deps build setup setup-gpu setup-demo setup-test demo demo-service dev-up dev-down test bench go lint fuzz clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

deps:
	@deploy/setup/apt.sh deploy/setup/apt-build.txt
	@go mod download

build: deps ## build bin/onsite and the decoder child beside it
	@mkdir -p bin
	@echo "build: bin/onsite-decode"
	@rm -f bin/onsite-decode # linked anew each time: Go does not see that the static libav below it was updated
	@CGO_LDFLAGS= CGO_CXXFLAGS= go build -o bin/onsite-decode ./cmd/onsite-decode
	@echo "build: bin/onsite (the first time compiles the OpenCV bindings: about a minute)"
	@go build -ldflags "-X onsite/pipeline/verify.Version=$(VERSION)" -o bin/onsite ./cmd/onsite

setup: build ## everything that running needs: Debian packages, the program, models and ONNX Runtime verified by sha256
	@deploy/setup/apt.sh deploy/setup/apt-run.txt
	@bin/onsite models install

setup-gpu: setup ## also ONNX Runtime for NVIDIA's GPUs; lists what is missing of driver, CUDA 13, cuDNN 9, TensorRT 10
	@bin/onsite models install --group gpu
	@bin/onsite doctor --provider $(or $(PROVIDER),cuda)

setup-demo: setup ## also what the demos need: ffmpeg, jq, Chromium, real footage
	@deploy/setup/apt.sh deploy/setup/apt-test.txt
	@bin/onsite models install --group media

setup-test: setup-demo ## also what the tests need: MinIO, built once (some minutes)
	@deploy/dev/minio.sh > /dev/null

demo: setup-demo ## seven verdicts on real footage, with their reports
	@deploy/demo/demo.sh

demo-service: setup-demo ## the README's lines against onsite serve, from enrolment to verdict
	@deploy/demo/serve.sh

dev-up: deps ## PostgreSQL, Redis and MinIO on this machine, from packages; settings in build/dev/env
	@deploy/dev/up.sh

dev-down: ## stop what dev-up started; with WIPE=1 remove its data, too
	@deploy/dev/down.sh $(if $(WIPE),--wipe)

test: setup-test ## all tests
	go vet ./...
	GORACE="$$GORACE atexit_sleep_ms=20" go test -vet=off -p $(TOGETHER) -race $(PLAIN) -skip 'Unraced$$' -timeout 20m ./...
	go test -vet=off -run 'Unraced$$' -bench . -benchtime 1x -timeout 10m $(UNRACED)

bench: setup-demo bin/onsite-naive ## CPU per stage of a 15 s clip against its budget, and the obvious pipeline in the same run
	@bin/onsite bench --baseline naive

go: deps ## the go tool with this project's settings: make go ARGS="test ./models -run Swap"
	@go $(ARGS)

# The only program with OpenCV's videoio; it measures and is never installed.
bin/onsite-naive: $(shell find cmd/onsite-naive pipeline models -name '*.go' -not -name '*_test.go')
	@deploy/setup/apt.sh deploy/setup/apt-bench.txt
	@echo "build: bin/onsite-naive (the first time compiles the OpenCV bindings again: about a minute)"
	@GOFLAGS="$(GOFLAGS),gocv_videoio" CGO_LDFLAGS="$(OPENCV) -lopencv_videoio" go build -o $@ ./cmd/onsite-naive

fuzz: build ## every fuzz target for 30 s
	@deploy/setup/fuzz.sh 30s

$(GOLANGCI):
	@echo "lint: building golangci-lint $(GOLANGCI_VERSION) (a minute or two, once)"
	@GOFLAGS= CGO_LDFLAGS= CGO_CXXFLAGS= GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

# Neither the linter's cache nor, without -trimpath, what cgo wrote for another checkout: both name files, and those of a checkout that is gone cannot be read.
lint: deps $(GOLANGCI) ## golangci-lint with the rules of the house
	@GOFLAGS="$(filter-out -trimpath,$(GOFLAGS))" GOLANGCI_LINT_CACHE=$(CURDIR)/build/lint $(GOLANGCI) run ./...

clean: ## remove what was built; the cache of models stays
	rm -rf bin build
