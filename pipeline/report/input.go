package report

import "onsite/pipeline"

// Languages of the page and the table.
const (
	English = "en"
	Chinese = "zh"
)

// Input is everything that a page shows. Only Verdict is required; a section without content is left out.
type Input struct {
	Verdict    pipeline.Verdict
	Lang       string          // shown first: English (also when empty) or Chinese
	Name       string          // of the media, for people: a file name
	PolicyName string          // the verdict itself names only the policy's digest
	Notes      []pipeline.Text // shown at the top: what a reader must know about the material, such as that it was composed for a demo
	Pictures   []Picture       // keyframes
	References []Reference     // enrolled photos and site references
	Marks      []Mark          // drawn over keyframes
	Elements   []Element       // what the site should show, and whether it was found
	Segments   []Segment       // matched earlier footage
	Timeline   Timeline
	Ground     *Ground // nil: no map
	JSON       []byte  // the verdict as it was written; nil: marshalled here
}

// Picture is a keyframe to show. W and H are the size of the keyframe that boxes and outlines count in; the JPEG may be smaller.
type Picture struct {
	Keyframe int
	JPEG     []byte
	W, H     int
}

// RefFace is the kind of an enrolled photo of the person; the other kinds are those of pipeline.ReferenceKind.
const RefFace = "face"

// Reference is an enrolled photo of the person or a reference picture of the site. Name is what evidence calls it.
type Reference struct {
	Kind  string
	Name  string
	Label pipeline.Text // empty: the name
	JPEG  []byte
	W, H  int
}

// Mark is a rectangle or an outline over a keyframe, in the keyframe's pixels.
type Mark struct {
	Keyframe int
	Box      *pipeline.Box
	Outline  []pipeline.Point
	Label    pipeline.Text
	Good     bool // speaks for the person; drawn solid, else dashed
}

// Element is one thing that the site should show.
type Element struct {
	Kind      pipeline.ReferenceKind // or "sign"
	Name      string
	Outcome   pipeline.Outcome
	Reference string // name of the reference that matched, or the first one that was looked for
	Keyframe  *int   // where it was seen best
	Box       *pipeline.Box
	Outline   []pipeline.Point
	Wanted    []string // sign: the names to read
	Read      string   // sign: what was read
	Score     *float64
	Threshold *float64
	Note      pipeline.Text // such as: valid until
}

// ElementSign is the kind of an element that is a name to read.
const ElementSign pipeline.ReferenceKind = "sign"

// ElementElsewhere is the kind of what belongs to another place.
const ElementElsewhere pipeline.ReferenceKind = "elsewhere"

// Segment is one stretch of an earlier clip that was found again. Times are in milliseconds.
type Segment struct {
	Job                    string
	FromMS, ToMS           int64
	TheirFromMS, TheirToMS int64
	TheirDurationMS        int64 // of the earlier clip; 0: unknown
	Transform              string
	Score, Threshold       *float64
	Pairs                  []Pair
}

// Pair is the same moment in both clips. An empty TheirJPEG says that the earlier picture is gone; with an empty OurJPEG the nearest
// keyframe is shown.
type Pair struct {
	OurMS, TheirMS     int64
	OurJPEG, TheirJPEG []byte
}

// Timeline is what happens over the clip.
type Timeline struct {
	DurationMS   int64 // 0: the verdict's
	Motion       []Level
	People       []Span // presence of each tracked person
	Spans        []Span // reused, repeated or frozen stretches
	SceneChanges []int64
}

// Level is how much moves at a time, 0..1.
type Level struct {
	AtMS  int64
	Value float64
}

// Span is a stretch of the clip.
type Span struct {
	FromMS, ToMS int64
	Label        pipeline.Text
	Good         bool
}
