// Package workers runs verification jobs: asynq tasks and handlers, intake of upload events, the reconciler, webhooks and retention.
//
// Nothing lives here yet: the first release step is the core (package pipeline and below). It may import results, pipeline and models; nothing inside those imports this package.
package workers
