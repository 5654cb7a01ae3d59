package report

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/policy"
)

// page is what the template shows: everything is ready to print, nothing is decided in the template.
type page struct {
	Lang, HTMLLang string
	CSP            string
	Style          template.CSS
	Script         template.JS
	Brand          pipeline.Text
	Title          says
	Name           string
	Decision       string
	DecisionTitle  pipeline.Text
	Meaning        pipeline.Text
	MediaLine      pipeline.Text
	Facts          []fact
	Notes          []pipeline.Text
	Shared         []shared // pictures that are shown more than once
	Reasons        []reason
	Checks         []row
	Unasked        []pipeline.Text // titles of the checks that the policy does not ask for
	Keyframes      []shot
	Views          []shot // the same, enlarged
	Portrait       bool
	Photo          bool
	Enrolled       []shot
	Segments       []match
	Elements       []element
	Timeline       *timeline
	Ground         *ground
	Details        details
	JSON           string
}

// says is a text for an attribute: the first language stands in it, the script swaps it.
type says struct{ First, EN, ZH string }

func (b *builder) says(t pipeline.Text) says {
	t = cleanText(t)
	if b.in.Lang == Chinese {
		return says{t.ZH, t.EN, t.ZH}
	}
	return says{t.EN, t.EN, t.ZH}
}

// fact is a name with a value; Mono marks digests and ids.
type fact struct {
	Name  pipeline.Text
	Value pipeline.Text
	Mono  bool
}

// shared is a picture defined once in the page and used by its id.
type shared struct {
	ID   string
	W, H int
	Data template.URL
}

// shot is one drawn picture: a shared one through a window, with shapes over it.
type shot struct {
	ID      string // of the shared picture
	Anchor  string // of the enlarged picture, empty for none
	Prev    string
	Next    string
	View    string // viewBox
	Shapes  []shape
	Alt     says
	Caption pipeline.Text
	Sub     pipeline.Text
	Missing bool // there is no picture: only the caption is shown
}

type reason struct {
	Text    pipeline.Text
	Code    string
	Check   pipeline.Text
	Outcome outcome
	Lines   []pipeline.Text // evidence in words
	Shots   []shot
	More    int
	RefsAre pipeline.Text
	Refs    []shot // enrolled photos or references to compare with
	Pairs   []pair // the same moments of this upload and of earlier footage
	Link    string // to the section that shows more
	LinkTo  pipeline.Text
}

type outcome struct {
	Word  string // pass, fail, ...: picks colour and icon
	Title pipeline.Text
}

type row struct {
	Code     string
	Title    pipeline.Text
	Question pipeline.Text
	Answer   pipeline.Text
	Outcome  outcome
	Bar      *bar
	Near     bool
	Frames   int
	Error    string // technical text of an error
	Notes    []pipeline.Text
}

type details struct {
	Media, Verdict, Runtime, Inputs []fact
	Sandbox                         []string
	Models                          []pipeline.ModelRef
	Timings                         []timing
}

type timing struct {
	Name  pipeline.Text
	Width string
	Took  string
	Total bool
}

type builder struct {
	in       Input
	pictures map[int]Picture
	shots    map[int]string // keyframe -> id of the shared picture
	refs     map[string]int // name of a reference -> its index
	compared bool           // a reason shows the enrolled photos
}

func newBuilder(in Input) *builder {
	if in.Lang != Chinese {
		in.Lang = English
	}
	b := &builder{in: in, pictures: map[int]Picture{}, shots: map[int]string{}, refs: map[string]int{}}
	b.in.Pictures = slices.Clone(in.Pictures)
	slices.SortStableFunc(b.in.Pictures, func(x, y Picture) int { return x.Keyframe - y.Keyframe })
	for _, p := range b.in.Pictures {
		b.pictures[p.Keyframe] = p
	}
	for i, r := range in.References {
		if _, ok := b.refs[r.Name]; !ok {
			b.refs[r.Name] = i
		}
	}
	return b
}

