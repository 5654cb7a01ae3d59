package results

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// A comparison that began before its words were in two languages still says which jobs it is over.
func TestComparisonAskOfBefore(t *testing.T) {
	var a ComparisonAsk
	require.NoError(t, json.Unmarshal([]byte(`{"data": "7 stored jobs, site s", "budget": 0.5, "limits": {"cases": 7}}`), &a))
	require.Equal(t, ComparisonAsk{Words: pipeline.Text{EN: "7 stored jobs, site s", ZH: "7 stored jobs, site s"}, Budget: .5, Limits: json.RawMessage(`{"cases": 7}`)}, a)

	now := ComparisonAsk{Words: pipeline.Text{EN: "stored jobs: 7", ZH: "存储的任务：7 个"}, Budget: 1, Limits: json.RawMessage(`{}`)}
	data, err := json.Marshal(now)
	require.NoError(t, err)
	var again ComparisonAsk
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, now, again)
}
