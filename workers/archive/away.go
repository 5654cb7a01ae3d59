package archive

import (
	"fmt"

	"onsite/pipeline"
	"onsite/workers"
)

// RuleIndex is why a job is tried again when a shard is away and the store's rows are too many to be read instead in the time of an attempt.
const RuleIndex = "index_away"

// AwayError says that a shard did not answer, and that its share could not be read from the store in time.
type AwayError struct{ Err error }

func (e *AwayError) Error() string {
	return fmt.Sprintf("a shard of the reuse index is away, and reading its share from the store takes too long: %v", e.Err)
}

func (e *AwayError) Unwrap() error { return e.Err }

var _ workers.Judged = (*AwayError)(nil)

// Judgement has the job wait for the shard, however often it was tried: it is no fault of the job's.
func (e *AwayError) Judgement() workers.Judgement {
	return workers.Judgement{Action: workers.Retry, Rule: RuleIndex, Alarm: true, Text: pipeline.Text{
		EN: "a part of the reuse index does not answer; the job is tried again", ZH: "查重索引的一部分没有响应；任务将重试",
	}}
}
