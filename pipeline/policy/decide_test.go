package policy

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onsite/pipeline"
)

type results = map[pipeline.CheckName]pipeline.Check

// clean gives a passed result for every check that video15 wants without a site.
func clean() results {
	return results{
		pipeline.CheckFace:         {Outcome: pipeline.Pass},
		pipeline.CheckLiveness:     {Outcome: pipeline.Pass},
		pipeline.CheckScene:        {Outcome: pipeline.NotChecked, Why: WhyNotWanted},
		pipeline.CheckReuse:        {Outcome: pipeline.Pass},
		pipeline.CheckAuthenticity: {Outcome: pipeline.Pass},
		pipeline.CheckPlace:        {Outcome: pipeline.NotChecked, Why: WhyNotWanted},
		pipeline.CheckSpeech:       {Outcome: pipeline.NotChecked, Why: WhyNotWanted},
	}
}

func found(o pipeline.Outcome, code pipeline.Code, certain bool) pipeline.Check {
	return pipeline.Check{Outcome: o, Findings: []pipeline.Finding{{Code: code, Outcome: o, Certain: certain}}}
}

func TestDecide(t *testing.T) {
	type reason struct {
		check pipeline.CheckName
		code  pipeline.Code
	}
	video15, noFace := builtin(t, "video15"), builtin(t, "no_face")
	for name, c := range map[string]struct {
		policy  Policy
		change  results
		want    pipeline.Decision
		reasons []reason
	}{
		"all passed":       {video15, nil, pipeline.DecisionPass, nil},
		"another person":   {video15, results{"face": found(pipeline.Fail, pipeline.FaceMismatch, false)}, pipeline.DecisionAbnormal, []reason{{"face", pipeline.FaceMismatch}}},
		"doubtful person":  {video15, results{"face": found(pipeline.Uncertain, pipeline.FaceUncertain, false)}, pipeline.DecisionReview, []reason{{"face", pipeline.FaceUncertain}}},
		"company in view":  {video15, results{"face": {Outcome: pipeline.Pass, Findings: []pipeline.Finding{{Code: pipeline.SeveralPeople, Outcome: pipeline.Uncertain}}}}, pipeline.DecisionReview, []reason{{"face", pipeline.SeveralPeople}}},
		"model says spoof": {video15, results{"liveness": found(pipeline.Fail, pipeline.SpoofSuspected, false)}, pipeline.DecisionReview, []reason{{"liveness", pipeline.SpoofSuspected}}},
		"still picture":    {video15, results{"authenticity": found(pipeline.Fail, pipeline.StaticImage, true)}, pipeline.DecisionAbnormal, []reason{{"authenticity", pipeline.StaticImage}}},
		"copy":             {video15, results{"reuse": found(pipeline.Fail, pipeline.FootageReused, false)}, pipeline.DecisionAbnormal, []reason{{"reuse", pipeline.FootageReused}}},
		"liveness proven otherwise": {video15, results{"liveness": found(pipeline.Fail, pipeline.LivenessUncertain, true)}, pipeline.DecisionAbnormal,
			[]reason{{"liveness", pipeline.LivenessUncertain}}},
		"liveness estimated otherwise": {video15, results{"liveness": found(pipeline.Fail, pipeline.LivenessUncertain, false)}, pipeline.DecisionReview,
			[]reason{{"liveness", pipeline.LivenessUncertain}}},
		"no consent": {video15, results{"face": {Outcome: pipeline.NotChecked, Why: WhyNoConsent}, "liveness": {Outcome: pipeline.NotChecked, Why: WhyNoConsent}}, pipeline.DecisionReview,
			[]reason{{"face", pipeline.NotCheckedWanted}, {"liveness", pipeline.NotCheckedWanted}}},
		"no history":                           {video15, results{"reuse": {Outcome: pipeline.NotChecked, Why: WhyNoHistory}}, pipeline.DecisionReview, []reason{{"reuse", pipeline.NotCheckedWanted}}},
		"not_wanted is no excuse under always": {video15, results{"reuse": {Outcome: pipeline.NotChecked, Why: WhyNotWanted}}, pipeline.DecisionReview, []reason{{"reuse", pipeline.NotCheckedWanted}}},
		"no site":                              {video15, results{"scene": {Outcome: pipeline.NotChecked, Why: WhyNoSite}}, pipeline.DecisionPass, nil},
		"site, but not made":                   {video15, results{"scene": {Outcome: pipeline.NotChecked, Why: WhyLowQuality}}, pipeline.DecisionReview, []reason{{"scene", pipeline.NotCheckedWanted}}},
		"broken check":                         {video15, results{"reuse": {Outcome: pipeline.Error, Why: "disk full"}}, pipeline.DecisionReview, []reason{{"reuse", pipeline.CheckFailed}}},
		"a word nobody knows":                  {video15, results{"reuse": {Outcome: "maybe"}}, pipeline.DecisionReview, []reason{{"reuse", pipeline.CheckFailed}}},
		"fails without a finding":              {video15, results{"reuse": {Outcome: pipeline.Fail}}, pipeline.DecisionReview, []reason{{"reuse", pipeline.CheckFailed}}},
		"broken check accuses nobody": {video15, results{"reuse": {Outcome: pipeline.Error, Findings: []pipeline.Finding{{Code: pipeline.FootageReused, Outcome: pipeline.Fail}}}}, pipeline.DecisionReview,
			[]reason{{"reuse", pipeline.CheckFailed}}},
		"unwanted checks do not count": {noFace, results{"scene": {Outcome: pipeline.Pass}, "face": found(pipeline.Fail, pipeline.FaceMismatch, false), "liveness": {Outcome: pipeline.Error}}, pipeline.DecisionPass, nil},
		"photo without face":           {noFace, results{"scene": {Outcome: pipeline.Pass}, "authenticity": {Outcome: pipeline.NotChecked, Why: WhyPhotoNoTime}}, pipeline.DecisionPass, nil},
		"weight before order": {video15, results{
			"face":         found(pipeline.Uncertain, pipeline.FaceUncertain, false),
			"liveness":     found(pipeline.Fail, pipeline.SpoofSuspected, false),
			"reuse":        {Outcome: pipeline.Fail, Findings: []pipeline.Finding{{Code: pipeline.SameContent, Outcome: pipeline.Uncertain}, {Code: pipeline.FootageReused, Outcome: pipeline.Fail}}},
			"authenticity": found(pipeline.Fail, pipeline.StaticImage, true),
		}, pipeline.DecisionAbnormal, []reason{
			{"reuse", pipeline.FootageReused}, {"authenticity", pipeline.StaticImage},
			{"face", pipeline.FaceUncertain}, {"liveness", pipeline.SpoofSuspected}, {"reuse", pipeline.SameContent},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			given := clean()
			for k, v := range c.change {
				given[k] = v
			}
			decision, reasons := c.policy.Decide(given)
			require.Equal(t, c.want, decision)
			var got []reason
			for _, r := range reasons {
				got = append(got, reason{r.Check, r.Code})
				require.NotEmpty(t, r.Text.EN)
				require.NotEmpty(t, r.Text.ZH)
			}
			require.Equal(t, c.reasons, got)
		})
	}
}

