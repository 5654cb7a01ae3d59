package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/policy"
)

// What a verdict says of the consents of its time.
func TestWhatAVerdictSaysOfConsent(t *testing.T) {
	const live, face, speech = pipeline.CheckLiveness, pipeline.CheckFace, pipeline.CheckSpeech
	not := func(why string) pipeline.Check { return pipeline.Check{Outcome: pipeline.NotChecked, Why: why} }
	task := func(kind, why string) pipeline.Check {
		return pipeline.Check{Outcome: pipeline.Fail, Detail: map[string]any{"challenge": map[string]any{"tasks": []any{map[string]any{"kind": kind, "why": why}}}}}
	}
	type checks map[pipeline.CheckName]pipeline.Check
	for _, c := range []struct {
		checks       checks
		faces, sound Told
	}{
		{checks{}, Untold, Untold},
		{checks{face: not(policy.WhyNotWanted), live: not(policy.WhyNotWanted), speech: not(policy.WhyNotWanted)}, Untold, Untold},
		{checks{face: not(policy.WhyNoConsent), speech: not(policy.WhyNoSound)}, Refused, Refused},
		{checks{face: not(policy.WhyNotWanted), live: not(policy.WhyNoConsent), speech: not(policy.WhyPhotoNoTime)}, Refused, Untold},
		{checks{face: not(policy.WhyNoReference), speech: not(policy.WhyNoAudio)}, Granted, Granted},
		{checks{face: {Outcome: pipeline.Pass}, speech: {Outcome: pipeline.Fail}}, Granted, Granted},
		{checks{live: task("say_digits", policy.WhyNoSound)}, Untold, Refused},
		{checks{live: task("say_digits", "no_voice")}, Untold, Granted},
		{checks{live: task("nod", policy.WhyNoConsent)}, Refused, Untold},
		{checks{speech: {Outcome: pipeline.Uncertain, Detail: map[string]any{"lips": map[string]any{"why": policy.WhyNoConsent}}}}, Refused, Granted},
	} {
		v := pipeline.Verdict{Checks: c.checks}
		require.Equal(t, c.faces, ToldOfFaces(v), "%v", c.checks)
		require.Equal(t, c.sound, ToldOfSound(v), "%v", c.checks)
	}
	require.Equal(t, Granted, ToldOfSound(pipeline.Verdict{Models: []pipeline.ModelRef{{Task: string(models.VoiceActivity)}}}))
}
