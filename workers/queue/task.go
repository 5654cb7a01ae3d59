package queue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

// TaskType is the one type of task that there is.
const TaskType = "verify"

// traceHeader names the task's header with the W3C trace context.
const traceHeader = "traceparent"

// The queues of asynq, strictly in this order: no later one is served while an earlier one has tasks.
const (
	Again    = "again" // clock-ins whose worker died: they have waited for a lease to run out
	ClockIn  = "clockin"
	Reverify = "reverify"
	Bulk     = "bulk"
)

var queues = []struct {
	name     string
	priority results.Priority
}{
	{Again, results.PriorityClockIn},
	{ClockIn, results.PriorityClockIn},
	{Reverify, results.PriorityReverify},
	{Bulk, results.PriorityBulk},
}

// Name gives the queue of a job's task; a priority that is not known goes last.
func Name(j results.Job) string {
	switch {
	case j.Priority == results.PriorityClockIn && j.Crashed():
		return Again
	case j.Priority == results.PriorityClockIn:
		return ClockIn
	case j.Priority == results.PriorityReverify:
		return Reverify
	}
	return Bulk
}

// Depth is how many tasks wait in each queue.
type Depth map[string]int

// Before counts the tasks that are as urgent as this priority or more.
func (d Depth) Before(last results.Priority) (n int) {
	for _, q := range queues {
		if q.priority <= last {
			n += d[q.name]
		}
	}
	return n
}

// Task is a hint that an attempt of a job may begin. Whoever takes it has to claim the job's row first.
type Task struct {
	Job         string `json:"job"`
	Attempt     int    `json:"attempt"`
	TraceParent string `json:"-"` // travels as a header
}

// maxPayload is far more than a task ever has; a longer one is not ours.
const maxPayload = 256

// Encode gives a task's payload.
func (t Task) Encode() []byte {
	raw, err := json.Marshal(t)
	if err != nil {
		panic(err) // a string and a number
	}
	return raw
}

// Decode reads a payload. Redis may hold anything: what is no job and attempt is refused.
func Decode(payload []byte) (Task, error) {
	var t Task
	if len(payload) > maxPayload {
		return Task{}, fmt.Errorf("read a task: it has %d bytes, at most %d are known", len(payload), maxPayload)
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Task{}, fmt.Errorf("read a task: %w", err)
	}
	if d.More() {
		return Task{}, fmt.Errorf("read a task: there is more than one value")
	}
	if _, err := ulid.ParseStrict(t.Job); err != nil {
		return Task{}, fmt.Errorf("read a task: its job is no ULID")
	}
	if t.Attempt < 1 {
		return Task{}, fmt.Errorf("read a task: its attempt is %d, they count from 1", t.Attempt)
	}
	return t, nil
}

// ID is the task's id in Redis: a second task of one attempt is refused there, and a task of an old attempt claims nothing.
func ID(job string, attempt int) string { return job + "." + strconv.Itoa(attempt) }
