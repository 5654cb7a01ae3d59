package pipeline

import "time"

// Schema is the version of the verdict's JSON form. Readers ignore fields that they do not know.
const Schema = "onsite.verdict/1"

// Outcome is what one check found. NotChecked is never mixed up with Pass or Fail.
type Outcome string

// The outcomes of a check.
const (
	Pass       Outcome = "pass"
	Fail       Outcome = "fail"
	Uncertain  Outcome = "uncertain"
	NotChecked Outcome = "not_checked"
	Error      Outcome = "error"
)

// Decision is the answer for the whole job. Abnormal is a finding for a person to look at, never a consequence by itself.
type Decision string

// The decisions of a verdict.
const (
	DecisionPass     Decision = "pass"
	DecisionAbnormal Decision = "abnormal"
	DecisionReview   Decision = "review"
)

// CheckName names one question of a verdict.
type CheckName string

// The checks.
const (
	CheckFace         CheckName = "face"
	CheckLiveness     CheckName = "liveness"
	CheckScene        CheckName = "scene"
	CheckReuse        CheckName = "reuse"
	CheckAuthenticity CheckName = "authenticity"
	CheckPlace        CheckName = "place"
	CheckSpeech       CheckName = "speech"
)

// CheckNames lists all checks in the order in which verdicts and reports show them.
var CheckNames = []CheckName{CheckFace, CheckLiveness, CheckScene, CheckReuse, CheckAuthenticity, CheckPlace, CheckSpeech}

// Code is the stable name of a reason.
type Code string

// The codes that checks give. Package policy holds their texts in English and Chinese and refuses a code without one.
const (
	FaceMismatch        Code = "face_mismatch"
	FaceUncertain       Code = "face_uncertain"   // the score lies in the band in which nothing is claimed
	FaceLowQuality      Code = "face_low_quality" // a face is there, but too small, blurred, turned or dark to compare
	FaceChanged         Code = "face_changed"     // the person in front changes within the clip
	NoFace              Code = "no_face"
	SeveralPeople       Code = "several_people"
	SpoofSuspected      Code = "spoof_suspected"
	LivenessUncertain   Code = "liveness_uncertain"
	StaticImage         Code = "static_image"
	ReplayedWithinClip  Code = "replayed_within_clip"
	FrozenPart          Code = "frozen_part" // the picture stands still for a while within moving footage
	LogoMissing         Code = "logo_missing"
	DeskMissing         Code = "desk_missing"
	StorefrontMismatch  Code = "storefront_mismatch"
	PosterMissing       Code = "poster_missing"
	PosterOutdated      Code = "poster_outdated"
	PosterDiffers       Code = "poster_differs" // the design of a poster with other content than the enrolled one
	CabinetMissing      Code = "cabinet_missing"
	RoomMissing         Code = "room_missing"
	ScreenMissing       Code = "screen_missing"
	PersonMissing       Code = "person_missing"
	SignNotRead         Code = "sign_not_read"
	EnvironmentMismatch Code = "environment_mismatch"
	FootageReused       Code = "footage_reused"
	SameContent         Code = "same_content"       // same place and content in view, but the same recording could not be told
	HistoryIncomplete   Code = "history_incomplete" // some earlier footage was not compared: it could not be read, or too much of it is alike
	NoSpeech            Code = "no_speech"
	VoiceWithoutLips    Code = "voice_without_lips" // a voice is heard, and the mouth in view keeps still
	WordsNotSaid        Code = "words_not_said"
	ChallengeFailed     Code = "challenge_failed"  // what was asked for was not done, or the challenge is not a fresh one of this person
	ChallengeMissing    Code = "challenge_missing" // the policy wants one, and the submission answers none
	InjectedStream      Code = "injected_stream"   // the file names a program that feeds, records or edits streams, where a camera should have written it
	StreamAltered       Code = "stream_altered"    // traces of cutting, re-recording or a second encoding
	ClockSkew           Code = "clock_skew"        // the times of the device, the file and the server do not agree
	OutsideGeofence     Code = "outside_geofence"  // the claimed position lies outside the site
	LocationInexact     Code = "location_inexact"  // too inexact to say inside or outside
	LocationMissing     Code = "location_missing"  // the site has a fence or beacons, and the upload says nothing of where it was made
	LocationConflict    Code = "location_conflict" // the file's own position is not the claimed one
	BeaconMissing       Code = "beacon_missing"    // none of the site's beacons or Wi-Fi stations was in range
	MockLocation        Code = "mock_location"     // the device says that an app invents its position
	ImpossibleTravel    Code = "impossible_travel" // nobody gets here so soon from where the last upload was made
	ManyPlaces          Code = "many_places"       // uploads from many far places within few days
	OddHour             Code = "odd_hour"          // in the night, where this person never uploads
	SharedDevice        Code = "shared_device"     // the device was used for another person, too
	CheckFailed         Code = "check_failed"      // a check ended with an error
	NotCheckedWanted    Code = "wanted_not_checked"
)

