package policy

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onsite/pipeline"
)

// Problem is one thing that is wrong with a policy.
type Problem struct {
	Field   string // where, as a dotted path
	Value   string // what is there
	Allowed string // what may be there
	Fix     string // what to do
}

// Error is one line.
func (p Problem) Error() string {
	return fmt.Sprintf("%s: %q is not accepted; allowed: %s; %s", p.Field, clip(p.Value), p.Allowed, p.Fix)
}

// Problems is everything that is wrong with a policy, in the order of the file's fields.
type Problems []Problem

// Error is one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps)+1)
	lines = append(lines, fmt.Sprintf("%d thing(s) to correct:", len(ps)))
	for _, p := range ps {
		lines = append(lines, "  "+p.Error())
	}
	return strings.Join(lines, "\n")
}

var (
	nameForm       = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	needs          = []Need{Always, WithSite, WithHistory, WithVideo, WithFence, Never}
	failActions    = []Action{Abnormal, ReviewUnlessProven, Review, Ignore}
	softActions    = []Action{Review, Ignore}
	onlyReview     = []Action{Review}
	mediaKinds     = []string{"video", "photo"}
	systemCodes    = []pipeline.Code{pipeline.CheckFailed, pipeline.NotCheckedWanted}
	maxVersion     = 1_000_000
	maxTextRunes   = 500
	maxLimitBytes  = int64(200 << 20)    // the decoder's own limit, design.md section 5: 200 MB
	maxLimitPixels = int64(50_000_000)   // 50 MP, likewise
	maxLimitMS     = int64(5 * 60 * 1e3) // 5 min, likewise
	scopes         = []Scope{ScopeSubject, ScopeSite, ScopeTenant}
	maxNewest      = 1000 // each job looks at all of them; a fingerprint takes a third of a megabyte of memory
	maxDays        = 1095 // as long as a verdict is kept
)

// Validate reports everything that is wrong at once, as Problems, or nil.
func (p Policy) Validate() error {
	var v validator
	v.head(p)
	v.limits(p.Limits)
	v.checks(p.Checks)
	v.reasons(p.Reasons)
	v.thresholds(p.Thresholds)
	v.scene(p.Scene)
	v.history(p.History)
	v.speech(p)
	v.liveness(p)
	v.challenge(p)
	if len(v) == 0 {
		return nil
	}
	return Problems(v)
}

type validator Problems

func (v *validator) add(field, value, allowed, fix string) {
	*v = append(*v, Problem{Field: field, Value: value, Allowed: allowed, Fix: fix})
}

func (v *validator) head(p Policy) {
	if p.Schema != Schema {
		v.add("schema", p.Schema, Schema, "write schema: "+Schema)
	}
	if !nameForm.MatchString(p.Name) {
		v.add("name", p.Name, "small letters, digits and _, beginning with a letter, at most 40", "give the policy such a name")
	}
	if p.Version < 1 || p.Version > maxVersion {
		v.add("version", strconv.Itoa(p.Version), "1 to "+strconv.Itoa(maxVersion), "count up with every change of the rules")
	}
	for _, t := range []struct{ field, text string }{{"description.en", p.Description.EN}, {"description.zh", p.Description.ZH}} {
		if n := len([]rune(t.text)); n == 0 || n > maxTextRunes {
			v.add(t.field, t.text, fmt.Sprintf("1 to %d characters", maxTextRunes), "say in a sentence what the policy is for")
		}
	}
	if len(p.Media) == 0 {
		v.add("media", "", strings.Join(mediaKinds, ", "), "list at least one kind of media")
	}
	for i, k := range p.Media {
		switch {
		case !slices.Contains(mediaKinds, k):
			v.add(fmt.Sprintf("media[%d]", i), k, strings.Join(mediaKinds, ", "), "correct or remove it")
		case slices.Index(p.Media, k) != i:
			v.add(fmt.Sprintf("media[%d]", i), k, "each kind once", "remove the repetition")
		}
	}
}

func (v *validator) limits(l Limits) {
	for _, b := range []struct {
		field string
		value *int64
		most  int64
	}{
		{"limits.max_bytes", l.MaxBytes, maxLimitBytes},
		{"limits.max_pixels", l.MaxPixels, maxLimitPixels},
		{"limits.min_duration_ms", l.MinDurationMS, maxLimitMS},
		{"limits.max_duration_ms", l.MaxDurationMS, maxLimitMS},
	} {
		if b.value != nil && (*b.value < 1 || *b.value > b.most) {
			v.add(b.field, strconv.FormatInt(*b.value, 10), fmt.Sprintf("1 to %d", b.most), "stay below the limit of the decoder, or leave the field out")
		}
	}
	if l.MinDurationMS != nil && l.MaxDurationMS != nil && *l.MinDurationMS > *l.MaxDurationMS {
		v.add("limits.min_duration_ms", strconv.FormatInt(*l.MinDurationMS, 10), fmt.Sprintf("at most max_duration_ms (%d)", *l.MaxDurationMS), "correct one of the two")
	}
}

