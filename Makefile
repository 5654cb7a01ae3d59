# Each target does what it needs first. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE ?= $(CURDIR)/.cache
GOLANGCI_VERSION := v2.15.0

# gocv on Debian's OpenCV 4.6, small set of modules (deploy/setup/opencv names them).
GOTAGS := customenv,gocv_specific_modules,gocv_features2d,gocv_calib3d
export CGO_ENABLED := 1
export CGO_CXXFLAGS := -O2 -I$(CURDIR)/deploy/setup/opencv -I/usr/include/opencv4
export CGO_LDFLAGS := -lopencv_core -lopencv_imgproc -lopencv_imgcodecs -lopencv_features2d -lopencv_calib3d
export ONSITE_CACHE := $(CACHE)
export ONSITE_DECODER := $(CURDIR)/bin/onsite-decode
