// Package api is the HTTP API and, later, the web console.
//
// Nothing lives here yet: the first release step is the core (package pipeline and below). It may import results, pipeline and models, never workers' internals; nothing inside those imports this package.
package api
