package core

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

const onlyPlace = `
schema: onsite.policy/1
name: only_place
version: 1
description: {en: Where alone., zh: 仅核对位置。}
media: [photo, video]
checks: {place: {need: with_fence}}
`

// A claim is compared with the site's fence, and with what was claimed before, by the same person and with the same device, also by jobs that are not done.
func TestPlaceSeesEarlierClaims(t *testing.T) {
	w := newWorld(t)
	w.policy("only_place", onlyPlace)
	for _, id := range []string{"ann", "bob"} {
		w.subject(id)
	}
	_, err := w.store.PutSite(t.Context(), results.Site{Tenant: "t", ID: "shop", CreatedAt: w.store.Now(), Doc: results.SiteDoc{
		Timezone: "Asia/Shanghai", Geofence: []pipeline.Fence{{Latitude: 31.2353, Longitude: 121.4767, RadiusM: 150}},
	}}, -1, w.audit("site.written"))
	require.NoError(t, err)
	photo := footage(t, "franck_02159.jpg")
	at := func(latitude float64, device string) func(*pipeline.Claim) {
		return func(c *pipeline.Claim) {
			c.Location = &pipeline.Location{Latitude: latitude, Longitude: 121.4767, AccuracyM: 10}
			c.Device = &pipeline.Device{ID: device}
		}
	}
	run := func(sub results.Submission) pipeline.Verdict {
		t.Helper()
		f, err := w.core.Run(t.Context(), w.claim(sub.Job))
		require.NoError(t, err)
		w.commit(f)
		return verdict(t, f.Verdict.Body)
	}
	codes := func(v pipeline.Verdict) (out []pipeline.Code) {
		for _, r := range v.Reasons {
			out = append(out, r.Code)
		}
		return out
	}

	v := run(w.accept("ann", "shop", "only_place", photo, at(31.2353, "d1")))
	require.Equal(t, pipeline.DecisionPass, v.Decision, "%+v", v.Checks[pipeline.CheckPlace])
	require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckPlace].Outcome)
	require.Equal(t, 1, v.Inputs.SiteRev)
	v = run(w.accept("bob", "", "only_place", photo, at(31.2353, "d2")))
	require.Equal(t, "no_site", v.Checks[pipeline.CheckPlace].Why)
	require.Equal(t, pipeline.DecisionPass, v.Decision)

	waiting := w.accept("bob", "shop", "only_place", photo, at(31.2353, "d1")) // its verdict comes later
	v = run(w.accept("ann", "shop", "only_place", photo, at(39.9, "d1")))
	require.Equal(t, pipeline.DecisionAbnormal, v.Decision)
	require.ElementsMatch(t, []pipeline.Code{pipeline.OutsideGeofence, pipeline.ImpossibleTravel, pipeline.SharedDevice}, codes(v))
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "39.9", "no coordinates in a verdict")

	v = run(waiting)
	require.Equal(t, []pipeline.Code{pipeline.SharedDevice}, codes(v), "ann was first; what came later is invisible")

	require.NoError(t, w.vault.Erase(t.Context(), "t", "ann", w.audit("subject.erased")))
	v = run(w.accept("bob", "shop", "only_place", photo, at(31.2353, "d1")))
	require.Equal(t, pipeline.DecisionPass, v.Decision, "who was erased is no other person any more")

	lease := w.claim(w.accept("bob", "shop", "only_place", photo, at(31.2353, "d1")).Job)
	away := w.make(Options{Verifier: w.core.Verifier})
	away.Store = noSteps{w.store}
	_, err = away.Run(t.Context(), lease)
	require.ErrorIs(t, err, results.ErrAway, "the attempt ends, instead of a verdict from less")
}

type noSteps struct{ Store }

func (noSteps) Steps(context.Context, results.StepFilter) ([]pipeline.Step, error) {
	return nil, results.ErrAway
}
