package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

func builtin(t testing.TB, name string) Policy {
	t.Helper()
	p, err := Default(name)
	require.NoError(t, err)
	return p
}

func TestPoliciesSayWhatMustBeInView(t *testing.T) {
	require.Equal(t, SceneWants{Want: []string{"sign", "poster", "person"}, Today: true}, builtin(t, "shop_morning").Scene)
	require.Equal(t, SceneWants{Want: []string{"logo", "desk", "cabinet", "screen"}}, builtin(t, "office").Scene)
	plain := builtin(t, "video15")
	require.Zero(t, plain.Scene)
	other := plain
	other.Scene.Want = []string{"sign"}
	require.NotEqual(t, plain.Digest(), other.Digest())
	other.Scene.Want = []string{"sign", "door", "sign"}
	err := other.Validate()
	require.ErrorContains(t, err, `scene.want[1]: "door" is not accepted`)
	require.ErrorContains(t, err, "scene.want[2]")
}

func TestBuiltinPolicies(t *testing.T) {
	type want map[pipeline.CheckName]Need
	for name, needs := range map[string]want{
		"photo":        {pipeline.CheckFace: Always, pipeline.CheckLiveness: Always, pipeline.CheckScene: WithSite, pipeline.CheckReuse: Always, pipeline.CheckAuthenticity: Always, pipeline.CheckPlace: WithFence},
		"video15":      {pipeline.CheckFace: Always, pipeline.CheckLiveness: Always, pipeline.CheckScene: WithSite, pipeline.CheckReuse: Always, pipeline.CheckAuthenticity: Always, pipeline.CheckPlace: WithFence},
		"shop_morning": {pipeline.CheckFace: Always, pipeline.CheckLiveness: Always, pipeline.CheckScene: Always, pipeline.CheckReuse: Always, pipeline.CheckAuthenticity: Always},
		"office":       {pipeline.CheckFace: Always, pipeline.CheckLiveness: Always, pipeline.CheckScene: Always, pipeline.CheckReuse: Always, pipeline.CheckAuthenticity: Always},
		"no_face":      {pipeline.CheckFace: Never, pipeline.CheckLiveness: Never, pipeline.CheckScene: Always, pipeline.CheckReuse: Always, pipeline.CheckAuthenticity: WithVideo, pipeline.CheckPlace: WithFence},
	} {
		t.Run(name, func(t *testing.T) {
			p := builtin(t, name)
			require.Equal(t, name, p.Name)
			require.Len(t, p.Checks, len(pipeline.CheckNames), "every check is named")
			for check, need := range needs {
				require.Equal(t, need, p.Checks[check].Need, check)
			}
			require.Zero(t, p.Thresholds, "thresholds live with the checks and the models")
		})
	}
}

func TestNoFaceNeverWantsFaceModels(t *testing.T) {
	p := builtin(t, "no_face")
	for _, site := range []bool{false, true} {
		for _, history := range []bool{false, true} {
			require.False(t, p.Wants(pipeline.CheckFace, site, history))
			require.False(t, p.Wants(pipeline.CheckLiveness, site, history))
			require.True(t, p.Wants(pipeline.CheckScene, site, history))
			require.True(t, p.Wants(pipeline.CheckReuse, site, history))
			require.True(t, p.Wants(pipeline.CheckAuthenticity, site, history))
		}
	}
}

func TestWants(t *testing.T) {
	for _, c := range []struct {
		need          Need
		site, history bool
		want          bool
	}{
		{Always, false, false, true},
		{WithSite, false, true, false},
		{WithSite, true, false, true},
		{WithHistory, true, false, false},
		{WithHistory, false, true, true},
		{WithVideo, false, false, true},
		{WithFence, false, false, true},
		{Never, true, true, false},
		{"", true, true, false},
	} {
		p := Policy{Checks: map[pipeline.CheckName]Rule{pipeline.CheckScene: {Need: c.need}}}
		require.Equal(t, c.want, p.Wants(pipeline.CheckScene, c.site, c.history), "%+v", c)
	}
	require.False(t, Policy{}.Wants(pipeline.CheckFace, true, true))
}

