// Package service puts the rooms of the service together: it opens what a configuration names, starts the parts of serve, api or worker, and
// stops them in the order in which they need each other. Tests and the fault harness start the same parts.
//
// It may import every room; only cmd imports it. It decides nothing about jobs: that is workers' and results' business.
package service