func TestDecideMissingCheckIsNotAPass(t *testing.T) {
	given := clean()
	delete(given, pipeline.CheckReuse)
	decision, reasons := builtin(t, "video15").Decide(given)
	require.Equal(t, pipeline.DecisionReview, decision)
	require.Len(t, reasons, 1)
	require.Equal(t, "The check “New footage” is required but could not be made. This counts neither for nor against the person.", reasons[0].Text.EN)
}

func TestDecideWordsAndEvidence(t *testing.T) {
	one, two := 1, 2
	logo := func(name string, at *int) pipeline.Finding {
		return pipeline.Finding{Code: pipeline.LogoMissing, Outcome: pipeline.Fail, Args: map[string]string{"name": name}, Evidence: []pipeline.Evidence{{Kind: "keyframe", Keyframe: at}}}
	}
	given := clean()
	given[pipeline.CheckScene] = pipeline.Check{Outcome: pipeline.Fail, Findings: []pipeline.Finding{logo("B", &one), logo("A {x} [y]", &two), logo("A {x} [y]", &one)}}
	given[pipeline.CheckReuse] = pipeline.Check{Outcome: pipeline.NotChecked, Why: WhyNoHistory}
	_, reasons := builtin(t, "video15").Decide(given)
	require.Len(t, reasons, 3)
	require.Equal(t, "The logo “A {x} [y]” of the site was not found in view.", reasons[0].Text.EN, "values are never taken for templates")
	require.Equal(t, []int{1, 2}, []int{*reasons[0].Evidence[0].Keyframe, *reasons[0].Evidence[1].Keyframe}, "the same reason once, with all its evidence")
	require.Equal(t, "画面中没有找到该地点的标志“B”。", reasons[1].Text.ZH)
	require.Equal(t, "The check “New footage” is required but could not be made: no earlier footage was given to compare with. This counts neither for nor against the person.", reasons[2].Text.EN)
	require.Equal(t, "“是否新拍摄”这项检查是必需的，但未能进行：没有提供可比对的历史录像。这既不作为合格，也不作为不合格。", reasons[2].Text.ZH)
}

