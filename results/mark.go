package results

import "time"

// MarkKind says what an investigator marked.
type MarkKind string

// The kinds of marks.
const (
	MarkPair       MarkKind = "pair"       // two jobs are not the same recording, or are one event that was handed in twice
	MarkBackground MarkKind = "background" // what a still of a job shows says nothing about reuse
)

// Mark is what an investigator said about a match of the reuse check. It never changes but by being revoked, and is deleted with its jobs
// and with the erasure of a subject of theirs: it was made from their footage.
type Mark struct {
	ID     string // ULID
	Tenant string
	Kind   MarkKind
	Job    string
	Other  string // pair: the job that was accepted before Job
	AtMS   int64  // background: the still's time in the clip
	Hash   string // background: the still's PDQ, 64 hex digits
	Site   string // background: the only site that it holds for; "": all of the tenant
	Note   string // why, in a person's words; MaxMarkNote characters
	Actor  string // API key id

	// Seq and RevokedSeq are positions in the tenant's sequence of marks: what was in force at a position does not change any more, but by
	// an erasure.
	Seq        int64
	CreatedAt  time.Time
	RevokedSeq int64     // 0: in force
	RevokedAt  time.Time // zero: in force
	RevokedBy  string    // API key id
}

// Bounds of marks. Every still of a job is compared with the backgrounds that hold for it, eight ways.
const (
	MaxMarkNote    = 500
	MaxBackgrounds = 200 // in force, of one site; and as many that hold everywhere
)

// MarkPatience is how long a marked job is left to whoever marked it before a worker compares it.
const MarkPatience = 30 * time.Second

// MarkFilter narrows a list of marks.
type MarkFilter struct {
	Job     string // either one of a pair
	Kind    MarkKind
	InForce bool
}
