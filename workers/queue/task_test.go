package queue_test

import (
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"onsite/workers/queue"
)

func TestTaskRoundTrip(t *testing.T) {
	task := queue.Task{Job: ulid.Make().String(), Attempt: 3, TraceParent: "00-aa-bb-01"}
	raw := task.Encode()
	require.JSONEq(t, `{"job":"`+task.Job+`","attempt":3}`, string(raw), "a task holds nothing else")
	got, err := queue.Decode(raw)
	require.NoError(t, err)
	require.Equal(t, queue.Task{Job: task.Job, Attempt: 3}, got)
}

func TestDecodeRefuses(t *testing.T) {
	job := ulid.Make().String()
	for name, raw := range map[string]string{
		"empty":         "",
		"no JSON":       "verify me",
		"no job":        `{"attempt":1}`,
		"no ULID":       `{"job":"../../etc/passwd","attempt":1}`,
		"no attempt":    `{"job":"` + job + `"}`,
		"attempt 0":     `{"job":"` + job + `","attempt":0}`,
		"other field":   `{"job":"` + job + `","attempt":1,"subject":"e1"}`,
		"two values":    `{"job":"` + job + `","attempt":1}{}`,
		"far too long":  `{"job":"` + job + `","attempt":1}` + strings.Repeat(" ", 300),
		"huge attempt":  `{"job":"` + job + `","attempt":99999999999999999999}`,
		"other type":    `["` + job + `",1]`,
		"not a job yet": `{"job":"` + strings.ToLower(job)[:25] + `","attempt":1}`,
	} {
		_, err := queue.Decode([]byte(raw))
		require.Error(t, err, name)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"job":"01JD0000000000000000000000","attempt":1}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		task, err := queue.Decode(raw)
		if err != nil {
			return
		}
		again, err := queue.Decode(task.Encode())
		require.NoError(t, err)
		require.Equal(t, task, again)
	})
}