func TestAccepts(t *testing.T) {
	p := builtin(t, "video15")
	require.True(t, p.Accepts("video"))
	require.False(t, p.Accepts("photo"))
}

const small = `
schema: onsite.policy/1
name: small
version: 3
description: {en: A test., zh: 测试。}
media: [video]
checks:
  face: {need: always}
`

func TestParseFillsTheUsual(t *testing.T) {
	p, err := Parse("small.yaml", []byte(small))
	require.NoError(t, err)
	require.Equal(t, Rule{Need: Always, OnFail: Abnormal, OnUncertain: Review}, p.Checks[pipeline.CheckFace])
	require.Equal(t, Never, p.Checks[pipeline.CheckScene].Need)
	require.Equal(t, "测试。", p.Description.ZH)

	require.Equal(t, ScopeSite, p.History.Scope)
	require.Equal(t, 200, *p.History.Newest)
	require.Equal(t, 90, *p.History.Days)

	p, err = Parse("small.yaml", []byte(strings.ReplaceAll(small, "{need: always}", "{need: always, on_fail: ignore}")))
	require.NoError(t, err)
	require.Equal(t, Ignore, p.Checks[pipeline.CheckFace].OnUncertain, "a doubt never weighs more than a failure")
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"empty":            {"", "is empty"},
		"only a comment":   {"# nothing\n", "policy x.yaml"},
		"unknown key":      {small + "colour: red\n", `unknown field "colour"`},
		"unknown rule key": {strings.ReplaceAll(small, "need: always", "need: always, on_pass: review"), `unknown field "on_pass"`},
		"rule on errors":   {strings.ReplaceAll(small, "need: always", "need: always, on_error: review"), `unknown field "on_error"`}, // it would have no effect
		"repeated key":     {small + "name: again\n", "name"},
		"two documents":    {small + "---\nname: b\n", "more than one YAML document"},
		"not a mapping":    {"- a\n- b\n", "policy x.yaml"},
		"wrong type":       {strings.ReplaceAll(small, "version: 3", "version: three"), "into the field Policy.Version of type int"},
		"not YAML":         {"{[", "policy x.yaml"},
		"alias":            {"a: &a [*a]", "anchors, aliases"},
		"endless alias":    {"&0: *0\n*0:\n*0:", "anchors, aliases"},
		"tag":              {"media: !!set\nname: a", "anchors, aliases"},
		"long":             {strings.Repeat("#", maxFileBytes+1), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(c.yaml))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n", "one clear line")
		})
	}
}

func TestValidateTellsEverythingAtOnce(t *testing.T) {
	_, err := Parse("bad.yaml", []byte(`
schema: onsite.policy/9
name: Not A Name
version: 0
description: {en: "", zh: 只有中文}
media: [video, film, video]
limits: {max_bytes: 0, max_duration_ms: 1000, min_duration_ms: 2000}
checks:
  face: {need: sometimes, on_fail: fire, on_uncertain: abnormal}
  aura: {need: always}
  scene: {need: with_site, on_fail: ignore, on_uncertain: review}
reasons: {face_mismatch: punish, bad_mood: review, check_failed: ignore}
thresholds: {face: {threshold: 1.5}, liveness: {threshold: .nan}, scene: {inliers: 2}}
history: {scope: world, alike: world, newest: 0, days: 5000}
`))
	var all Problems
	require.ErrorAs(t, err, &all)
	fields := make([]string, len(all))
	for i, p := range all {
		fields[i] = p.Field
		require.NotEmpty(t, p.Allowed.EN, p.Field)
		require.NotEmpty(t, p.Allowed.ZH, p.Field)
		require.Regexp(t, `\p{Han}`, p.Fix.ZH, p.Field)
		require.NotEmpty(t, p.Fix.EN, p.Field)
		require.Contains(t, err.Error(), p.Error())
	}
	require.Equal(t, []string{
		"schema", "name", "version", "description.en", "media[1]", "media[2]", "limits.max_bytes", "limits.min_duration_ms",
		"checks.aura", "checks.face.need", "checks.face.on_fail", "checks.face.on_uncertain",
		"checks.scene.on_uncertain", "reasons.bad_mood", "reasons.check_failed", "reasons.face_mismatch",
		"thresholds.face.threshold", "thresholds.liveness.threshold", "thresholds.scene.inliers",
		"history.scope", "history.alike", "history.newest", "history.days",
	}, fields)
	require.Equal(t, `checks.face.on_uncertain: "abnormal" is not accepted; allowed: review, ignore; an uncertain check never makes a verdict abnormal`, all[11].Error())
	var fault *Fault
	require.ErrorAs(t, err, &fault)
	require.Contains(t, fault.Text().ZH, "checks.face.on_uncertain：不接受 \"abnormal\"；允许：review, ignore；不确定的检查不会使结论成为异常")
	require.NotRegexp(t, "allowed|correct", fault.Text().ZH)
}

