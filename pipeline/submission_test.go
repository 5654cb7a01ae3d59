package pipeline_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// Verdicts name the digest of the claim's JSON: a field that is not claimed must not change it.
func TestClaimKeepsItsForm(t *testing.T) {
	c := pipeline.Claim{Job: "j", Tenant: "t", Subject: "s", Site: "x", TakenAt: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)}
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	require.Equal(t, `{"job":"j","tenant":"t","subject":"s","site":"x","taken_at":"2026-11-03T09:00:00Z"}`, string(raw)) //nolint:testifylint // the digest is over these bytes, in this order

	c.Location = &pipeline.Location{Latitude: 31.2, Longitude: 121.5, AccuracyM: 12}
	c.Beacons = []string{"b1"}
	c.Device = &pipeline.Device{ID: "d", Model: "m", MockLocation: true}
	raw, err = json.Marshal(c)
	require.NoError(t, err)
	require.JSONEq(t, `{"job":"j","tenant":"t","subject":"s","site":"x","taken_at":"2026-11-03T09:00:00Z",
		"location":{"latitude":31.2,"longitude":121.5,"accuracy_m":12},"beacons":["b1"],"device":{"id":"d","model":"m","mock_location":true}}`, string(raw))
	var back pipeline.Claim
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, c, back)
}
