// Package workers does the work of the service: it takes tasks, runs the verification core under a lease, records what came of it, and
// keeps jobs moving.
//
//	Dispatcher  moves accepted jobs, a bounded window of them, into Redis
//	Worker      claims the job of a task, runs it, renews its lease, finishes or releases it
//	Reconciler  starts a new attempt of what has no live lease, and of what Redis lost
//	Sequencer   gives committed verdicts their positions in the feed
//	Rechecker   compares later footage with footage that came late
//	Janitor     deletes objects that nobody names and what is past its deadline
//
// The job's row in the results store is the truth; every change of it is a compare-and-set, so any number of processes may run any of
// these, and any of them may be killed at any moment. Redis, behind package queue, may lose everything.
//
// Judge is the one place that decides from an error's type whether a job is tried again, given up, refused, or waits for a person.
//
// It may import results, pipeline, models and package queue. Rooms below it implement Core and bring errors with a Judgement.
package workers