func TestValidateRefusesAPolicyThatWantsNothing(t *testing.T) {
	_, err := Parse("x", []byte(strings.ReplaceAll(small, "always", "never")))
	require.ErrorContains(t, err, "would pass everything")
}

func TestLoadAndFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.yaml")
	require.NoError(t, os.WriteFile(path, []byte(small), 0o600))
	p, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, "small", p.Name)
	p, err = Find(path)
	require.NoError(t, err)
	require.Equal(t, "small", p.Name)
	p, err = Find("no_face")
	require.NoError(t, err)
	require.Equal(t, "no_face", p.Name)

	_, err = Find("nowhere")
	require.ErrorContains(t, err, "photo, video15, shop_morning, office, no_face")
	_, err = Load(filepath.Join(t.TempDir(), "missing.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Load(t.TempDir())
	require.ErrorIs(t, err, pipeline.ErrNotRegular)
	pipe := filepath.Join(t.TempDir(), "pipe.yaml") // nobody writes to it: waiting would never end
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = Find(pipe)
	require.ErrorIs(t, err, pipeline.ErrNotRegular)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", maxFileBytes+1)), 0o600))
	_, err = Load(path)
	require.ErrorContains(t, err, "longer than")
}

func TestDigest(t *testing.T) {
	base, err := Parse("a", []byte(small))
	require.NoError(t, err)
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, base.Digest())

	same := []string{
		"# a comment\n" + small,
		strings.ReplaceAll(small, "A test.", "Other words."),
		strings.ReplaceAll(small, "{need: always}", "\n    need: \"always\"\n    on_fail: abnormal"),
		strings.ReplaceAll(small, "name: small\nversion: 3", "version: 3\nname: small"),
		small + "  speech: {need: never}\n",
		small + "history: {days: 90, newest: 200, scope: site}\n",
		small + "early_exit: false\n",
	}
	for i, y := range same {
		p, err := Parse("a", []byte(y))
		require.NoError(t, err)
		require.Equal(t, base.Digest(), p.Digest(), "form %d", i)
	}
	seen := map[string]string{base.Digest(): "base"}
	for i, y := range []string{
		strings.ReplaceAll(small, "version: 3", "version: 4"),
		strings.ReplaceAll(small, "always", "with_site"),
		strings.ReplaceAll(small, "{need: always}", "{need: always, on_fail: review}"),
		small + "reasons: {no_face: review}\n",
		small + "thresholds: {face: {threshold: 0.4}}\n",
		small + "limits: {max_duration_ms: 20000}\n",
		small + "early_exit: true\n",
		small + "history: {scope: subject}\n",
		small + "history: {alike: tenant}\n",
		small + "history: {newest: 100}\n",
		small + "history: {days: 30}\n",
		strings.ReplaceAll(small, "[video]", "[video, photo]"),
	} {
		p, err := Parse("a", []byte(y))
		require.NoError(t, err)
		require.NotContains(t, seen, p.Digest(), "rules %d", i)
		seen[p.Digest()] = y
	}
	a, err := Parse("a", []byte(strings.ReplaceAll(small, "[video]", "[video, photo]")))
	require.NoError(t, err)
	b, err := Parse("a", []byte(strings.ReplaceAll(small, "[video]", "[photo, video]")))
	require.NoError(t, err)
	require.Equal(t, a.Digest(), b.Digest())
}

