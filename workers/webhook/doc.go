// Package webhook sends what the store's outbox holds, by the Standard Webhooks specification: signed, thin, retried on its schedule, and
// logged. Every message may come more than once, always with the same webhook-id: what was sent and not recorded, because the process
// died between, is sent again.
//
// A receiver's address is checked where the connection is made, on the address that the name resolved to, so that no name can lead into
// the network of the service. Nothing of a receiver's URL or answer is logged but its status.
//
// It may import results and client libraries, nothing of the core, the queue or the API.
package webhook
