package challenge

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/speech"
)

func TestDraw(t *testing.T) {
	seen := map[pipeline.ChallengeKind]int{}
	texts := map[string]bool{}
	for range 400 {
		tasks, err := Draw(rand.Reader, pipeline.ChallengeKinds, 3)
		require.NoError(t, err)
		kinds := map[pipeline.ChallengeKind]bool{}
		for _, task := range tasks {
			kinds[task.Kind] = true
			seen[task.Kind]++
			switch task.Kind {
			case pipeline.SayDigits:
				require.Regexp(t, `^[0-9]{4}$`, task.Text)
			case pipeline.ShowCode:
				require.Regexp(t, `^[`+codeLetters+`]{6}$`, task.Text)
			default:
				require.Empty(t, task.Text)
				continue
			}
			texts[task.Text] = true
			for i := 1; i < len(task.Text); i++ {
				require.NotEqual(t, task.Text[i-1], task.Text[i])
			}
		}
		require.Len(t, kinds, 3, "no kind twice")
	}
	// Of six kinds one of the two that nobody can foresee, then two of the other five: 2/5 of 400, and 7/10 for the two.
	for _, k := range pipeline.ChallengeKinds {
		want := 160.0
		if k == pipeline.SayDigits || k == pipeline.ShowCode {
			want = 280
		}
		require.InDelta(t, want, seen[k], 80, k) // 8 standard deviations of 10
	}
	for range 50 {
		tasks, err := Draw(rand.Reader, policy.DefaultChallengeKinds, policy.DefaultChallengeTasks)
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(tasks, func(task Task) bool { return task.Kind == pipeline.ShowCode }), "movements alone can be recorded beforehand")
	}
	require.Greater(t, len(texts), 250)
	_, err := Draw(rand.Reader, pipeline.ChallengeKinds[:1], 2)
	require.Error(t, err)
	_, err = Draw(bytes.NewReader(nil), pipeline.ChallengeKinds, 1)
	require.ErrorContains(t, err, "no chance")
}

func TestEveryKindAndProblemHasWords(t *testing.T) {
	for _, k := range pipeline.ChallengeKinds {
		require.NotEqual(t, string(k), policy.ChallengeTitle(k).EN)
		ask := policy.ChallengeAsk(k, "X7")
		require.NotEmpty(t, ask.ZH)
		if k == pipeline.SayDigits || k == pipeline.ShowCode {
			require.Contains(t, ask.EN, "X7")
			require.Contains(t, ask.ZH, "X7")
		}
	}
	bare := policy.ReasonText(pipeline.ChallengeFailed, nil)
	for _, p := range []string{"used", "late", "unknown", "foreign", "not_seen", "little_seen", "slight", "other_side", "side_unknown", "order", "one_blink", "no_voice",
		"other_digits", "near_digits", "nothing_read", "other_code", "near_code", "more_moves"} {
		said := policy.ReasonText(pipeline.ChallengeFailed, map[string]string{"problem": p, "task": "nod"})
		require.NotEqual(t, bare, said)
		require.NotContains(t, said.EN+said.ZH, p+"]")
		require.NotContains(t, said.ZH, "_", "a code is no word")
		require.NotContains(t, said.EN, "_", p)
	}
}

// motion makes a clip's poses at ten a second from what head and eyes do.
func motion(do func(sec float64) (yaw, pitch, eyes float64)) []Pose {
	var out []Pose
	for at := time.Duration(0); at < clip; at += 100 * time.Millisecond {
		noise := math.Sin(float64(at) / 3e7)
		y, p, e := do(at.Seconds())
		out = append(out, Pose{At: at, Yaw: y + 3 + noise, Pitch: p - 8 - noise, Eyes: e})
	}
	return out
}

// bump rises and falls once between two times.
func bump(sec, from, to, high float64) float64 {
	if sec < from || sec > to {
		return 0
	}
	return high * math.Sin(math.Pi*(sec-from)/(to-from))
}

const clip = 12 * time.Second

func verify(camera Camera, s Seen, kinds ...pipeline.ChallengeKind) Result {
	g := Given{ID: "C", State: Fresh, Asked: Asked{Camera: camera}}
	for _, k := range kinds {
		g.Tasks = append(g.Tasks, Task{Kind: k, Text: map[pipeline.ChallengeKind]string{pipeline.SayDigits: "4271", pipeline.ShowCode: "K7M4PX"}[k]})
	}
	s.Length = clip
	return Verify(g, s)
}