func FuzzParse(f *testing.F) {
	for _, n := range Names {
		raw, err := files.ReadFile(n + ".yaml")
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte(small))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("checks: {face: {need: always}}\nthresholds: {face: {threshold: .inf}}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse("fuzz", raw)
		if err != nil {
			return
		}
		require.NoError(t, p.Validate())
		require.Regexp(t, `^sha256:[0-9a-f]{64}$`, p.Digest())
		decision, reasons := p.Decide(nil)
		require.NotEqual(t, pipeline.DecisionAbnormal, decision, "nothing was checked")
		wanted := false
		for _, name := range pipeline.CheckNames {
			wanted = wanted || p.Wants(name, true, true)
		}
		require.True(t, wanted)
		require.Equal(t, pipeline.DecisionReview, decision, fmt.Sprint(reasons))
	})
}

// Whoever claims nothing of where he is, at a site with a fence, is told apart from a site that has none.
func TestPlaceIsWantedWithAFence(t *testing.T) {
	for _, name := range Names {
		p := builtin(t, name)
		for why, want := range map[string]pipeline.Decision{
			WhyNoFence: pipeline.DecisionPass, WhyNoSite: pipeline.DecisionPass, WhyNotWanted: pipeline.DecisionPass, WhyNoClaim: pipeline.DecisionReview,
		} {
			checks := map[pipeline.CheckName]pipeline.Check{}
			for check := range p.Checks {
				checks[check] = pipeline.Check{Outcome: pipeline.Pass}
			}
			checks[pipeline.CheckPlace] = pipeline.Check{Outcome: pipeline.NotChecked, Why: why}
			decision, _ := p.Decide(checks)
			require.Equal(t, want, decision, "%s: %s", name, why)
		}
	}
}

func TestWhatPlaceAndStreamLeadTo(t *testing.T) {
	p := builtin(t, "video15")
	decide := func(check pipeline.CheckName, code pipeline.Code, o pipeline.Outcome, certain bool) pipeline.Decision {
		checks := map[pipeline.CheckName]pipeline.Check{}
		for c := range p.Checks {
			checks[c] = pipeline.Check{Outcome: pipeline.Pass}
		}
		checks[check] = pipeline.Check{Outcome: o, Findings: []pipeline.Finding{{Code: code, Outcome: o, Certain: certain}}}
		d, _ := p.Decide(checks)
		return d
	}
	require.Equal(t, pipeline.DecisionAbnormal, decide(pipeline.CheckAuthenticity, pipeline.InjectedStream, pipeline.Fail, true))
	require.Equal(t, pipeline.DecisionReview, decide(pipeline.CheckAuthenticity, pipeline.InjectedStream, pipeline.Fail, false))
	require.Equal(t, pipeline.DecisionReview, decide(pipeline.CheckAuthenticity, pipeline.StreamAltered, pipeline.Fail, true))
	require.Equal(t, pipeline.DecisionAbnormal, decide(pipeline.CheckPlace, pipeline.OutsideGeofence, pipeline.Fail, false))
	for _, code := range []pipeline.Code{
		pipeline.LocationMissing, pipeline.LocationConflict, pipeline.BeaconMissing, pipeline.MockLocation, pipeline.ImpossibleTravel, pipeline.ManyPlaces,
		pipeline.ClockSkew,
	} {
		require.Equal(t, pipeline.DecisionReview, decide(pipeline.CheckPlace, code, pipeline.Fail, true), code)
	}
	for _, name := range Names {
		p = builtin(t, name)
		require.Equal(t, pipeline.DecisionPass, decide(pipeline.CheckPlace, pipeline.OddHour, pipeline.Uncertain, false), name)
		require.Equal(t, pipeline.DecisionPass, decide(pipeline.CheckPlace, pipeline.SharedDevice, pipeline.Uncertain, false), "%s: a shop's tablet", name)
	}
}
