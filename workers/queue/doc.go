// Package queue is the Redis side of the workers: tasks and their server (asynq), what is in Redis now, bells, and the private Redis of
// `onsite serve`.
//
// Redis holds hints only. A task says that an attempt of a job may begin; the job's row in the results store is the truth, so Redis may be
// killed, flushed, paused or put back to an old dump, and nothing but time is lost. A task carries the job's id, the attempt's number and
// the trace it belongs to, nothing else.
//
// It may import results, asynq and go-redis, nothing of the core.
package queue