func TestTurns(t *testing.T) {
	still := func(float64) (float64, float64, float64) { return 0, 0, 1 }
	// The nose to the right side of the picture: the person's own left where the picture is plain.
	left := func(sec float64) (float64, float64, float64) { return bump(sec, 2, 5, -30), 0, 1 }
	leftRight := func(sec float64) (float64, float64, float64) { return bump(sec, 2, 5, -30) + bump(sec, 6, 9, 30), 0, 1 }
	slight := func(sec float64) (float64, float64, float64) { return bump(sec, 2, 5, -13), 0, 1 }
	P, F, U := pipeline.Pass, pipeline.Fail, pipeline.Uncertain
	L, R := pipeline.TurnLeft, pipeline.TurnRight
	for name, c := range map[string]struct {
		do     func(float64) (float64, float64, float64)
		camera Camera
		kinds  []pipeline.ChallengeKind
		want   []pipeline.Outcome
		why    string
		shows  Camera
	}{
		"left":                         {left, Plain, []pipeline.ChallengeKind{L}, []pipeline.Outcome{P}, "", Plain},
		"left in a mirror":             {left, Mirrored, []pipeline.ChallengeKind{R}, []pipeline.Outcome{P}, "", Mirrored},
		"the wrong side":               {left, Plain, []pipeline.ChallengeKind{R}, []pipeline.Outcome{F}, "other_side", Plain},
		"the wrong side in a mirror":   {left, Mirrored, []pipeline.ChallengeKind{L}, []pipeline.Outcome{F}, "other_side", Mirrored},
		"nobody says which":            {left, Unsaid, []pipeline.ChallengeKind{L}, []pipeline.Outcome{P}, "", Unsaid},
		"the other side, perhaps":      {left, Unsaid, []pipeline.ChallengeKind{R}, []pipeline.Outcome{U}, "side_unknown", Unsaid},
		"both, plain":                  {leftRight, Unsaid, []pipeline.ChallengeKind{L, R}, []pipeline.Outcome{P, P}, "", Unsaid},
		"both, which fits a mirror":    {leftRight, Unsaid, []pipeline.ChallengeKind{R, L}, []pipeline.Outcome{P, P}, "", Mirrored},
		"both, in the other order":     {leftRight, Plain, []pipeline.ChallengeKind{R, L}, []pipeline.Outcome{P, U}, "", Plain},
		"no turn":                      {still, Plain, []pipeline.ChallengeKind{L}, []pipeline.Outcome{F}, "not_seen", Plain},
		"no turn, whatever the camera": {still, Unsaid, []pipeline.ChallengeKind{L}, []pipeline.Outcome{F}, "not_seen", Unsaid},
		"a slight turn":                {slight, Plain, []pipeline.ChallengeKind{L}, []pipeline.Outcome{U}, "slight", Plain},
	} {
		got := verify(c.camera, Seen{Poses: motion(c.do)}, c.kinds...)
		for i, want := range c.want {
			require.Equal(t, want, got.Tasks[i].Outcome, "%s: %+v", name, got.Tasks)
		}
		if c.why != "" {
			require.Equal(t, c.why, got.Tasks[0].Why, name)
		}
		require.Equal(t, c.shows, got.Camera, name)
		require.Equal(t, worst(got.Tasks), got.Outcome)
	}
	got := verify(Plain, Seen{Poses: motion(left)}, L).Tasks[0]
	require.InDelta(t, 30, *got.Degrees, 5)
	require.InDelta(t, 2200, *got.FromMS, 400)
	require.InDelta(t, 4900, *got.ToMS, 500)

	half := motion(still)[:50]
	require.Equal(t, "little_seen", verify(Plain, Seen{Poses: half}, L).Tasks[0].Why, "what was not seen may have been done")
	none := verify(Plain, Seen{NoFace: "no_consent"}, L)
	require.Equal(t, pipeline.NotChecked, none.Outcome)
	require.Equal(t, "no_consent", none.Tasks[0].Why)
	require.Equal(t, pipeline.Uncertain, verify(Plain, Seen{}, L).Outcome)
}

