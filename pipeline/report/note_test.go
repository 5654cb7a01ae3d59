package report

import (
	"bytes"
	"encoding/json"
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
