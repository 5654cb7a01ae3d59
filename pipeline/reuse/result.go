package reuse

import (
	"context"

	"onsite/pipeline"
)

// Verdict is what is said about one earlier clip.
type Verdict string

// The verdicts.
const (
	Same       Verdict = "same_recording"
	CannotTell Verdict = "cannot_tell"
	Different  Verdict = "different"
)

// Match is what the check found out about one earlier clip or photo.
type Match struct {
	Job        string
	SHA256     string
	Verdict    Verdict
	Identical  string  // "file" or "packets": the same bytes; else empty
	S          float64 // score of stage B, less what lengths, an odd line and a loose registration cost, plus what the sound gives; 0 where there was nothing to compare in time
	Score      float64 // same recording, 0..1 (Score of S); 1 for the same bytes
	Content    float64 // same content in view, 0..1
	Near       bool    // the pictures are near-duplicates, not just alike
	Parts      Parts
	Distance   int // smallest PDQ distance of pictures, or of parts of them with 6 or 12 added, 0..256; 257: no still was good enough
	Inliers    int // points of the best registration
	Transform  string
	Speed      float64 // how fast the earlier clip runs in this one
	Reversed   bool
	Level      float64 // motion of the earlier clip, grey levels per 0.1 s
	QueryLevel float64
	Backdrop   float64 // how alike what stands still in both looks, 0..1: one wall, or one picture of a wall
	Photo      float64 // share of the points that lie where they did, where there is no time to compare and they say that the picture itself is the same
	Sound      *Sound  // nil: no sound in one of them, or unlike ones

	// The common segment that says most, milliseconds; zero where nothing was aligned. Their end comes before their beginning when reversed.
	FromMS, ToMS, TheirFromMS, TheirToMS int64
	TheirDurationMS                      int64
	Pairs                                []Pair // moments that show the same, for looking at them side by side

	Segments []Segment // all common segments, in the order in which this clip shows them

	OtherSubject bool // as the candidate's

	ClearedBy string  // id of the mark by which an investigator took the match back; its verdict is Different then
	Cleared   Verdict // what the verdict would be without the mark

	again    refound // of a photo's points
	changed  changed // of its cells
	silent   float64 // S without what the sound gives
	residual float64 // of the best registration, as registered has them
	smaller  float64
	matches  int
}

// Pair is one moment in both clips, milliseconds.
type Pair struct {
	OurMS   int64 `json:"our_ms"`
	TheirMS int64 `json:"their_ms"`
}

// Result is what the check looked at.
type Result struct {
	Compared  int     // earlier clips and photos
	Matches   []Match // those that got the full score, most telling first
	SamePlace bool    // some earlier clip shows the same content, but is another recording
	Threshold float64 // same-recording score that counts as reused
	Flooded   int     // stills that match so much earlier footage that nothing was looked up for them (Config.Flooded)
}

// Candidate is one earlier clip or photo.
type Candidate struct {
	Job         string
	SHA256      string // of the media; may differ from the fingerprint's only where that is empty
	Fingerprint Fingerprint
	// OtherSubject says that it was handed in for another person. Nothing is decided by it; an investigator is told.
	OtherSubject bool
	Mark         string // id of the mark by which an investigator said that this pair is no copy; "" for none
}

// Known is a history that holds its fingerprints read. A service compares job after job with the same earlier footage; reading it anew
// for each would cost more than comparing.
type Known interface {
	pipeline.History
	// Candidates is Earlier, read.
	Candidates(ctx context.Context) ([]Candidate, error)
	// Twin gives earlier footage with the same bytes or the same coded packets (sha256, hex) as far as the history reaches at all, also
	// outside of what Candidates gives. ok is false if there is none.
	Twin(ctx context.Context, file, packets string) (c Candidate, ok bool, err error)
}