// ---- properties ----

var severity = map[pipeline.Decision]int{pipeline.DecisionPass: 0, pipeline.DecisionReview: 1, pipeline.DecisionAbnormal: 2}

func anyPolicy(t *rapid.T) Policy {
	p := Policy{Schema: Schema, Name: "any", Version: 1, Description: pipeline.Text{EN: "x", ZH: "x"}, Media: []string{"video"}, Checks: map[pipeline.CheckName]Rule{}, Reasons: map[pipeline.Code]Action{}}
	for _, name := range pipeline.CheckNames {
		p.Checks[name] = Rule{
			Need:        rapid.SampledFrom(needs).Draw(t, "need"),
			OnFail:      rapid.SampledFrom(failActions).Draw(t, "on_fail"),
			OnUncertain: rapid.SampledFrom(softActions).Draw(t, "on_uncertain"),
		}
		r := p.Checks[name]
		r.OnUncertain = weaker(r.OnUncertain, r.OnFail)
		p.Checks[name] = r
	}
	for _, code := range rapid.SliceOfN(rapid.SampledFrom(pipeline.Codes[:len(pipeline.Codes)-len(systemCodes)]), 0, 5).Draw(t, "codes") {
		p.Reasons[code] = rapid.SampledFrom(failActions).Draw(t, "action")
	}
	p.fill()
	if err := p.Validate(); err != nil {
		t.Skip("wants nothing")
	}
	return p
}

func anyCheck(t *rapid.T) pipeline.Check {
	c := pipeline.Check{Outcome: rapid.SampledFrom([]pipeline.Outcome{pipeline.Pass, pipeline.Fail, pipeline.Uncertain, pipeline.NotChecked, pipeline.Error}).Draw(t, "outcome")}
	if c.Outcome == pipeline.NotChecked {
		c.Why = rapid.SampledFrom([]string{"", WhyNoSite, WhyNoConsent, WhyNotWanted, WhyNoHistory, WhyPhotoNoTime}).Draw(t, "why")
	}
	for range rapid.IntRange(0, 3).Draw(t, "findings") {
		k := rapid.IntRange(0, 3).Draw(t, "keyframe")
		c.Findings = append(c.Findings, pipeline.Finding{
			Code:     rapid.SampledFrom(pipeline.Codes).Draw(t, "code"),
			Outcome:  rapid.SampledFrom([]pipeline.Outcome{pipeline.Fail, pipeline.Uncertain}).Draw(t, "strength"),
			Certain:  rapid.Bool().Draw(t, "certain"),
			Args:     map[string]string{"name": rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name")},
			Evidence: []pipeline.Evidence{{Kind: "keyframe", Keyframe: &k}},
		})
	}
	return c
}

func anyResults(t *rapid.T) results {
	out := results{}
	for _, name := range pipeline.CheckNames {
		if rapid.Bool().Draw(t, "given") {
			out[name] = anyCheck(t)
		}
	}
	return out
}

// Making what a check says worse never improves the decision: a pass becomes uncertain or a failure, an uncertain finding becomes a
// failed one, an estimated one a proven one, another finding comes in, a check breaks off instead of passing, or is not made at all.
func TestDecideIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, before := anyPolicy(t), anyResults(t)
		name := rapid.SampledFrom(pipeline.CheckNames).Draw(t, "worse check")
		after := results{}
		for k, v := range before {
			after[k] = v
		}
		c, given := after[name]
		if !given || c.Outcome == pipeline.NotChecked || c.Outcome == pipeline.Error {
			t.Skip("nothing to worsen")
		}
		c.Findings = append([]pipeline.Finding(nil), c.Findings...)
		switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
		case kind == 0 && len(c.Findings) > 0:
			c.Findings[0].Outcome = pipeline.Fail
		case kind == 1 && len(c.Findings) > 0:
			c.Findings[0].Certain = true
		case kind == 2:
			c.Findings = append(c.Findings, pipeline.Finding{Code: pipeline.FaceMismatch, Outcome: rapid.SampledFrom([]pipeline.Outcome{pipeline.Fail, pipeline.Uncertain}).Draw(t, "extra")})
		case kind == 3 && c.Outcome == pipeline.Pass && len(c.Findings) == 0:
			c = pipeline.Check{Outcome: rapid.SampledFrom([]pipeline.Outcome{pipeline.Uncertain, pipeline.Fail, pipeline.Error}).Draw(t, "worse")}
		case kind == 4 && c.Outcome == pipeline.Pass && len(c.Findings) == 0:
			c = pipeline.Check{Outcome: pipeline.NotChecked}
		}
		after[name] = c
		was, _ := p.Decide(before)
		is, _ := p.Decide(after)
		if silent(before[name]) && !silent(c) {
			return // naming what was found takes the place of a failure without a name
		}
		if severity[is] < severity[was] {
			t.Fatalf("%s: %+v gives %s, the worse %+v gives %s", name, before[name], was, c, is)
		}
	})
}