func (b *builder) build() (page, error) {
	v := b.in.Verdict
	p := page{
		Lang: b.in.Lang, HTMLLang: map[string]string{English: "en", Chinese: "zh-Hans"}[b.in.Lang],
		Brand: word("report"), Name: clean(b.in.Name), Decision: decisionWord(v.Decision),
		DecisionTitle: cleanText(policy.DecisionTitle(v.Decision)), Meaning: policy.DecisionMeaning(v.Decision), MediaLine: mediaLine(v.Media),
		Photo: v.Media.Kind == "photo",
	}
	if p.Name == "" {
		p.Name = clean(v.Job)
	}
	title := policy.DecisionTitle(v.Decision)
	p.Title = b.says(pipeline.Text{EN: title.EN + " · " + p.Name + " · Onsite", ZH: title.ZH + " · " + p.Name + " · Onsite"})
	for _, n := range b.in.Notes {
		p.Notes = append(p.Notes, cleanText(n))
	}
	p.Shared = b.share()
	p.Facts = b.headFacts()
	for _, r := range v.Reasons {
		p.Reasons = append(p.Reasons, b.reason(r))
	}
	for _, name := range pipeline.CheckNames {
		c, ok := v.Checks[name]
		switch {
		case !ok:
		case c.Outcome == pipeline.NotChecked && c.Why == policy.WhyNotWanted:
			p.Unasked = append(p.Unasked, policy.CheckTitle(name))
		default:
			p.Checks = append(p.Checks, b.row(name, c))
		}
	}
	p.Keyframes, p.Portrait = b.keyframes(smallLabel)
	p.Views, _ = b.keyframes(largeLabel)
	if !b.compared {
		p.Enrolled = b.enrolled()
	}
	for _, s := range b.in.Segments {
		p.Segments = append(p.Segments, b.match(s))
	}
	for _, e := range b.in.Elements {
		p.Elements = append(p.Elements, b.element(e))
	}
	p.Timeline = b.timeline()
	p.Ground = b.groundOf(b.in.Ground)
	p.Details = b.details()
	raw := b.in.JSON
	if raw == nil {
		var err error
		if raw, err = json.MarshalIndent(v, "", "  "); err != nil {
			return page{}, fmt.Errorf("report of job %s: write the verdict as JSON: %w", v.Job, err)
		}
	}
	p.JSON = visibleJSON(raw)
	return p, nil
}

// share lists the pictures that are drawn by reference, keyframes and references, so that each is in the page once.
func (b *builder) share() []shared {
	var out []shared
	for _, p := range b.in.Pictures {
		if len(p.JPEG) == 0 || p.W < 1 || p.H < 1 {
			continue
		}
		id := fmt.Sprintf("k%d", p.Keyframe)
		b.shots[p.Keyframe] = id
		out = append(out, shared{id, p.W, p.H, data(p.JPEG)})
	}
	for i, r := range b.in.References {
		if len(r.JPEG) > 0 && r.W > 0 && r.H > 0 {
			out = append(out, shared{fmt.Sprintf("r%d", i), r.W, r.H, data(r.JPEG)})
		}
	}
	return out
}

// data is a picture as a data URI. The bytes come from our own encoder, and base64 holds nothing that ends an attribute.
func data(jpeg []byte) template.URL {
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpeg)) //nolint:gosec // base64 of bytes, no outside text
}

