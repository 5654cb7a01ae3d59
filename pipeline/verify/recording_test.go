package verify

import (
	"image"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/challenge"
	"onsite/pipeline/face"
	"onsite/pipeline/liveness"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
)

func TestAlternating(t *testing.T) {
	require.Equal(t, []int{0, 2, 4, 1, 3}, alternating(5, 15))
	require.Equal(t, []int{0, 40, 80, 20, 60}, alternating(100, 5))
	require.Equal(t, []int{0}, alternating(1, 15))
	require.Empty(t, alternating(0, 15))
}

// What is decoded follows from what the policy asks and the person consented to: no sound and no dense frames unless somebody looks at them.
func TestRequest(t *testing.T) {
	parse := func(more string) policy.Policy {
		p, err := policy.Parse("test", []byte("schema: onsite.policy/1\nname: test\nversion: 1\ndescription: {en: A test., zh: 测试。}\nmedia: [video]\n"+more))
		require.NoError(t, err)
		return p
	}
	const live = "checks: {liveness: {need: always}}\n"
	asked := func(kinds ...pipeline.ChallengeKind) *challenge.Given {
		g := &challenge.Given{State: challenge.Fresh}
		for _, k := range kinds {
			g.Tasks = append(g.Tasks, challenge.Task{Kind: k})
		}
		return g
	}
	used := asked(pipeline.Nod)
	used.State = challenge.Used
	for name, c := range map[string]struct {
		policy        policy.Policy
		given         *challenge.Given
		consent, hear bool
		sound, dense  bool
	}{
		"the default":                    {policy.Policy{}, nil, true, true, false, false},
		"speech":                         {parse("checks: {speech: {need: with_video}}\n"), nil, true, true, true, false},
		"speech, not consented to":       {parse("checks: {speech: {need: with_video}}\n"), nil, true, false, false, false},
		"lips":                           {parse("checks: {speech: {need: with_video}}\nspeech: {lips: true}\n"), nil, true, true, true, true},
		"lips of a hidden face":          {parse("checks: {speech: {need: with_video}}\nspeech: {lips: true}\n"), nil, false, true, true, false},
		"the skin's colour":              {parse(live + "liveness: {skin: true}\n"), nil, true, true, false, true},
		"the skin of a hidden face":      {parse(live + "liveness: {skin: true}\n"), nil, false, true, false, false},
		"sound as a witness":             {parse(live + "reuse: {audio: true}\n"), nil, true, true, true, false},
		"a nod":                          {parse(live + "challenge: {wanted: true}\n"), asked(pipeline.Nod), true, true, false, true},
		"a code":                         {parse(live + "challenge: {wanted: true}\n"), asked(pipeline.ShowCode), true, true, false, false},
		"digits":                         {parse(live + "challenge: {wanted: true, kinds: [say_digits]}\n"), asked(pipeline.SayDigits), true, true, true, false},
		"a replay: nothing is looked at": {parse(live + "challenge: {wanted: true}\n"), used, true, true, false, false},
		"a task that nobody asks for":    {parse(live), asked(pipeline.Nod), true, true, false, false},
	} {
		r := (&Verifier{}).newRun(Job{Policy: c.policy, Challenge: c.given, Consent: c.consent, Hear: c.hear})
		q := r.request()
		require.Equal(t, c.sound, q.Audio, name)
		require.Equal(t, c.dense, q.BurstLength != media.DefaultRequest().BurstLength, name)
		r.measuring = true
		require.Equal(t, media.DefaultRequest(), r.request(), name)
	}
}

// The colour of the skin decides nothing: where it cannot be read, the liveness check is none the less what it was.
func TestSkinThatCannotBeReadDecidesNothing(t *testing.T) {
	bad := gocv.NewMatWithSize(480, 640, gocv.MatTypeCV32FC3) // no picture that is looked at has such values
	clip := &media.Clip{Bursts: []media.Burst{{Frames: []media.Frame{{Image: bad}}}}}
	defer clip.Close()
	m := liveness.Moment{Box: image.Rect(240, 160, 400, 320)}
	for i := range m.Landmarks {
		m.Landmarks[i] = face.Point{X: 320, Y: 240}
	}
	for i := range 6 {
		m.Landmarks[36+i].X, m.Landmarks[42+i].X = 290, 350
	}
	check := pipeline.Check{Outcome: pipeline.Pass, Detail: map[string]any{}}
	noteSkin(&check, clip, &liveness.Track{Moments: []liveness.Moment{m}})
	require.Equal(t, pipeline.Pass, check.Outcome)
	require.NotContains(t, check.Detail, "skin_changes")
	require.NotEmpty(t, check.Detail["skin_error"])
	noteSkin(&check, clip, &liveness.Track{})
	require.Equal(t, liveness.SkinTooShort, check.Detail["skin_changes"])
	nobody := pipeline.Check{Outcome: pipeline.NotChecked}
	noteSkin(&nobody, clip, &liveness.Track{})
	require.Nil(t, nobody.Detail)
}
