package reuse

import (
	"fmt"
	"math"
)

// Config holds what turns scores into outcomes.
type Config struct {
	// Threshold is the same-recording score (0..1, Score) at which footage counts as reused.
	Threshold float64
	// CannotTell is the score from which up to Threshold nothing is claimed.
	CannotTell float64
	// Weak is the score from which up to CannotTell nothing is claimed where the pictures are near-duplicates or hardly move; otherwise
	// it is another take. The best of some hundred honest clips of one person and place comes this far now and then.
	Weak float64
	// LowMotion is the motion in grey levels per 0.1 s (95th percentile over cells) below which stage B cannot see a difference.
	LowMotion float64
	// Full is how many earlier clips get the full score, after a first look at all of them.
	Full int
	// EarlyExit, once an earlier clip is the same recording, compares only those whose first look is not weaker in every respect: the outcome is
	// fail whatever the others are. A second, weaker source of the same footage is then not named. Where investigators marked backgrounds or
	// pairs, which can take a match back, all are compared.
	EarlyExit bool `json:",omitzero"`

	// What follows belongs to the one submission, not to the settings: the recipe of a verdict does not have it, its inputs do.
	Backgrounds []Background `json:"-"` // what investigators marked as saying nothing
	Flooded     int          `json:"-"` // see Flooded, the interface
	// Known are the jobs that an earlier look named, for a look that has no picture: of photos, whose points that one looked for again, it asks
	// about no others. nil: about all.
	Known map[string]bool `json:"-"`
}

// The bands of S. The prototype measured 2,194 honest same-place pairs: none above 1.2, 11 above 1.1, 38 above 1.0; and 93 % of copies
// above 1.3. Over a history of some hundred clips 1 in 60 is too many to ask about, 1 in 500 is not.
const (
	sameRecordingS = 1.3
	cannotTellS    = 1.15
	weakS          = 1.0
)

// DefaultConfig is what the reuse check uses unless a policy says otherwise.
func DefaultConfig() Config {
	return Config{Threshold: Score(sameRecordingS), CannotTell: Score(cannotTellS), Weak: Score(weakS), LowMotion: 0.8, Full: 6}
}

// Validate says what is wrong with a configuration.
func (c Config) Validate() error {
	if !(c.Weak > 0 && c.Weak <= c.CannotTell && c.CannotTell <= c.Threshold && c.Threshold <= 1) || c.Full < 1 || c.LowMotion < 0 {
		return fmt.Errorf("reuse: want 0 < weak (%v) <= cannot tell (%v) <= threshold (%v) <= 1, at least one full comparison (%d), motion %v >= 0", c.Weak, c.CannotTell, c.Threshold, c.Full, c.LowMotion)
	}
	return nil
}

// sAt is the S that has a score, 0..1; infinite for 1.
func sAt(score float64) float64 { return sameRecordingS * math.Sqrt(score/(1-score)) }

// most is the greatest S that leaves a match to a person.
func (c Config) most() float64 { return sAt(c.Threshold) - 0.01 }

// Score brings S into 0..1: S²/(S²+1.3²), so that the same-recording threshold of S lies at one half. It orders as S does and is no
// probability.
func Score(s float64) float64 {
	if s <= 0 || math.IsNaN(s) {
		return 0
	}
	even := float64(sameRecordingS) // rounded as s is, so that the threshold is one half to the last bit
	return s * s / (s*s + even*even)
}