func TestNodsAndOrder(t *testing.T) {
	nodding := func(sec float64) (float64, float64, float64) { return 0, bump(sec, 3, 4, -16), 1 }
	got := verify(Unsaid, Seen{Poses: motion(nodding)}, pipeline.Nod)
	require.Equal(t, pipeline.Pass, got.Outcome)
	require.InDelta(t, 16, *got.Tasks[0].Degrees, 4)
	turning := func(sec float64) (float64, float64, float64) {
		return bump(sec, 3, 4.5, -30), bump(sec, 3, 4.5, -10), 1
	}
	require.NotEqual(t, pipeline.Pass, verify(Unsaid, Seen{Poses: motion(turning)}, pipeline.Nod).Outcome, "a turn that dips is no nod")
	sinking := func(sec float64) (float64, float64, float64) { return 0, -math.Min(sec*3, 20), 1 }
	require.NotEqual(t, pipeline.Pass, verify(Unsaid, Seen{Poses: motion(sinking)}, pipeline.Nod).Outcome, "it never comes back")
	still := func(float64) (float64, float64, float64) { return 0, 0, 1 }
	require.Equal(t, pipeline.Fail, verify(Unsaid, Seen{Poses: motion(still)}, pipeline.Nod).Outcome)

	both := func(sec float64) (float64, float64, float64) { return bump(sec, 6, 9, -30), bump(sec, 3, 4, -16), 1 }
	require.Equal(t, pipeline.Pass, verify(Plain, Seen{Poses: motion(both)}, pipeline.Nod, pipeline.TurnLeft).Outcome)
	wrong := verify(Plain, Seen{Poses: motion(both)}, pipeline.TurnLeft, pipeline.Nod)
	require.Equal(t, pipeline.Uncertain, wrong.Outcome)
	require.Equal(t, "order", wrong.Tasks[1].Why)
}

func TestARecordingWithEveryMovement(t *testing.T) {
	every := func(sec float64) (float64, float64, float64) { // left, right, nod, and once more
		at := math.Mod(sec, 6)
		return bump(at, 0.3, 2.2, -30) + bump(at, 2.4, 4.2, 30), bump(at, 4.5, 5.5, -16), 1
	}
	L, R, N, C := pipeline.TurnLeft, pipeline.TurnRight, pipeline.Nod, pipeline.ShowCode
	code := []Reading{{Text: "K7M4PX"}}
	for _, kinds := range [][]pipeline.ChallengeKind{{L, R}, {R, L}, {L, N}, {N, L}, {R, N}, {N, R}, {L, C}, {C, N}} {
		for _, camera := range []Camera{Plain, Mirrored, Unsaid} {
			got := verify(camera, Seen{Poses: motion(every), Texts: code}, kinds...)
			require.Equal(t, pipeline.Uncertain, got.Outcome, "%v %s: %+v", kinds, camera, got.Tasks)
		}
	}
	require.Equal(t, "more_moves", verify(Plain, Seen{Poses: motion(every), Texts: code}, L, C).Tasks[0].Why)
	twice := func(sec float64) (float64, float64, float64) {
		return bump(sec, 1, 3, -30) + bump(sec, 4, 6, -30), bump(sec, 8, 8.8, -16) + bump(sec, 9, 9.8, -16), 1
	}
	require.Equal(t, pipeline.Pass, verify(Plain, Seen{Poses: motion(twice), Texts: code}, L, C).Outcome, "people repeat a turn, and look down at a code")
	require.Equal(t, pipeline.Uncertain, verify(Plain, Seen{Poses: motion(twice)}, L, N).Outcome)
	nodding := func(sec float64) (float64, float64, float64) {
		return 0, bump(sec, 3, 3.8, -16) + bump(sec, 4, 4.8, -16), 1
	}
	require.Equal(t, pipeline.Pass, verify(Plain, Seen{Poses: motion(nodding)}, N).Outcome, "who nods nods more than once")
}

func TestBlinks(t *testing.T) {
	shut := func(times ...float64) func(float64) (float64, float64, float64) {
		return func(sec float64) (float64, float64, float64) {
			for _, at := range times {
				if sec >= at && sec < at+0.35 {
					return 0, 0, 0.1
				}
			}
			return 0, 0, 0.95
		}
	}
	for name, c := range map[string]struct {
		times []float64
		want  pipeline.Outcome
	}{
		"twice":                     {[]float64{4, 5}, pipeline.Pass},
		"once":                      {[]float64{4}, pipeline.Uncertain},
		"as people do":              {[]float64{1, 5, 9.5}, pipeline.Uncertain},
		"never":                     {nil, pipeline.Fail},
		"asleep":                    {[]float64{4, 4.3, 4.6, 4.9, 5.2, 5.5}, pipeline.Fail},
		"among others":              {[]float64{1, 5, 6.5, 10}, pipeline.Pass},
		"at the very end of a clip": {[]float64{10, 11.7}, pipeline.Uncertain},
	} {
		got := verify(Unsaid, Seen{Poses: motion(shut(c.times...))}, pipeline.BlinkTwice)
		require.Equal(t, c.want, got.Outcome, "%s: %+v", name, got.Tasks)
	}
	var sparse []Pose
	for i, p := range motion(shut()) {
		if i%3 == 0 {
			sparse = append(sparse, p)
		}
	}
	require.Equal(t, pipeline.Uncertain, verify(Unsaid, Seen{Poses: sparse}, pipeline.BlinkTwice).Outcome, "a blink falls between these")
}

