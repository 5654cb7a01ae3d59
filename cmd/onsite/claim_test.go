package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

func TestClaimFlags(t *testing.T) {
	c := verifyCmd{Subject: "e1", groundFlags: groundFlags{At: "31.2353, 121.4767,20", Beacon: []string{"b"}, WiFi: []string{"w"}, Device: "d", Mock: true}}
	got, err := c.claim()
	require.NoError(t, err)
	require.Equal(t, pipeline.Claim{Tenant: "local", Subject: "e1", TakenAt: time.Time{}, Beacons: []string{"b"}, WiFi: []string{"w"},
		Location: &pipeline.Location{Latitude: 31.2353, Longitude: 121.4767, AccuracyM: 20}, Device: &pipeline.Device{ID: "d", MockLocation: true}}, got)
	got, err = (&verifyCmd{groundFlags: groundFlags{At: "-31,-121"}}).claim()
	require.NoError(t, err)
	require.Equal(t, pipeline.Location{Latitude: -31, Longitude: -121}, *got.Location)
	require.Nil(t, got.Device)
	for _, wrong := range []string{"31", "91,0", "0,181", "1,2,-3", "1,2,3,4", "NaN,1", "x,y", ",", "1,2,"} {
		_, err := (&verifyCmd{groundFlags: groundFlags{At: wrong}}).claim()
		var usage *usageError
		require.ErrorAs(t, err, &usage, wrong)
		require.NotEmpty(t, usage.text.ZH)
	}
}
