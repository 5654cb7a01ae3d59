package policy

import "onsite/pipeline"

// Schema is the version of the policy file's form.
const Schema = "onsite.policy/1"

// Need says when a check is wanted.
type Need string

// The needs. A wanted check that was not made leads to review; an unwanted one is neither run nor counted.
const (
	Always      Need = "always"
	WithSite    Need = "with_site"    // as soon as the submission names a site with references
	WithHistory Need = "with_history" // as soon as there is earlier footage to compare with
	WithVideo   Need = "with_video"   // for clips; a single photo has no time to look at
	WithFence   Need = "with_fence"   // as soon as the submission names a site with a geofence, beacons or Wi-Fi stations
	Never       Need = "never"        // the check and its models do not run
)

// Action is what a finding leads to.
type Action string

// The actions, from weak to strong. ReviewUnlessProven is Abnormal for a finding that the pixels or bytes themselves prove
// (pipeline.Finding.Certain) and Review for one that a model estimated.
const (
	Ignore             Action = "ignore"
	Review             Action = "review"
	ReviewUnlessProven Action = "review_unless_proven"
	Abnormal           Action = "abnormal"
)

// Rule is what a policy says about one check. It has no word on a wanted check that was not made or broke off: that is always review.
type Rule struct {
	Need        Need   `yaml:"need" json:"need"`
	OnFail      Action `yaml:"on_fail" json:"on_fail"`
	OnUncertain Action `yaml:"on_uncertain" json:"on_uncertain"`
}

// Limits narrow what a submission may be, below the limits of the decoder. A nil field asks nothing.
type Limits struct {
	MaxBytes      *int64 `yaml:"max_bytes" json:"max_bytes,omitempty"`
	MaxPixels     *int64 `yaml:"max_pixels" json:"max_pixels,omitempty"`
	MinDurationMS *int64 `yaml:"min_duration_ms" json:"min_duration_ms,omitempty"`
	MaxDurationMS *int64 `yaml:"max_duration_ms" json:"max_duration_ms,omitempty"`
}

// Scope says whose earlier footage the reuse check compares with. The same bytes are found in the whole tenant, whatever the scope.
type Scope string

// The scopes.
const (
	ScopeSubject Scope = "subject" // the same person's
	ScopeSite    Scope = "site"    // that of the same site, and the same person's elsewhere
	ScopeTenant  Scope = "tenant"  // everybody's
)

// The history that a policy looks at unless it says otherwise. A copy is most often of the own clip or of a colleague's at the same place, and soon after.
const (
	DefaultScope  = ScopeSite
	DefaultNewest = 200
	DefaultDays   = 90
	// DefaultAlike is History.Alike of the built-in policies, and where a submission names none. It fills no policy: those of somebody's own mean what they meant.
	DefaultAlike = ScopeTenant
)

// History says which earlier footage the reuse check of the service compares with; `onsite verify` compares with the folder that it is
// given. A nil field means the default.
type History struct {
	Scope Scope `yaml:"scope" json:"scope"`
	// Alike is whose footage is searched for near-identical frames besides, by their hashes: the scope's where it is empty, which is no wider one. A policy
	// of a version that had no such field keeps its digest.
	Alike  Scope `yaml:"alike" json:"alike,omitempty"`
	Newest *int  `yaml:"newest" json:"newest"` // at most that many, the newest
	Days   *int  `yaml:"days" json:"days"`     // none older
}

// Filled gives the history with every default in its place.
func (h History) Filled() History {
	newest, days := DefaultNewest, DefaultDays
	if h.Scope == "" {
		h.Scope = DefaultScope
	}
	if h.Newest == nil {
		h.Newest = &newest
	}
	if h.Days == nil {
		h.Days = &days
	}
	return h
}

// Thresholds override the defaults of the checks. A nil field leaves the calibrated default of the check or of the model's manifest.
type Thresholds struct {
	Face     FaceThresholds     `yaml:"face" json:"face"`
	Liveness LivenessThresholds `yaml:"liveness" json:"liveness"`
	Reuse    ReuseThresholds    `yaml:"reuse" json:"reuse"`
	Scene    SceneThresholds    `yaml:"scene" json:"scene"`
}