func TestDigits(t *testing.T) {
	voice := []speech.Segment{{From: time.Second, To: 3 * time.Second}}
	for name, c := range map[string]struct {
		seen Seen
		want pipeline.Outcome
		why  string
	}{
		"said":           {Seen{Voice: voice, Heard: "四二七幺"}, pipeline.Pass, ""},
		"almost":         {Seen{Voice: voice, Heard: "四二七"}, pipeline.Uncertain, "near_digits"},
		"others":         {Seen{Voice: voice, Heard: "nine nine nine"}, pipeline.Fail, "other_digits"},
		"nobody speaks":  {Seen{}, pipeline.Fail, "no_voice"},
		"no sound":       {Seen{NoVoice: "no_audio"}, pipeline.NotChecked, "no_audio"},
		"no transcriber": {Seen{Voice: voice, NoWords: speech.WhyNoTranscriber}, pipeline.NotChecked, "no_transcriber"},
		"too quick":      {Seen{Voice: []speech.Segment{{To: 300 * time.Millisecond}}, Heard: "4271"}, pipeline.Uncertain, "slight"},
	} {
		got := verify(Unsaid, c.seen, pipeline.SayDigits)
		require.Equal(t, c.want, got.Outcome, name)
		require.Equal(t, c.why, got.Tasks[0].Why, name)
	}
}

func TestCodes(t *testing.T) {
	for name, c := range map[string]struct {
		texts []string
		want  pipeline.Outcome
		why   string
	}{
		"shown":         {[]string{"SALE 50%", "K7M4PX"}, pipeline.Pass, ""},
		"with a label":  {[]string{"code: K7M 4PX"}, pipeline.Pass, ""},
		"one wrong":     {[]string{"K7M4PY"}, pipeline.Pass, ""},
		"two wrong":     {[]string{"K7W4PY"}, pipeline.Uncertain, "near_code"},
		"small letters": {[]string{"k7m4px"}, pipeline.Pass, ""},
		"an old one":    {[]string{"CE9TWA", "CE9TWA", "CE9TWA"}, pipeline.Fail, "other_code"},
		"a tag, once":   {[]string{"CE9TWA", "WELCOME"}, pipeline.Uncertain, "other_code"},
		"misreadings":   {[]string{"CE9TWA", "CE9TWH", "CF9TWA"}, pipeline.Uncertain, "other_code"},
		"other text":    {[]string{"WELCOME TO THE STORE", "欢迎光临"}, pipeline.Uncertain, "nothing_read"},
		"no text":       {nil, pipeline.Uncertain, "nothing_read"},
	} {
		s := Seen{}
		for i, text := range c.texts {
			s.Texts = append(s.Texts, Reading{Keyframe: i, At: time.Duration(i) * time.Second, Text: text})
		}
		got := verify(Unsaid, s, pipeline.ShowCode)
		require.Equal(t, c.want, got.Outcome, name)
		require.Equal(t, c.why, got.Tasks[0].Why, name)
	}
	got := verify(Unsaid, Seen{NoText: "no_frames"}, pipeline.ShowCode)
	require.Equal(t, pipeline.NotChecked, got.Outcome)

	// A code that is read shows that the picture is no mirror's: then a turn to the other side is one.
	left := motion(func(sec float64) (float64, float64, float64) { return bump(sec, 2, 5, -30), 0, 1 })
	got = verify(Unsaid, Seen{Poses: left, Texts: []Reading{{Text: "K7M4PX"}}}, pipeline.TurnRight, pipeline.ShowCode)
	require.Equal(t, Plain, got.Camera)
	require.Equal(t, pipeline.Fail, got.Tasks[0].Outcome)
	got = verify(Unsaid, Seen{Poses: left, Texts: []Reading{{Text: "K7M4PX", Mirrored: true}}}, pipeline.TurnRight, pipeline.ShowCode)
	require.Equal(t, Mirrored, got.Camera)
	require.Equal(t, pipeline.Pass, got.Outcome)
}

