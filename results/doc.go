// Package results is the results store: jobs, verdicts, objects with their encryption, audit log and evidence.
//
// Nothing lives here yet: the first release step is the core (package pipeline and below). It may import pipeline and models; nothing inside those imports this package.
package results
