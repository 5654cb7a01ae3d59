// Package chaos is the fault and load harness: it starts a store, a Redis, API and worker processes of its own, submits real media, breaks
// something every second, and then counts. What must hold is promise 1 of the design: an accepted upload is never lost and ends in
// exactly one verdict, or in a refusal or dead letter that says why; and nothing half-written or ownerless is left behind.
//
// It runs the real program as processes and looks into the real store. It may import results, its implementations and workers/queue; no
// product code imports it, only the command line.
package chaos