func (v *validator) checks(checks map[pipeline.CheckName]Rule) {
	wanted := false
	for _, name := range sorted(checks) {
		r := checks[name]
		at := "checks." + clip(string(name))
		if !slices.Contains(pipeline.CheckNames, name) {
			v.add(at, string(name), list(pipeline.CheckNames), "correct the name of the check")
			continue
		}
		wanted = wanted || r.Need != Never
		oneOf(v, at+".need", r.Need, needs, "say when the check is wanted")
		oneOf(v, at+".on_fail", r.OnFail, failActions, "say what a failed check leads to")
		oneOf(v, at+".on_uncertain", r.OnUncertain, softActions, "an uncertain check never makes a verdict abnormal")
		if r.OnFail == Ignore && r.OnUncertain == Review {
			v.add(at+".on_uncertain", string(r.OnUncertain), "ignore", "a doubt cannot weigh more than a failure, which is ignored here")
		}
	}
	if !wanted {
		v.add("checks", "", "at least one check with a need other than never", "a policy that wants no check would pass everything")
	}
}

func (v *validator) reasons(reasons map[pipeline.Code]Action) {
	for _, code := range sorted(reasons) {
		at := "reasons." + clip(string(code))
		if _, ok := codeTexts[code]; !ok {
			v.add(at, string(code), list(pipeline.Codes), "correct the code")
			continue
		}
		allowed, fix := failActions, "say what this finding leads to"
		if slices.Contains(systemCodes, code) {
			allowed, fix = onlyReview, "a check that was not made or broke off leads to review"
		}
		oneOf(v, at, reasons[code], allowed, fix)
	}
}

func (v *validator) thresholds(t Thresholds) {
	for _, f := range []struct {
		field string
		value *float64
	}{
		{"thresholds.face.threshold", t.Face.Threshold},
		{"thresholds.liveness.threshold", t.Liveness.Threshold},
		{"thresholds.reuse.threshold", t.Reuse.Threshold},
		{"thresholds.scene.sign", t.Scene.Sign},
	} {
		// Written so that NaN is refused too.
		if f.value != nil && !(*f.value > 0 && *f.value < 1) {
			v.add(f.field, strconv.FormatFloat(*f.value, 'g', -1, 64), "more than 0 and less than 1", "use a calibrated value, or leave the field out")
		}
	}
	// Four points define the plane's transform; with fewer extra points than one nothing is tested.
	if n := t.Scene.Inliers; n != nil && (*n < 5 || *n > 1000) {
		v.add("thresholds.scene.inliers", strconv.Itoa(*n), "5 to 1000", "use a calibrated value, or leave the field out")
	}
}

func (v *validator) scene(s SceneWants) {
	for i, w := range s.Want {
		field := fmt.Sprintf("scene.want[%d]", i)
		oneOf(v, field, w, SceneElements, "name what must be in view, or leave want out for all that the site has")
		if slices.Contains(s.Want[:i], w) {
			v.add(field, w, "each once", "delete it")
		}
	}
}

func (v *validator) history(h History) {
	if h.Scope != "" {
		oneOf(v, "history.scope", h.Scope, scopes, "say whose earlier footage is compared with, or leave the field out")
	}
	if h.Alike != "" {
		oneOf(v, "history.alike", h.Alike, scopes, "say whose earlier footage is searched for near-identical frames, or leave the field out")
	}
	for _, n := range []struct {
		field string
		value *int
		most  int
		fix   string
	}{
		{"history.newest", h.Newest, maxNewest, "say how many earlier clips are compared with, or leave the field out; a check that is not wanted has need: never"},
		{"history.days", h.Days, maxDays, "say how many days back is looked, or leave the field out"},
	} {
		if n.value != nil && (*n.value < 1 || *n.value > n.most) {
			v.add(n.field, strconv.Itoa(*n.value), fmt.Sprintf("1 to %d", n.most), n.fix)
		}
	}
}

func oneOf[T ~string](v *validator, field string, value T, allowed []T, fix string) {
	if !slices.Contains(allowed, value) {
		v.add(field, string(value), list(allowed), fix)
	}
}

func list[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = string(a)
	}
	return strings.Join(words, ", ")
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
