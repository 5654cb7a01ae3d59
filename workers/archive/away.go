package archive

import (
	"fmt"

	"onsite/pipeline"
	"onsite/workers"
)

// RuleIndex is why a job is tried again when a shard is away, or the index is being filled, and the store's rows are too many to be read instead in
// the time of an attempt.
const RuleIndex = "index_away"

// AwayError says that the index or a shard of it did not answer, and that its share could not be read from the store in time.
type AwayError struct{ Err error }

func (e *AwayError) Error() string {
	return fmt.Sprintf("the reuse index is being filled, or a shard of it is away, and reading the store instead takes too long: %v", e.Err)
}

func (e *AwayError) Unwrap() error { return e.Err }

var _ workers.Judged = (*AwayError)(nil)

// Judgement has the job wait for it, however often it was tried: it is no fault of the job's.
func (e *AwayError) Judgement() workers.Judgement {
	return workers.Judgement{Action: workers.Retry, Rule: RuleIndex, Alarm: true, Text: pipeline.Text{
		EN: "the reuse index is not ready, or a part of it does not answer; the job is tried again", ZH: "查重索引未就绪或其一部分没有响应；任务将重试",
	}}
}