func (b *builder) headFacts() []fact {
	v := b.in.Verdict
	var out []fact
	add := func(key, value string) {
		if value != "" {
			out = append(out, fact{Name: word(key), Value: same(clean(value))})
		}
	}
	add("subject", v.Subject)
	add("site", v.Site)
	add("policy", b.in.PolicyName)
	if !v.CreatedAt.IsZero() {
		add("created", v.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return out
}

func (b *builder) row(name pipeline.CheckName, c pipeline.Check) row {
	r := row{
		Code: string(name), Title: policy.CheckTitle(name), Question: policy.CheckQuestion(name),
		Answer: cleanText(policy.CheckAnswer(name, c)), Outcome: outcomeOf(c.Outcome), Bar: scoreBar(name, c), Near: c.Near, Frames: c.Frames,
	}
	if r.Bar != nil {
		r.Bar.Alt = b.says(pipeline.Text{EN: "Score " + r.Bar.Score + ", " + r.Bar.Rule.EN, ZH: "得分 " + r.Bar.Score + "，" + r.Bar.Rule.ZH})
	}
	if said := slices.ContainsFunc(b.in.Verdict.Reasons, fromSigns); name != pipeline.CheckLiveness || !said {
		for _, n := range notes(name, c) {
			r.Notes = append(r.Notes, cleanText(n))
		}
	}
	if c.Outcome == pipeline.Error {
		r.Error = clean(c.Why)
	}
	return r
}

// decisionWord picks colour and icon.
func decisionWord(d pipeline.Decision) string {
	switch d {
	case pipeline.DecisionPass, pipeline.DecisionAbnormal, pipeline.DecisionReview:
		return string(d)
	default:
		return "not_checked"
	}
}

func outcomeOf(o pipeline.Outcome) outcome {
	word := string(o)
	switch o {
	case pipeline.Pass, pipeline.Fail, pipeline.Uncertain, pipeline.NotChecked, pipeline.Error:
	default:
		word = "error"
	}
	return outcome{Word: word, Title: cleanText(policy.OutcomeTitle(o))}
}

func (b *builder) details() details {
	v := b.in.Verdict
	var d details
	list := func(to *[]fact) func(key, value string, mono bool) {
		return func(key, value string, mono bool) {
			if value != "" {
				*to = append(*to, fact{word(key), same(clean(value)), mono})
			}
		}
	}
	m := list(&d.Media)
	m("file", b.in.Name, false)
	d.Media = append(d.Media, fact{word("format"), mediaLine(v.Media), false})
	m("sha", v.Media.SHA256, true)
	w := list(&d.Verdict)
	w("job", v.Job, true)
	w("tenant", v.Tenant, false)
	w("revision", fmt.Sprint(v.Revision), false)
	if !v.CreatedAt.IsZero() {
		w("created", v.CreatedAt.UTC().Format(time.RFC3339), false)
	}
	w("recipe", v.Recipe, true)
	w("policy", strings.TrimSpace(b.in.PolicyName+" "+v.Policy), true)
	w("program", "Onsite "+v.Onsite, false)
	r := list(&d.Runtime)
	r("provider", v.Runtime.Provider, false)
	r("processor", v.Runtime.CPU, false)
	r("onnxruntime", v.Runtime.ONNXRuntime, false)
	r("opencv", v.Runtime.OpenCV, false)
	r("libav", v.Runtime.Libav, false)
	i := list(&d.Inputs)
	i("claim", v.Inputs.Claim, true)
	i("enrolment_rev", fmt.Sprint(v.Inputs.EnrolmentRev), false)
	i("site_rev", fmt.Sprint(v.Inputs.SiteRev), false)
	i("history_as_of", fmt.Sprint(v.Inputs.HistoryAsOf), false)
	i("marks_as_of", fmt.Sprint(v.Inputs.MarksAsOf), false)
	for _, s := range v.Runtime.Sandbox {
		d.Sandbox = append(d.Sandbox, clean(s))
	}
	for _, x := range v.Models {
		d.Models = append(d.Models, pipeline.ModelRef{Task: clean(x.Task), Name: clean(x.Name), Version: clean(x.Version), SHA256: clean(x.SHA256)})
	}
	d.Timings = timings(v.TimingsMS)
	return d
}

// timings gives the steps in the order of the flow, and the total last. Steps run side by side, so that they may add up to more.
func timings(ms map[string]float64) []timing {
	longest := 0.0
	names := make([]string, 0, len(ms))
	for name, v := range ms {
		longest = max(longest, v)
		if name != "total" {
			names = append(names, name)
		}
	}
	place := func(n string) int {
		if i := slices.Index(stages, n); i >= 0 {
			return i
		}
		return len(stages)
	}
	slices.SortFunc(names, func(x, y string) int {
		if d := place(x) - place(y); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	var out []timing
	for _, n := range names {
		out = append(out, timing{Name: stage(n), Width: percent(ms[n], longest), Took: took(ms[n])})
	}
	if t, ok := ms["total"]; ok {
		out = append(out, timing{Name: word("total"), Width: percent(t, longest), Took: took(t), Total: true})
	}
	return out
}
