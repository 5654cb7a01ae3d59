// Package config is the one model of what can be chosen about a running Onsite: flags before ONSITE_* variables before a YAML file before
// defaults. Unknown keys are refused, and everything that is wrong is said at once. It may import koanf, models/plain, the words of package
// pipeline, and nothing else of Onsite: what a setting does is the business of who gets it.
package config
