package scene

import (
	"slices"
	"time"

	"onsite/models"
	"onsite/pipeline"
)

// Element is one thing of a site that a clip should show.
type Element string

// The elements, in the order in which results list them.
const (
	Sign       Element = "sign" // a name to read
	Logo       Element = "logo"
	Storefront Element = "storefront"
	Poster     Element = "poster"
	Desk       Element = "desk"
	Cabinet    Element = "cabinet"
	Room       Element = "room"
	Screen     Element = "screen" // of a computer, seen by an object detector: no reference shows it
	Person     Element = "person" // somebody is in view
)

// Elements lists all elements in order.
var Elements = []Element{Sign, Logo, Storefront, Poster, Desk, Cabinet, Room, Screen, Person}

var elementOf = map[pipeline.ReferenceKind]Element{
	pipeline.RefSign: Sign, pipeline.RefLogo: Logo, pipeline.RefStorefront: Storefront, pipeline.RefPoster: Poster, pipeline.RefDesk: Desk,
	pipeline.RefCabinet: Cabinet, pipeline.RefRoom: Room,
}

// namesZH are the elements in the middle of a Chinese sentence; the English ones are their own names.
var namesZH = map[Element]string{Sign: "招牌", Logo: "标志", Storefront: "门头", Poster: "海报", Desk: "工位", Cabinet: "文件柜", Room: "房间", Screen: "屏幕", Person: "人"}

// missing is the reason for an element that was not found.
var missing = map[Element]pipeline.Code{
	Sign: pipeline.SignNotRead, Logo: pipeline.LogoMissing, Storefront: pipeline.StorefrontMismatch, Poster: pipeline.PosterMissing, Desk: pipeline.DeskMissing,
	Cabinet: pipeline.CabinetMissing, Room: pipeline.RoomMissing, Screen: pipeline.ScreenMissing, Person: pipeline.PersonMissing,
}

// Means says how an element was seen.
type Means string

// The means.
const (
	ByReference Means = "reference" // an enrolled picture matched
	ByText      Means = "text"      // its name was read
	ByObject    Means = "object"    // an object detector found it
	ByFace      Means = "face"      // the face check found somebody
	ByRoom      Means = "room"      // the whole picture is like photos of the room
	ByHead      Means = "head"      // a general impression, without any reference
)

// Why an element has its outcome, where that is not plain.
const (
	WhyNoReference = "no_reference"     // the site has nothing enrolled to look for
	WhyNoPoster    = "no_poster_valid"  // none of the site's posters hangs at the time
	WhyOutdated    = "outdated"         // a poster was seen whose time is over, or has not come
	WhyNearly      = "nearly"           // something like it was seen, too little to claim it
	WhyAngle       = "only_from_angles" // a desk seen from another side is mostly missed: not finding it says little
	WhyDetail      = "little_detail"    // the picture is too blurred, dark or empty to find anything
	WhyDiffers     = "other_content"    // the shape of the reference is there, with other content
	WhyOver        = "date_over"        // the poster says itself that it is over
	WhyBackground  = "no_background"    // rooms are not calibrated for the scene model that is installed
	WhyConfirmed   = "few_points"       // few points match, and the picture between them agrees
)

// Seen is what became of one wanted element.
type Seen struct {
	Element   Element          `json:"element"`
	Outcome   pipeline.Outcome `json:"outcome"`
	Why       string           `json:"why,omitempty"`
	Means     Means            `json:"means,omitempty"`
	Reference string           `json:"reference,omitempty"` // which of the site's references
	Wanted    string           `json:"wanted,omitempty"`    // sign: the name that was looked for, as the site has it
	Read      string           `json:"read,omitempty"`      // sign: what was read
	Object    string           `json:"object,omitempty"`    // what the object detector calls it
	Keyframe  *int             `json:"keyframe,omitempty"`
	AtMS      *int64           `json:"at_ms,omitempty"`
	Score     float64          `json:"score"`              // reference: inliers; text: similarity 0..1; room: deviations above other places
	Threshold float64          `json:"threshold"`          // of the score
	Coverage  float64          `json:"coverage,omitempty"` // share of the reference that the inliers span
	Agree     int              `json:"agree,omitempty"`    // parts of the reference whose content is the same, after registration
	Differ    int              `json:"differ,omitempty"`   // parts that show something else
	Covered   int              `json:"covered,omitempty"`  // parts that are hidden or washed out
	Compared  int              `json:"compared,omitempty"` // room: frames that were compared as a whole
	Alike     int              `json:"alike,omitempty"`    // room: how many of them are like its photos
	Sure      Certainty        `json:"sure,omitempty"`
	Mirrored  bool             `json:"mirrored,omitempty"`
	Outline   []pipeline.Point `json:"outline,omitempty"` // pixels of the keyframe, clockwise from the reference's upper left corner
	Box       *pipeline.Box    `json:"box,omitempty"`
	ValidFrom string           `json:"valid_from,omitempty"` // poster: days, in the site's time zone
	ValidTo   string           `json:"valid_to,omitempty"`
	Elsewhere []string         `json:"elsewhere,omitempty"` // poster: the sites where it hangs, when this is none of them
	Dates     []string         `json:"dates,omitempty"`     // poster: days that were read on it
	Prices    []string         `json:"prices,omitempty"`    // poster: prices that were read on it
}

// Certainty says in words how sure an outcome is. There is no probability: too few real visits are known to give one.
type Certainty string

// The certainties.
const (
	High   Certainty = "high"   // twice what is asked for, and the content agrees
	Medium Certainty = "medium" // what is asked for
	Low    Certainty = "low"    // near the threshold, or one weak means alone
)

// Result is the typed form of the check for the report.
type Result struct {
	Elements []Seen          `json:"elements"`
	Words    []Word          `json:"words"` // everything that was read
	Objects  []Sighting      `json:"objects,omitempty"`
	Against  []Contradiction `json:"against,omitempty"`
	Frames   []int           `json:"frames"`   // indexes of the frames that were looked at
	Mirrored bool            `json:"mirrored"` // the clip shows the place mirrored
	Views    []View          `json:"-"`        // frames that the scene embedder saw anyway, in the order in which it did
	Spent    Spent           `json:"-"`
}

// View is how the scene embedder saw a frame: for those who keep it with a fingerprint.
type View struct {
	At time.Duration
	models.Vector
}

// something tells whether anything was seen: an element, or what speaks for another place. Detectors see things in pictures that have too
// little detail to match.
func (r Result) something() bool {
	return len(r.Against) > 0 || slices.ContainsFunc(r.Elements, func(e Seen) bool { return e.Outcome == pipeline.Pass || e.Keyframe != nil })
}

// Spent is where the time went: wall time of single-threaded work, for the table of stages.
type Spent struct {
	Pick, Keypoints, Match, Text, Objects time.Duration
	Reads                                 int // lines recognised
}
