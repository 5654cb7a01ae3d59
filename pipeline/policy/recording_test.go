package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

const head = "schema: onsite.policy/1\nname: test\nversion: 1\ndescription: {en: A test., zh: 测试。}\nmedia: [video]\n"

func TestRecordingRules(t *testing.T) {
	p, err := Parse("test", []byte(head+"checks: {liveness: {need: always}, speech: {need: with_video}}\nchallenge: {wanted: true}\nspeech: {min_seconds: 2, words: [货架, counter], at_least: 1, prompt: {en: Say it., zh: 请说。}}\nreuse: {audio: true}\n"))
	require.NoError(t, err)
	require.Equal(t, Challenge{Wanted: true, Kinds: DefaultChallengeKinds, Tasks: 2, Seconds: 120}, p.Challenge)
	require.True(t, p.Listens())

	for _, name := range Names {
		p, err := Default(name)
		require.NoError(t, err)
		require.False(t, p.Listens(), "%s listens to nobody unless it is asked to", name)
		require.False(t, p.Challenge.Wanted)
		require.False(t, p.Reuse.Audio)
	}
	one, err := Parse("test", []byte(head+"checks: {liveness: {need: always}}\nchallenge: {wanted: true, kinds: [show_code]}\n"))
	require.NoError(t, err)
	require.Equal(t, 1, one.Challenge.Tasks, "not more than there are kinds")
	require.False(t, one.Listens())
	digits, err := Parse("test", []byte(head+"checks: {liveness: {need: always}}\nchallenge: {wanted: true, kinds: [say_digits]}\n"))
	require.NoError(t, err)
	require.True(t, digits.Listens())
	require.NotEqual(t, one.Digest(), digits.Digest())

	const live = "checks: {liveness: {need: always}}\n"
	const speech = "checks: {speech: {need: always}}\n"
	for _, c := range []struct{ yaml, want string }{
		{live + "challenge: {kinds: [nod]}\n", "challenge.wanted"},
		{speech + "challenge: {wanted: true}\n", "checks.liveness.need"},
		{live + "challenge: {wanted: true, kinds: [dance]}\n", "challenge.kinds[0]"},
		{live + "challenge: {wanted: true, kinds: [nod, nod]}\n", "each kind once"},
		{live + "challenge: {wanted: true, kinds: [nod], tasks: 2}\n", "challenge.tasks"},
		{live + "challenge: {wanted: true, tasks: 4}\n", "challenge.tasks"},
		{live + "challenge: {wanted: true, seconds: 5}\n", "challenge.seconds"},
		{live + "speech: {lips: true}\n", "checks.speech.need is never"},
		{speech + "liveness: {skin: true}\n", "checks.liveness.need is never"},
		{speech + "speech: {min_seconds: 0}\n", "speech.min_seconds"},
		{speech + "speech: {min_seconds: 600}\n", "speech.min_seconds"},
		{speech + "speech: {words: [\"\"]}\n", "speech.words[0]"},
		{speech + "speech: {words: [a], at_least: 2}\n", "speech.at_least"},
		{speech + "speech: {prompt: {en: Say it.}}\n", "both en and zh"},
		{speech + "speech: {loudness: 3}\n", "loudness"},
	} {
		_, err := Parse("test", []byte(head+c.yaml))
		require.ErrorContains(t, err, c.want, c.yaml)
	}
	_, err = Parse("test", []byte(strings.Replace(head, "[video]", "[video, photo]", 1)+live+"challenge: {wanted: true, kinds: [nod]}\n"))
	require.ErrorContains(t, err, "a single photo")
	_, err = Parse("test", []byte(strings.Replace(head, "[video]", "[photo]", 1)+live+"challenge: {wanted: true, kinds: [show_code]}\n"))
	require.NoError(t, err)
	_, err = Parse("test", []byte(strings.Replace(head, "[video]", "[photo]", 1)+live+"liveness: {skin: true}\n"))
	require.ErrorContains(t, err, "takes no video")
	_, err = Parse("test", []byte(strings.Replace(head, "[video]", "[video, photo]", 1)+live+"liveness: {skin: true}\n"))
	require.NoError(t, err)
}

// A proven replay may be abnormal; what a model did not see is for a person.
func TestChallengesDecide(t *testing.T) {
	p := builtin(t, "video15")
	for certain, want := range map[bool]pipeline.Decision{true: pipeline.DecisionAbnormal, false: pipeline.DecisionReview} {
		given := clean()
		given[pipeline.CheckLiveness] = pipeline.Check{Outcome: pipeline.Fail, Findings: []pipeline.Finding{{Code: pipeline.ChallengeFailed, Outcome: pipeline.Fail, Certain: certain, Args: map[string]string{"problem": "used"}}}}
		decision, reasons := p.Decide(given)
		require.Equal(t, want, decision)
		require.Contains(t, reasons[0].Text.ZH, "该任务已用于此前的提交")
	}
	require.Equal(t, "The task that was set for this recording was not fulfilled: turn the head to the left: the head turns to the other side.",
		ReasonText(pipeline.ChallengeFailed, map[string]string{"task": "turn_left", "problem": "other_side"}).EN)
}
