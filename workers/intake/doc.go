// Package intake turns the notifications of buckets into jobs, and brings what was uploaded to a bucket into our own keeping.
//
//	Intake   reads notifications (webhook, Redis list) and starts the jobs whose claims wait for their object
//	Uploads  makes a worker's own copy of an object, removes the original once its job is finished, and finds uploads whose notification
//	         was lost
//
// Of a notification only bucket, key and version count; who uploaded what is in the claim that the store holds. Every notification is kept
// in the store with what became of it, also one that cannot be read; package notice reads them. It may import results and its packages, and
// of the core only the words of a refusal.
package intake
