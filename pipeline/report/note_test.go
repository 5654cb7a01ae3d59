package report

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// A match that was taken back is shown as cleared, on the page and in the table, in both languages, whether the verdict was just made or
// read.
func TestClearedMatchesAreShown(t *testing.T) {
	in := sample(t, "pass")
	c := in.Verdict.Checks[pipeline.CheckReuse]
	c.Detail = map[string]any{"compared": 3, "flooded": 2, "cleared": []map[string]any{
		{"job": "01JOB<b>", "cleared_by": "01MARK", "verdict": "same_recording"}, {"job": "01LIKE", "cleared_by": "01WALL", "verdict": "cannot_tell"}}}
	in.Verdict.Checks[pipeline.CheckReuse] = c
	in.Verdict.Inputs.MarksAsOf = 4711
	raw, err := json.Marshal(in.Verdict)
	require.NoError(t, err)
	read := in
	read.Verdict = pipeline.Verdict{}
	require.NoError(t, json.Unmarshal(raw, &read.Verdict))
	for _, v := range []Input{in, read} {
		page := render(t, v)
		for _, text := range []string{"Cleared: earlier footage 01JOB&lt;b&gt; was found to be the same recording", "mark 01WALL", "已排除", "同一段录像", "for that: 2", "有 2 个画面", "4711"} {
			require.Contains(t, page, text)
		}
		require.NotContains(t, page, "01JOB<b>")
		for lang, text := range map[string]string{English: "Cleared: earlier footage", Chinese: "已排除"} {
			var out bytes.Buffer
			require.NoError(t, Table(&out, v.Verdict, "", lang, 80, false))
			require.Contains(t, out.String(), text)
		}
	}
	require.Empty(t, notes(pipeline.CheckFace, c))
	require.Empty(t, notes(pipeline.CheckReuse, pipeline.Check{Detail: map[string]any{"cleared": "nonsense"}}))
	require.Empty(t, notes(pipeline.CheckReuse, pipeline.Check{Detail: map[string]any{"compared": 3}}))
}

// Every sign that counts has words, and a reader of a check that does not pass finds them, the strongest first.
func TestSignsInWords(t *testing.T) {
	raw, err := os.ReadFile("../liveness/weights.json")
	require.NoError(t, err)
	var weights struct {
		Signs map[string]float64 `json:"signs"`
	}
	require.NoError(t, json.Unmarshal(raw, &weights))
	require.NotEmpty(t, weights.Signs)
	for name := range weights.Signs {
		require.NotEmpty(t, signTexts[name].EN, name)
		require.NotEmpty(t, signTexts[name].ZH, name)
	}
	c := pipeline.Check{Outcome: pipeline.Fail, Detail: map[string]any{"signs": map[string]float64{"still_mouth": 0.8, "stiff_face": 3.4, "no_depth": 0.1, "later": 4}, "votes": pipeline.Pass}}
	said := notes(pipeline.CheckLiveness, c)
	require.Len(t, said, 2)
	require.Equal(t, "What speaks for a recorded face: the face moves as a flat picture does (strong); the lips do not move.", said[0].EN)
	require.Equal(t, "指向翻拍人脸的迹象：脸部像平面图片一样整体移动（强）；嘴唇不动。", said[0].ZH)
	require.Contains(t, said[1].EN, "takes the face for live")
	c.Outcome = pipeline.Pass
	require.Empty(t, notes(pipeline.CheckLiveness, c), "nothing speaks against who passes")
	require.Empty(t, notes(pipeline.CheckLiveness, pipeline.Check{Outcome: pipeline.Fail, Detail: map[string]any{"signs": "nonsense"}}))
}

// Of two reasons of the check place the one that fails is the one that says so.
func TestRulesBehindReasons(t *testing.T) {
	c := pipeline.Check{Outcome: pipeline.Fail, Score: ptr(150.0), Threshold: ptr(100.0), Detail: map[string]any{"rules": map[string]any{
		"fence": map[string]any{"outcome": "uncertain", "outside_m": 150}, "mock": map[string]any{"outcome": "fail"}}}}
	of := func(code pipeline.Code) pipeline.Outcome {
		return outcomeBehind(pipeline.Reason{Code: code, Check: pipeline.CheckPlace}, c)
	}
	require.Equal(t, pipeline.Uncertain, of(pipeline.OutsideGeofence))
	require.Equal(t, pipeline.Fail, of(pipeline.MockLocation))
	require.Equal(t, pipeline.Fail, of(pipeline.ClockSkew), "a rule that is not there: the check's own")
	require.Equal(t, pipeline.Pass, outcomeBehind(pipeline.Reason{Code: pipeline.FaceMismatch, Check: pipeline.CheckFace}, pipeline.Check{Outcome: pipeline.Pass}))
	b := scoreBar(pipeline.CheckPlace, c)
	require.True(t, b.Elsewhere, "150 m are only uncertain here")
	require.Equal(t, "150 m", b.Score)
	c.Detail = nil
	require.False(t, scoreBar(pipeline.CheckPlace, c).Elsewhere)
}
