package index

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// MaxRadius is the largest distance that can be asked for, in bits: that at which PDQ's authors call two pictures the same.
const MaxRadius = 31

// Hash is a 256-bit hash.
type Hash [4]uint64

// Distance is the Hamming distance, 0..256.
func (h *Hash) Distance(o *Hash) int {
	return bits.OnesCount64(h[0]^o[0]) + bits.OnesCount64(h[1]^o[1]) + bits.OnesCount64(h[2]^o[2]) + bits.OnesCount64(h[3]^o[3])
}

// Frame is one hashed picture of a clip.
type Frame struct {
	AtMS uint32
	Hash Hash
}

// Clip is what the index keeps of one job.
type Clip struct {
	Job     string // the order of the strings is the order of acceptance (ULID)
	Subject string
	Site    string
	Seq     int64 // position in the tenant's feed, at least 1
	Frames  []Frame
}

// Asked is one picture of the clip that is looked for: its hash, and those of its mirrored or turned forms that count too.
type Asked struct {
	AtMS  uint32
	Forms []Hash
}

// Newest is a position after all others.
const Newest = math.MaxInt64

// Query asks for earlier clips with pictures like these.
type Query struct {
	Tenant string
	Frames []Asked // one whose first form was asked already is left out
	Radius int     // 0..MaxRadius

	// Scope: all clips of the tenant, or those of the subject or the site that are named here.
	Subject, Site string

	Before string // only jobs below; "": all
	From   string // only jobs from this one on; "": all
	AsOf   int64  // only up to this position of the feed; Newest: all
	Since  int64  // only after this position of the feed; 0: all

	Most  int // clips in the result, the best ones; 0: 100
	Flood int // a picture with more matches than this in one of its forms says nothing; 0: 1,000
}

const (
	defaultMost  = 100
	defaultFlood = 1000
	maxAsked     = 1024 // pictures of one query
	maxForms     = 8
)

// filled gives a query with its defaults, or says what is wrong with it.
func (q Query) filled() (Query, error) {
	if q.Most == 0 {
		q.Most = defaultMost
	}
	if q.Flood == 0 {
		q.Flood = defaultFlood
	}
	switch {
	case q.Tenant == "":
		return q, errors.New("look for hashes: the tenant is missing")
	case q.Radius < 0 || q.Radius > MaxRadius:
		return q, fmt.Errorf("look for hashes: the radius is 0 to %d bits, not %d", MaxRadius, q.Radius)
	case len(q.Frames) > maxAsked:
		return q, fmt.Errorf("look for hashes: %d pictures are too many, at most %d", len(q.Frames), maxAsked)
	case q.Most < 0 || q.Flood < 0:
		return q, fmt.Errorf("look for hashes: the limits are positive numbers, not %d clips and %d matches", q.Most, q.Flood)
	}
	seen := make(map[Hash]bool, len(q.Frames))
	frames := make([]Asked, 0, len(q.Frames))
	for _, f := range q.Frames {
		if len(f.Forms) == 0 || len(f.Forms) > maxForms {
			return q, fmt.Errorf("look for hashes: a picture has 1 to %d forms, not %d", maxForms, len(f.Forms))
		}
		if !seen[f.Forms[0]] {
			seen[f.Forms[0]] = true
			frames = append(frames, f)
		}
	}
	q.Frames = frames
	return q, nil
}

// wants says whether a clip is among those that a query asks for.
func (q *Query) wants(c *Clip) bool {
	return (q.Before == "" || c.Job < q.Before) && c.Job >= q.From && c.Seq > q.Since && c.Seq <= q.AsOf &&
		(q.Subject == "" && q.Site == "" || q.Subject != "" && c.Subject == q.Subject || q.Site != "" && c.Site == q.Site)
}

// Match is one earlier clip.
type Match struct {
	Job     string
	Subject string
	Site    string
	Seq     int64

	Frames   int    // pictures of the query that are like one of it
	Distance int    // of the most alike pair, which is:
	Form     int    // the form of the query's picture, position in Asked.Forms
	AtMS     uint32 // the query's picture
	TheirMS  uint32 // the earlier one
}

// Result is what was found: most matching pictures first, then the smallest distance, then the earlier job.
type Result struct {
	Matches []Match
	More    int      // clips beyond Query.Most
	Asked   int      // different pictures that were looked for
	Flooded []uint32 // AtMS of pictures that said nothing, since they are like too many: a wall, a logo, a test card
}

// check finds what a clip must not have.
func (c *Clip) check() error {
	if c.Job == "" || len(c.Job) > maxName || len(c.Subject) > maxName || len(c.Site) > maxName {
		return fmt.Errorf("index a clip: job, subject and site are at most %d bytes long, and a job is needed", maxName)
	}
	if c.Seq < 1 {
		return fmt.Errorf("index job %s: its position is %d, want 1 or more", c.Job, c.Seq)
	}
	return nil
}

// maxName bounds the length of an id, in bytes.
const maxName = 1 << 10
