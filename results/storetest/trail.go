package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

var trailCases = []Case{
	{Name: "earlier claims of a subject", Run: ownSteps},
	{Name: "earlier claims with a device", Run: deviceSteps},
	{Name: "claims that came together", Run: stepsTogether},
	{Name: "claims through an upload", Run: stepsOfUploads},
	{Name: "claims of an erased subject", Run: stepsErased},
}

// claiming makes a submission claim a device and a place, received at a time.
func claiming(device string, latitude float64, received time.Time) func(*results.NewSubmission) {
	return func(n *results.NewSubmission) {
		c := pipeline.Claim{Job: n.Sub.Job, Tenant: n.Sub.Tenant, Subject: n.Sub.Subject, Site: n.Sub.Site, TakenAt: received.Add(-time.Minute),
			Location: &pipeline.Location{Latitude: latitude, Longitude: 121.5, AccuracyM: 12}}
		if device != "" {
			c.Device = &pipeline.Device{ID: device}
		}
		raw, err := json.Marshal(c)
		if err != nil {
			panic(err)
		}
		n.Sub.Claim, n.Sub.ReceivedAt = raw, received
	}
}

func stepped(t *testing.T, s results.Store, f results.StepFilter) []string {
	t.Helper()
	all, err := s.Steps(t.Context(), f)
	require.NoError(t, err)
	var jobs []string
	for _, step := range all {
		jobs = append(jobs, step.Job)
	}
	return jobs
}

func ownSteps(t *testing.T, s results.Store) {
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	now := s.Now()
	day := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	old := Accept(t, s, tenant, "ann", claiming("d1", 1, day(9))).ID
	second := Accept(t, s, tenant, "ann", claiming("d1", 2, day(2))).ID
	first := Accept(t, s, tenant, "ann", claiming("d2", 3, day(1))).ID
	Accept(t, s, tenant, "bob", claiming("d1", 4, day(1)))
	Accept(t, s, other, "ann", claiming("d1", 5, day(1)))
	Accept(t, s, tenant, "ann", claiming("d1", 6, now.Add(time.Hour))) // later
	f := results.StepFilter{Tenant: tenant, Subject: "ann", Since: day(5), Before: now, Job: NewID(), Newest: 10}
	require.Equal(t, []string{first, second}, stepped(t, s, f))
	f.Newest = 1
	require.Equal(t, []string{first}, stepped(t, s, f))
	f.Newest, f.Since = 10, day(30)
	require.Equal(t, []string{first, second, old}, stepped(t, s, f))
	f.Before = day(2)
	f.Job = second
	require.Equal(t, []string{old}, stepped(t, s, f), "not itself, and nothing later")
	f.Newest = 0
	require.Empty(t, stepped(t, s, f))
	f.Newest, f.Before, f.Job = 1, now, NewID()
	all, err := s.Steps(t.Context(), f)
	require.NoError(t, err)
	got := all[0]
	require.WithinDuration(t, day(1), got.Received, time.Millisecond)
	require.WithinDuration(t, day(1).Add(-time.Minute), got.TakenAt, time.Millisecond)
	got.Received, got.TakenAt = time.Time{}, time.Time{}
	require.Equal(t, pipeline.Step{Job: first, Subject: "ann", Site: got.Site, Location: &pipeline.Location{Latitude: 3, Longitude: 121.5, AccuracyM: 12}, Device: "d2"}, got)
}

func deviceSteps(t *testing.T, s results.Store) {
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	now := s.Now()
	Accept(t, s, tenant, "ann", claiming("d1", 1, now.Add(-time.Hour)))
	bob := Accept(t, s, tenant, "bob", claiming("d1", 2, now.Add(-2*time.Hour))).ID
	eve := Accept(t, s, tenant, "eve", claiming("d1", 3, now.Add(-time.Minute))).ID
	Accept(t, s, tenant, "bob", claiming("d2", 4, now.Add(-time.Minute)))
	Accept(t, s, tenant, "bob", claiming("", 4, now.Add(-time.Minute)))
	Accept(t, s, tenant, "bob")
	Accept(t, s, other, "bob", claiming("d1", 5, now.Add(-time.Minute)))
	f := results.StepFilter{Tenant: tenant, Subject: "ann", Device: "d1", Since: now.AddDate(0, 0, -1), Before: now, Job: NewID(), Newest: 10}
	require.Equal(t, []string{eve, bob}, stepped(t, s, f))
	f.Device = "d3"
	require.Empty(t, stepped(t, s, f))
}

// stepsTogether: a group of submissions in one transaction says its devices too, and of what came in one moment the ids decide.
func stepsTogether(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	now := s.Now()
	var list []results.NewSubmission
	for i := range 4 {
		n := NewSubmission(s, tenant, fmt.Sprintf("e%d", i))
		claiming("kiosk", float64(i), now)(&n)
		list = append(list, n)
	}
	for _, a := range s.AcceptMany(t.Context(), list) {
		require.NoError(t, a.Err)
	}
	f := results.StepFilter{Tenant: tenant, Subject: "e2", Device: "kiosk", Since: now.Add(-time.Hour), Before: now, Job: list[2].Sub.Job, Newest: 10}
	require.Equal(t, []string{list[1].Sub.Job, list[0].Sub.Job}, stepped(t, s, f))
}

func stepsOfUploads(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	n := NewSubmission(s, tenant, "bob")
	claiming("d1", 1, s.Now())(&n)
	u, _, err := s.CreateUpload(t.Context(), results.Upload{Job: n.Sub.Job, Tenant: tenant, Bucket: "b-" + tenant, Key: "in/1", MaxBytes: 1 << 20, Sub: n.Sub,
		CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}, "", "")
	require.NoError(t, err)
	f := results.StepFilter{Tenant: tenant, Subject: "ann", Device: "d1", Since: s.Now().Add(-time.Hour), Before: s.Now().Add(time.Hour), Job: NewID(), Newest: 10}
	require.Empty(t, stepped(t, s, f), "nothing came yet")
	e, err := s.Arrive(t.Context(), results.IntakeEvent{ID: NewID(), Tenant: tenant, Source: "webhook", Raw: []byte("{}"), Bucket: u.Bucket, Key: u.Key,
		Sequencer: "1", Bytes: 9, ReceivedAt: s.Now()}, results.Source{Kind: "upload", Bucket: u.Bucket, Key: u.Key})
	require.NoError(t, err)
	require.Equal(t, results.IntakeStarted, e.State)
	require.Equal(t, []string{u.Job}, stepped(t, s, f))
}

func stepsErased(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	now := s.Now()
	NewSubject(t, s, tenant, "bob")
	Accept(t, s, tenant, "bob", claiming("d1", 1, now.Add(-time.Hour)))
	stays := Accept(t, s, tenant, "eve", claiming("d1", 1, now.Add(-time.Hour))).ID
	_, err := s.EraseSubject(t.Context(), tenant, "bob", now, Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	f := results.StepFilter{Tenant: tenant, Subject: "ann", Device: "d1", Since: now.AddDate(0, 0, -1), Before: now, Job: NewID(), Newest: 10}
	require.Equal(t, []string{stays}, stepped(t, s, f))
	f.Device, f.Subject = "", "bob"
	require.Empty(t, stepped(t, s, f))
}