// SceneWants says what the scene check looks for. Left out: everything for which the site has references or names.
type SceneWants struct {
	Want  []string `yaml:"want" json:"want,omitempty"`   // the elements, as SceneElements has them: each that is not seen is a finding of its own
	Today bool     `yaml:"today" json:"today,omitempty"` // the dates on a poster are read: one that says that it is over is outdated
	Heads bool     `yaml:"heads" json:"heads,omitempty"` // general impressions support or contradict what references could not settle
}

// LivenessWants says what the liveness check may look at beside what it always does.
type LivenessWants struct {
	// Skin lets it say whether the skin's colour changes with a heartbeat, yes or no, in the check's detail. It decides nothing, and no rate is
	// measured or kept. Off unless a policy asks for it; the face is then followed over the whole clip.
	Skin bool `yaml:"skin" json:"skin,omitempty"`
}

// FaceThresholds are for the face check.
type FaceThresholds struct {
	Threshold *float64 `yaml:"threshold" json:"threshold,omitempty"` // similarity at which two faces count as one person, 0..1
}

// LivenessThresholds are for the liveness check.
type LivenessThresholds struct {
	Threshold *float64 `yaml:"threshold" json:"threshold,omitempty"` // live score at which a face counts as live, 0..1
}

// ReuseThresholds are for the reuse check.
type ReuseThresholds struct {
	Threshold *float64 `yaml:"threshold" json:"threshold,omitempty"` // same-recording score at which footage counts as reused, 0..1
}

// SceneThresholds are for the scene check.
type SceneThresholds struct {
	Inliers *int     `yaml:"inliers" json:"inliers,omitempty"` // matched points at which a reference counts as seen
	Sign    *float64 `yaml:"sign" json:"sign,omitempty"`       // similarity at which a read name counts as the wanted one, 0..1
}

// Policy is one set of rules. It is made by Parse, Load, Find or Default, which validate it, and is not changed afterwards.
type Policy struct {
	Schema      string                      `yaml:"schema" json:"schema"`
	Name        string                      `yaml:"name" json:"name"`
	Version     int                         `yaml:"version" json:"version"`
	Description pipeline.Text               `yaml:"description" json:"description"`
	Media       []string                    `yaml:"media" json:"media"` // video, photo
	Limits      Limits                      `yaml:"limits" json:"limits"`
	Checks      map[pipeline.CheckName]Rule `yaml:"checks" json:"checks"`
	Reasons     map[pipeline.Code]Action    `yaml:"reasons" json:"reasons"` // instead of the check's on_fail, for one code
	Thresholds  Thresholds                  `yaml:"thresholds" json:"thresholds"`
	Scene       SceneWants                  `yaml:"scene" json:"scene,omitzero"`
	Liveness    LivenessWants               `yaml:"liveness" json:"liveness,omitzero"`
	History     History                     `yaml:"history" json:"history"`
	Speech      Speech                      `yaml:"speech" json:"speech,omitzero"`
	Challenge   Challenge                   `yaml:"challenge" json:"challenge,omitzero"`
	Reuse       Reuse                       `yaml:"reuse" json:"reuse,omitzero"`
	// EarlyExit lets a check stop early: liveness when nothing that it has not yet looked at can change its outcome, face when a few frames match
	// clearly, which somebody else in the frames between could, reuse when one earlier clip is the same recording: those that look weaker at first
	// are then left out, so a second source of the footage may not be named. Scores rest on fewer frames; the verdict says what was left out.
	EarlyExit bool `yaml:"early_exit" json:"early_exit,omitzero"`
}

// Accepts says whether the policy takes this kind of media (video or photo).
func (p Policy) Accepts(kind string) bool {
	for _, k := range p.Media {
		if k == kind {
			return true
		}
	}
	return false
}

// Wants says whether the policy asks for the check in a submission with or without a site and a history. A check that is not wanted must
// not run: no model of its own is called, and its result is not_checked with the reason not_wanted. A with_video check is wanted here;
// on a photo it answers not_checked: photo_no_time, which Decide then leaves aside. So is a with_fence check: without a fence it answers
// not_checked: no_fence.
func (p Policy) Wants(check pipeline.CheckName, hasSite, hasHistory bool) bool {
	switch p.Checks[check].Need {
	case Always, WithVideo, WithFence:
		return true
	case WithSite:
		return hasSite
	case WithHistory:
		return hasHistory
	default:
		return false
	}
}