// silent is a check that fails or doubts without saying why; Decide sends it to review as broken.
func silent(c pipeline.Check) bool {
	fail, doubt := false, false
	for _, f := range c.Findings {
		fail = fail || f.Outcome == pipeline.Fail
		doubt = true
	}
	return (c.Outcome == pipeline.Fail && !fail) || (c.Outcome == pipeline.Uncertain && !doubt)
}

// A wanted check that was not made is review by itself, whatever it carries; an unwanted one changes nothing.
func TestNotCheckedIsNeverPassOrAbnormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPolicy(t)
		given := results{}
		for _, name := range pipeline.CheckNames {
			given[name] = pipeline.Check{Outcome: pipeline.Pass}
		}
		base, _ := p.Decide(given)
		if base != pipeline.DecisionPass {
			t.Fatalf("all passed gives %s", base)
		}
		name := rapid.SampledFrom(pipeline.CheckNames).Draw(t, "check")
		c := anyCheck(t)
		c.Outcome = pipeline.NotChecked
		given[name] = c
		want := pipeline.DecisionReview
		if p.Checks[name].Need == Never || p.Checks[name].Need.excuses(c.Why) {
			want = pipeline.DecisionPass
		}
		if got, reasons := p.Decide(given); got != want {
			t.Fatalf("%s under %s, not checked (%q): %s %v, want %s", name, p.Checks[name].Need, c.Why, got, reasons, want)
		}
	})
}

func TestDecideDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, given := anyPolicy(t), anyResults(t)
		decision, reasons := p.Decide(given)
		for name, c := range given {
			c.Findings = append([]pipeline.Finding(nil), c.Findings...)
			rng := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"+string(name))))
			rng.Shuffle(len(c.Findings), func(i, j int) { c.Findings[i], c.Findings[j] = c.Findings[j], c.Findings[i] })
			given[name] = c
		}
		again, others := p.Decide(given)
		if decision != again || !equalReasons(reasons, others) {
			t.Fatalf("%s %+v\n%s %+v", decision, reasons, again, others)
		}
	})
}

func equalReasons(a, b []pipeline.Reason) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Code != b[i].Code || a[i].Check != b[i].Check || a[i].Text != b[i].Text || len(a[i].Evidence) != len(b[i].Evidence) {
			return false
		}
		for j := range a[i].Evidence {
			if form(a[i].Evidence[j]) != form(b[i].Evidence[j]) {
				return false
			}
		}
	}
	return true
}

// Reasons fit the decision: none for a pass, at least one for the rest, and the weightiest first.
func TestReasonsFitTheDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, given := anyPolicy(t), anyResults(t)
		decision, reasons := p.Decide(given)
		if (decision == pipeline.DecisionPass) != (len(reasons) == 0) {
			t.Fatalf("%s with %d reasons", decision, len(reasons))
		}
		for _, r := range reasons {
			if p.Checks[r.Check].Need == Never {
				t.Fatalf("reason %s of %s, which is not wanted", r.Code, r.Check)
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	p := builtin(b, "video15")
	given := clean()
	for i := range 20 {
		c := given[pipeline.CheckFace]
		c.Findings = append(c.Findings, pipeline.Finding{Code: pipeline.FaceMismatch, Outcome: pipeline.Fail, Args: map[string]string{"n": fmt.Sprint(i)}})
		given[pipeline.CheckFace] = c
	}
	for b.Loop() {
		p.Decide(given)
	}
}

// A submission that names no policy is searched for as the built-in ones say (DefaultAlike).
func TestBuiltInPoliciesLookEverywhere(t *testing.T) {
	for _, name := range []string{"video15", "photo"} {
		p, err := Default(name)
		require.NoError(t, err)
		require.Equal(t, DefaultAlike, p.History.Alike, name)
	}
}
