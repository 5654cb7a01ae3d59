package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/challenge"
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
