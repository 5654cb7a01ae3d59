// Package policy holds the rules that turn check results into a decision with reasons, and the words for both.
//
// A policy is a YAML file: which checks a kind of submission needs, what a failed or uncertain one leads to, and thresholds where they
// differ from the defaults of the checks. Three are built in: photo, video15 and no_face. Decide is a pure function; a check that was
// not made never counts as passed or failed. The texts of every code, check, outcome and decision, in English and Chinese, are one
// catalogue here, used by the command line, the report and the API.
//
// It imports package pipeline for its words, models/plain to read YAML, and the standard library; it touches no pixels, no models and no store.
package policy