func TestApply(t *testing.T) {
	score := 0.9
	live := func() pipeline.Check { return pipeline.Check{Outcome: pipeline.Pass, Score: &score} }
	given := Given{ID: "C1", State: Fresh, Asked: Asked{Tasks: []Task{{Kind: pipeline.Nod}, {Kind: pipeline.ShowCode, Text: "K7M4PX"}}}}
	still := Seen{Length: clip, Poses: motion(func(float64) (float64, float64, float64) { return 0, 0, 1 }), Texts: []Reading{{Keyframe: 2, Text: "K7M4PX"}}}

	c := live()
	Apply(&c, given, Verify(given, still))
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Len(t, c.Findings, 1)
	require.False(t, c.Findings[0].Certain, "what a model did not see is not proven")
	raw, err := json.Marshal(c.Detail)
	require.NoError(t, err)
	require.Contains(t, string(raw), `"id":"C1","outcome":"fail","state":"fresh","tasks":[{"kind":"nod","outcome":"fail","why":"not_seen"`)

	for _, state := range []State{Used, Late, Unknown, Foreign} {
		c = live()
		old := given
		old.State = state
		r := Verify(old, still)
		Apply(&c, old, r)
		require.Equal(t, pipeline.Fail, c.Outcome)
		require.Equal(t, state == Used || state == Foreign, c.Findings[0].Certain, "what is stored proves a replay; a late one may have come over a poor line")
		require.Empty(t, r.Tasks)
	}

	c = live()
	nobody := Seen{Length: clip, NoFace: "no_face", Texts: still.Texts}
	Apply(&c, given, Verify(given, nobody))
	require.Equal(t, pipeline.Uncertain, c.Outcome)
	require.Equal(t, pipeline.NotCheckedWanted, c.Findings[0].Code)

	c = pipeline.Check{Outcome: pipeline.NotChecked, Why: "no_face"}
	Missing(&c)
	require.Equal(t, pipeline.Fail, c.Outcome)
	require.Equal(t, []pipeline.Code{pipeline.NotCheckedWanted, pipeline.ChallengeMissing}, []pipeline.Code{c.Findings[0].Code, c.Findings[1].Code})

	p, err := policy.Default("video15")
	require.NoError(t, err)
	checks := map[pipeline.CheckName]pipeline.Check{pipeline.CheckLiveness: c}
	_, reasons := p.Decide(checks)
	require.NotEmpty(t, reasons)
}

func FuzzCode(f *testing.F) {
	f.Add("K7M4PX", "code K7M4PX")
	f.Add("ACEF34", "АСЕ×")
	f.Fuzz(func(t *testing.T, code, line string) {
		if len(code) > 20 {
			code = code[:20]
		}
		got := Verify(Given{State: Fresh, Asked: Asked{Tasks: []Task{{Kind: pipeline.ShowCode, Text: code}}}}, Seen{Texts: []Reading{{Text: line}}})
		if plain := codeForm(code); plain != "" && plain == code && strings.Contains(codeForm(line), code) && len(codeForm(line)) < 100 {
			require.Equal(t, pipeline.Pass, got.Outcome)
		}
	})
}

func FuzzMoves(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 200, 100, 50}, true)
	f.Fuzz(func(t *testing.T, raw []byte, mirrored bool) {
		var poses []Pose
		at := time.Duration(0)
		for i := 0; i+3 < len(raw) && i < 800; i += 4 {
			at += time.Duration(raw[i]) * 4 * time.Millisecond
			poses = append(poses, Pose{At: at, Yaw: float64(int8(raw[i+1])), Pitch: float64(int8(raw[i+2])), Eyes: float64(raw[i+3]) / 255})
		}
		camera := Plain
		if mirrored {
			camera = Mirrored
		}
		got := Verify(Given{State: Fresh, Asked: Asked{Camera: camera, Tasks: []Task{{Kind: pipeline.TurnLeft}, {Kind: pipeline.Nod}, {Kind: pipeline.BlinkTwice}, {Kind: pipeline.TurnRight}}}}, Seen{Length: at, Poses: poses})
		for _, r := range got.Tasks {
			require.Contains(t, []pipeline.Outcome{pipeline.Pass, pipeline.Fail, pipeline.Uncertain}, r.Outcome)
			require.Equal(t, r.Outcome == pipeline.Pass, r.Why == "")
			if r.FromMS != nil {
				require.LessOrEqual(t, *r.FromMS, *r.ToMS)
			}
		}
	})
}
