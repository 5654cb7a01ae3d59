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
	if all := p.problems(); len(all) > 0 {
		return all
	}
	return nil
}

func (p Policy) problems() Problems {
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
	return Problems(v)
}

type validator Problems

func (v *validator) add(field, value string, allowed, fix pipeline.Text) {
	*v = append(*v, Problem{Field: field, Value: value, Allowed: allowed, Fix: fix})
}

func (v *validator) head(p Policy) {
	if p.Schema != Schema {
		v.add("schema", p.Schema, same(Schema), said("write schema: "+Schema, "请写 schema: "+Schema))
	}
	if !nameForm.MatchString(p.Name) {
		v.add("name", p.Name, said("small letters, digits and _, beginning with a letter, at most 40", "小写字母、数字和 _，以字母开头，最多 40 个字符"), said("give the policy such a name", "请给策略取这样的名称"))
	}
	if p.Version < 1 || p.Version > maxVersion {
		v.add("version", strconv.Itoa(p.Version), saidf("1 to %d", "1 至 %d", maxVersion), said("count up with every change of the rules", "规则每次变更时加一"))
	}
	for _, t := range []struct{ field, text string }{{"description.en", p.Description.EN}, {"description.zh", p.Description.ZH}} {
		if n := len([]rune(t.text)); n == 0 || n > maxTextRunes {
			v.add(t.field, t.text, saidf("1 to %d characters", "1 至 %d 个字符", maxTextRunes), said("say in a sentence what the policy is for", "请用一句话说明该策略的用途"))
		}
	}
	if len(p.Media) == 0 {
		v.add("media", "", list(mediaKinds), said("list at least one kind of media", "请至少列出一种媒体"))
	}
	for i, k := range p.Media {
		switch {
		case !slices.Contains(mediaKinds, k):
			v.add(fmt.Sprintf("media[%d]", i), k, list(mediaKinds), said("correct or remove it", "请更正或删除"))
		case slices.Index(p.Media, k) != i:
			v.add(fmt.Sprintf("media[%d]", i), k, said("each kind once", "每种只写一次"), said("remove the repetition", "请删除重复项"))
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
			v.add(b.field, strconv.FormatInt(*b.value, 10), saidf("1 to %d", "1 至 %d", b.most), said("stay below the limit of the decoder, or leave the field out", "请不要超过解码器的限制，或省略此项"))
		}
	}
	if l.MinDurationMS != nil && l.MaxDurationMS != nil && *l.MinDurationMS > *l.MaxDurationMS {
		v.add("limits.min_duration_ms", strconv.FormatInt(*l.MinDurationMS, 10), saidf("at most max_duration_ms (%d)", "不大于 max_duration_ms（%d）", *l.MaxDurationMS), said("correct one of the two", "请更正两者之一"))
	}
}

func (v *validator) checks(checks map[pipeline.CheckName]Rule) {
	wanted := false
	for _, name := range sorted(checks) {
		r := checks[name]
		at := "checks." + clip(string(name))
		if !slices.Contains(pipeline.CheckNames, name) {
			v.add(at, string(name), list(pipeline.CheckNames), said("correct the name of the check", "请更正检查项的名称"))
			continue
		}
		wanted = wanted || r.Need != Never
		oneOf(v, at+".need", r.Need, needs, said("say when the check is wanted", "请说明何时需要此项检查"))
		oneOf(v, at+".on_fail", r.OnFail, failActions, said("say what a failed check leads to", "请说明检查不通过时的处理"))
		oneOf(v, at+".on_uncertain", r.OnUncertain, softActions, said("an uncertain check never makes a verdict abnormal", "不确定的检查不会使结论成为异常"))
		if r.OnFail == Ignore && r.OnUncertain == Review {
			v.add(at+".on_uncertain", string(r.OnUncertain), same("ignore"), said("a doubt cannot weigh more than a failure, which is ignored here", "疑点的处理不能重于不通过，而此处不通过被忽略"))
		}
	}
	if !wanted {
		v.add("checks", "", said("at least one check with a need other than never", "至少一项检查的 need 不为 never"), said("a policy that wants no check would pass everything", "不要求任何检查的策略会让所有提交通过"))
	}
}

func (v *validator) reasons(reasons map[pipeline.Code]Action) {
	for _, code := range sorted(reasons) {
		at := "reasons." + clip(string(code))
		if _, ok := codeTexts[code]; !ok {
			v.add(at, string(code), list(pipeline.Codes), said("correct the code", "请更正代码"))
			continue
		}
		allowed, fix := failActions, said("say what this finding leads to", "请说明发现此情况时的处理")
		if slices.Contains(systemCodes, code) {
			allowed, fix = onlyReview, said("a check that was not made or broke off leads to review", "未进行或中断的检查只会导致待复核")
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
			v.add(f.field, strconv.FormatFloat(*f.value, 'g', -1, 64), said("more than 0 and less than 1", "大于 0 且小于 1"), said("use a calibrated value, or leave the field out", "请使用经校准的值，或省略此项"))
		}
	}
	// Four points define the plane's transform; with fewer extra points than one nothing is tested.
	if n := t.Scene.Inliers; n != nil && (*n < 5 || *n > 1000) {
		v.add("thresholds.scene.inliers", strconv.Itoa(*n), said("5 to 1000", "5 至 1000"), said("use a calibrated value, or leave the field out", "请使用经校准的值，或省略此项"))
	}
}

func (v *validator) scene(s SceneWants) {
	for i, w := range s.Want {
		field := fmt.Sprintf("scene.want[%d]", i)
		oneOf(v, field, w, SceneElements, said("name what must be in view, or leave want out for all that the site has", "请写明画面中必须出现的内容；省略 want 则要求该地点登记的全部内容"))
		if slices.Contains(s.Want[:i], w) {
			v.add(field, w, said("each once", "每项只写一次"), said("delete it", "请删除"))
		}
	}
}

func (v *validator) history(h History) {
	if h.Scope != "" {
		oneOf(v, "history.scope", h.Scope, scopes, said("say whose earlier footage is compared with, or leave the field out", "请说明与谁的历史画面比对，或省略此项"))
	}
	if h.Alike != "" {
		oneOf(v, "history.alike", h.Alike, scopes, said("say whose earlier footage is searched for near-identical frames, or leave the field out", "请说明在谁的历史画面中查找近似画面，或省略此项"))
	}
	for _, n := range []struct {
		field string
		value *int
		most  int
		fix   pipeline.Text
	}{
		{"history.newest", h.Newest, maxNewest, said("say how many earlier clips are compared with, or leave the field out; a check that is not wanted has need: never", "请说明与多少段历史画面比对，或省略此项；不需要的检查请写 need: never")},
		{"history.days", h.Days, maxDays, said("say how many days back is looked, or leave the field out", "请说明向前查找多少天，或省略此项")},
	} {
		if n.value != nil && (*n.value < 1 || *n.value > n.most) {
			v.add(n.field, strconv.Itoa(*n.value), saidf("1 to %d", "1 至 %d", n.most), n.fix)
		}
	}
}

func oneOf[T ~string](v *validator, field string, value T, allowed []T, fix pipeline.Text) {
	if !slices.Contains(allowed, value) {
		v.add(field, string(value), list(allowed), fix)
	}
}

// list is the same in both languages: what a file has to hold is.
func list[T ~string](all []T) pipeline.Text {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = string(a)
	}
	return same(strings.Join(words, ", "))
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