// Check is the result of one question.
type Check struct {
	Outcome   Outcome        `json:"outcome"`
	Score     *float64       `json:"score,omitempty"`     // in the check's own unit, see its detail
	Threshold *float64       `json:"threshold,omitempty"` // the score at which the outcome turns
	Near      bool           `json:"near"`                // the score is so near its threshold that another machine may decide otherwise
	Frames    int            `json:"frames"`              // how many frames were looked at
	Why       string         `json:"why,omitempty"`       // not_checked, error: a code (no_site, no_consent, not_wanted, no_history, ...) or the error's text
	Detail    map[string]any `json:"detail,omitempty"`
	Findings  []Finding      `json:"-"`
}

// Finding is one thing that a check saw and that may become a reason.
type Finding struct {
	Code     Code
	Outcome  Outcome           // Fail or Uncertain: how strongly the check means it
	Certain  bool              // proven by the pixels or bytes themselves (frozen picture, looped frames), not estimated by a model
	Args     map[string]string // fills the {name} parts of the reason's texts
	Evidence []Evidence
}

// Text is one sentence in the two languages that every user-visible text has.
type Text struct {
	EN string `json:"en"`
	ZH string `json:"zh"`
}

// Box is an axis-parallel rectangle in pixels of the keyframe as it is stored (display orientation), x to the right, y down.
type Box struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// Point is a position in pixels of a keyframe.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Evidence is what a reason or a check points to. Kind says which fields are set.
type Evidence struct {
	Kind        string   `json:"kind"`               // keyframe, segment, match, text, loop, fact (label: what was seen; read: its proof)
	Keyframe    *int     `json:"keyframe,omitempty"` // index in media.keyframes
	Box         *Box     `json:"box,omitempty"`
	Outline     []Point  `json:"outline,omitempty"`   // matched plane, in order
	Reference   string   `json:"reference,omitempty"` // name of an enrolled photo or a site reference
	Label       string   `json:"label,omitempty"`     // what is marked: face, sign, poster, ...
	Read        string   `json:"read,omitempty"`      // text that was read
	Text        *Text    `json:"text,omitempty"`      // of a fact: read as a sentence in both languages, where it is one
	Job         string   `json:"job,omitempty"`       // earlier job (or file) that a segment belongs to
	FromMS      *int64   `json:"from_ms,omitempty"`
	ToMS        *int64   `json:"to_ms,omitempty"`
	TheirFromMS *int64   `json:"their_from_ms,omitempty"`
	TheirToMS   *int64   `json:"their_to_ms,omitempty"`
	Transform   string   `json:"transform,omitempty"` // of the copy against the earlier clip: none, mirrored, rotated_180, ...
	Score       *float64 `json:"score,omitempty"`
	Threshold   *float64 `json:"threshold,omitempty"`
}

// Labels of the keyframes beside a place where a recording does not go on as it was: the last one before it, the first one behind it.
const (
	LabelBefore = "before_joint"
	LabelBehind = "behind_joint"
)

