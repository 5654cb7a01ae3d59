package results

import (
	"context"
	"encoding/json"
	"time"

	"onsite/pipeline"
)

// ComparisonState is where a comparison over stored jobs is.
type ComparisonState string

// The states of a comparison.
const (
	ComparisonRunning   ComparisonState = "running"
	ComparisonPaused    ComparisonState = "paused"
	ComparisonDone      ComparisonState = "done"
	ComparisonFailed    ComparisonState = "failed"
	ComparisonCancelled ComparisonState = "cancelled"
)

// Open says that a comparison has not ended.
func (s ComparisonState) Open() bool { return s == ComparisonRunning || s == ComparisonPaused }

// ModelComparison runs stored jobs again, under what was active when it began and under candidates, and ends in a report.
type ModelComparison struct {
	ID      string // ULID
	Scope   string // tenant that the models are for; "": the installation
	Models  []string
	Epoch   int64           // what is active is that of this epoch, from the first job to the last
	Ask     json.RawMessage // ComparisonAsk
	State   ComparisonState
	Total   int64           // jobs
	Done    int64           // of those, that ran under both
	Gone    int64           // of those, that are left out: erased, their media is not kept any more, or running them failed
	Digest  string          // sha256 of report.json in the package
	Summary json.RawMessage // of a finished one: what models keep as their newest report
	Passed  bool
	Why     *Why // of a failed one; of a running one why it does not go on
	Actor   string
	Created time.Time
	Changed time.Time
}

// ComparisonAsk is what was asked for.
type ComparisonAsk struct {
	Words  pipeline.Text   `json:"words"`  // which jobs
	Budget float64         `json:"budget"` // processor cores that it may use, up to 1
	Limits json.RawMessage `json:"limits"` // what the report must stay within
}

// UnmarshalJSON also reads what was kept before the words were in two languages: then they were English only, under data.
func (a *ComparisonAsk) UnmarshalJSON(data []byte) error {
	type fields ComparisonAsk
	var in struct {
		fields
		Data string `json:"data"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*a = ComparisonAsk(in.fields)
	if a.Words == (pipeline.Text{}) {
		a.Words = pipeline.Text{EN: in.Data, ZH: in.Data}
	}
	return nil
}

// ComparedKnown is what was handed in of a job of a comparison. It may be personal: it stands with the job alone, so that it goes with the subject.
type ComparedKnown struct {
	Label  string            `json:"label,omitempty"`  // genuine, impostor; "": not known
	Groups map[string]string `json:"groups,omitempty"` // column -> value, as "declared" -> "woman"
}

// ComparedState is where a job of a comparison is.
type ComparedState string

// The states of a job of a comparison.
const (
	ComparedWaits ComparedState = "waiting"
	ComparedDone  ComparedState = "done"
	ComparedGone  ComparedState = "gone"
	// ComparedFailed ran into errors that are not known to be the job's. It counts among those that are gone.
	ComparedFailed ComparedState = "failed"
)

// ComparedJob is one job of a comparison. It goes with its subject, and when the report is made.
type ComparedJob struct {
	Comparison string
	Job        string
	Tenant     string
	Subject    string
	State      ComparedState
	Body       json.RawMessage // of one that waits ComparedKnown, or nothing; of one that is done what both sets said: decisions, scores, reasons; nothing biometric
}

// Comparisons holds comparisons over stored jobs.
type Comparisons interface {
	// BeginComparison writes a comparison with its jobs, which wait. ErrConflict while one of the first model is open.
	BeginComparison(ctx context.Context, c ModelComparison, jobs []ComparedJob, a AuditEntry) error
	Comparison(ctx context.Context, id string) (ModelComparison, error)
	// ListComparisons gives those of a scope, newest first; After is an id.
	ListComparisons(ctx context.Context, scope string, p Page) ([]ModelComparison, error)
	// RunningComparisons gives the ids of those of all scopes that run, oldest first.
	RunningComparisons(ctx context.Context) ([]string, error)
	// ChangeComparison writes state and why of one that is still in the given state; ErrStale. One that ends without a report loses its jobs.
	ChangeComparison(ctx context.Context, c ModelComparison, from ComparisonState, a AuditEntry) error
	// NextCompared gives the next job that waits; ErrNotFound: none does.
	NextCompared(ctx context.Context, id string) (ComparedJob, error)
	// PutCompared writes state and body of a job that waits, and counts it; nothing when it does not wait any more.
	PutCompared(ctx context.Context, j ComparedJob) error
	// CountCompared counts the jobs in a state.
	CountCompared(ctx context.Context, id string, state ComparedState) (int64, error)
	ComparedJobs(ctx context.Context, id, after string, n int) ([]ComparedJob, error) // those that are done, by job
	// EndComparison makes a running comparison done: it keeps the package (a zip file), gives its models the summary as their newest report, and
	// deletes its jobs. ErrStale when it does not run any more.
	EndComparison(ctx context.Context, c ModelComparison, pack []byte, a AuditEntry) error
	// ComparisonPackage gives the package of a finished comparison.
	ComparisonPackage(ctx context.Context, id string) ([]byte, error)
}