// Labels of the keyframes that show the same: one of a stretch that is shown again and the one nearest to its repeat, whose from_ms is the moment at
// which the former returns; the first and the last one of a stretch in which the picture stands still.
const (
	LabelShown  = "shown"
	LabelAgain  = "shown_again"
	LabelStands = "stands_from"
	LabelStill  = "still_the_same"
)

// Reason is a finding that counts in the decision, with its words.
type Reason struct {
	Code     Code       `json:"code"`
	Check    CheckName  `json:"check"`
	Text     Text       `json:"text"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Keyframe names one stored picture of the media.
type Keyframe struct {
	Index int    `json:"index"`
	PTSMS int64  `json:"pts_ms"`
	PHash string `json:"phash"` // PDQ, 256 bit, hex
}

// MediaInfo says what was submitted, as the decoder measured it.
type MediaInfo struct {
	SHA256     string     `json:"sha256"`
	Kind       string     `json:"kind"` // video or photo
	Bytes      int64      `json:"bytes"`
	Container  string     `json:"container"`
	Codec      string     `json:"codec"`
	Width      int        `json:"width"` // display orientation
	Height     int        `json:"height"`
	DurationMS int64      `json:"duration_ms"`
	FPS        float64    `json:"fps"`
	Keyframes  []Keyframe `json:"keyframes"`
}

// ModelRef names one model that a verdict used.
type ModelRef struct {
	Task    string `json:"task"`
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Runtime says what the verdict was computed with.
type Runtime struct {
	Provider    string   `json:"provider"`
	ONNXRuntime string   `json:"onnxruntime"`
	Libav       string   `json:"libav"`
	OpenCV      string   `json:"opencv"`
	CPU         string   `json:"cpu"`
	Sandbox     []string `json:"sandbox"`
	// ModelSet says which models of a registry ran; nil: those that the program brings along.
	ModelSet *ModelSet `json:"model_set,omitempty"`
}

// ModelSet names the set of models of a verdict. A verdict is made by one set.
type ModelSet struct {
	Epoch  int64  `json:"epoch"`          // of the registry
	Digest string `json:"digest"`         // over the manifests of all models of the set, "sha256:..."
	Lane   string `json:"lane,omitempty"` // canary: the set was on trial; empty: it was the active one
}

// Inputs pins what the verdict saw besides the media, so that it can be made again.
type Inputs struct {
	Claim        string `json:"claim"` // sha256 of the claim's canonical JSON
	EnrolmentRev int    `json:"enrolment_rev"`
	SiteRev      int    `json:"site_rev"`
	HistoryAsOf  int64  `json:"history_as_of"`
	MarksAsOf    int64  `json:"marks_as_of"`
}

// Kept names one stored file of a verdict.
type Kept struct {
	Kind   string `json:"kind"` // keyframe or fingerprint
	Index  int    `json:"index"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // of the bytes before they were sealed
}

// Verdict is the reasoned answer for one job.
type Verdict struct {
	Schema     string              `json:"schema"`
	Job        string              `json:"job"`
	Tenant     string              `json:"tenant"`
	Subject    string              `json:"subject"`
	Site       string              `json:"site"`
	Media      MediaInfo           `json:"media"`
	Decision   Decision            `json:"decision"`
	Reasons    []Reason            `json:"reasons"`
	Checks     map[CheckName]Check `json:"checks"`
	Models     []ModelRef          `json:"models"`
	Recipe     string              `json:"recipe"`
	Policy     string              `json:"policy"`
	Onsite     string              `json:"onsite"`
	Runtime    Runtime             `json:"runtime"`
	Inputs     Inputs              `json:"inputs"`
	Revision   int                 `json:"revision"`
	Supersedes *string             `json:"supersedes"`
	Kept       []Kept              `json:"kept,omitempty"` // files that are stored beside it: so the verdict's digest vouches for them, too
	TimingsMS  map[string]float64  `json:"timings_ms"`
	CreatedAt  time.Time           `json:"created_at"`
}
