package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
)

// The kinds of stored files.
const (
	evidenceKeyframe = "keyframe"
	evidencePrint    = "fingerprint"
)

// finish seals what is kept of a job and gives what is to be written in one transaction.
func (a *attempt) finish(ctx context.Context, r verify.Result) (f results.Finish, err error) {
	tenant, err := a.Store.Tenant(ctx, a.Sub.Tenant)
	if err != nil {
		return f, fmt.Errorf("read the tenant's settings: %w", err)
	}
	var files results.Finish
	if r.Verdict.Kept, err = a.keep(ctx, r, tenant.Settings, &files); err == nil {
		f, err = a.outcome(r.Verdict, tenant.Settings)
	}
	if err != nil {
		return f, errors.Join(err, a.takeBack(ctx))
	}
	f.Evidence, f.Print, f.Frames, f.Keep = files.Evidence, files.Print, files.Frames, files.Keep
	f.Deadline = append(f.Deadline, files.Deadline...)
	if a.own != nil {
		f.Media, f.Keep = a.own, append(f.Keep, a.own.Key)
	}
	return f, nil
}

// outcome is the Finish of a verdict without objects.
func (a *attempt) outcome(v pipeline.Verdict, s results.Settings) (results.Finish, error) {
	row, err := verdictRow(v, a.Sub, a.policyName(v))
	if err != nil {
		return results.Finish{}, err
	}
	now := a.Store.Now()
	return results.Finish{
		Job: a.Sub.Job, Token: a.Token, State: results.Done, Verdict: &row,
		Audit: audit(row, results.EventVerdictCreated, a.Job.Worker, now),
		Event: results.EventVerdictCreated, Message: verify.NewJob(), Payload: payload(row, results.EventVerdictCreated, now),
		Deadline: deadlines(s, a.Sub, results.DeadlineMedia, results.DeadlineVerdict),
	}, nil
}

func (a *attempt) policyName(v pipeline.Verdict) string {
	if a.policy.Name != "" {
		return a.policy.Name
	}
	if p, err := verify.DefaultPolicy(v.Media.Kind); err == nil {
		return p.Name
	}
	return ""
}

// keep seals keyframes and fingerprint: one note of pending objects for all of them. It gives what the verdict says of them.
func (a *attempt) keep(ctx context.Context, r verify.Result, settings results.Settings, f *results.Finish) (files []pipeline.Kept, err error) {
	var blobs [][]byte
	for _, k := range r.Keyframes {
		blobs = append(blobs, k.JPEG)
	}
	printed := r.Fingerprint.SHA256 != ""
	if printed {
		raw, err := r.Fingerprint.MarshalBinary()
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, raw)
	}
	if len(blobs) == 0 {
		return nil, nil
	}
	put, err := a.Vault.PutAll(ctx, a.Sub.Tenant, a.Sub.Subject, blobs)
	if err != nil {
		return nil, fmt.Errorf("seal keyframes and fingerprint: %w", err)
	}
	for _, s := range put {
		a.written = append(a.written, s.Key)
	}
	f.Keep = slices.Clone(a.written)
	var kinds []string
	for i, k := range r.Keyframes {
		f.Evidence = append(f.Evidence, results.Evidence{
			Job: a.Sub.Job, Revision: 1, Tenant: a.Sub.Tenant, Subject: a.Sub.Subject, Kind: evidenceKeyframe, Index: k.Keyframe,
			Key: put[i].Key, SHA256: put[i].SHA256, Bytes: put[i].Bytes,
		})
		files = append(files, pipeline.Kept{Kind: evidenceKeyframe, Index: k.Keyframe, Bytes: put[i].Bytes, SHA256: put[i].SHA256})
	}
	if len(r.Keyframes) > 0 {
		kinds = append(kinds, results.DeadlineKeyframes)
	}
	if printed {
		last := put[len(put)-1]
		files = append(files, pipeline.Kept{Kind: evidencePrint, Bytes: last.Bytes, SHA256: last.SHA256})
		f.Print = &results.Print{
			Job: a.Sub.Job, Tenant: a.Sub.Tenant, Subject: a.Sub.Subject, Site: a.Sub.Site, AsOf: a.history.asOf, Scope: a.history.scope.Kind, Alike: wider(a.history.scope, a.history.alike),
			Format: reuse.FormatVersion, SHA256: r.Fingerprint.SHA256, Packets: r.Fingerprint.PacketsSHA256, Key: last.Key, Bytes: last.Bytes, AcceptedAt: a.Sub.ReceivedAt,
		}
		f.Frames = FramesOf(&r.Fingerprint)
		kinds = append(kinds, results.DeadlinePrint)
	}
	f.Deadline = deadlines(settings, a.Sub, kinds...)
	return files, nil
}

// discardWithin bounds the taking back of objects after an attempt that failed; what is left then the janitor finds.
const discardWithin = 5 * time.Second

// takeBack deletes what was sealed for nothing. Our own copy of a bucket's object stays: a job that ends here keeps it.
func (a *attempt) takeBack(ctx context.Context) error {
	if len(a.written) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardWithin)
	defer cancel()
	return a.Vault.Discard(ctx, a.written...)
}

// verdictRow is a verdict as the store keeps it.
func verdictRow(v pipeline.Verdict, s results.Submission, policyName string) (results.Verdict, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return results.Verdict{}, fmt.Errorf("write the verdict of job %s: %w", s.Job, err)
	}
	row := results.Verdict{
		Job: s.Job, Tenant: s.Tenant, Subject: s.Subject, Site: s.Site, Revision: v.Revision, Decision: v.Decision, Policy: policyName, Body: body,
		SubmittedAt: s.ReceivedAt, CreatedAt: v.CreatedAt,
	}
	for _, r := range v.Reasons {
		if !slices.Contains(row.Codes, r.Code) {
			row.Codes = append(row.Codes, r.Code)
		}
	}
	return row, nil
}

// audit is the entry of the log about a verdict: which one, by the digest of its bytes.
func audit(v results.Verdict, action, actor string, now time.Time) results.AuditEntry {
	return results.AuditEntry{
		ID: verify.NewJob(), Tenant: v.Tenant, At: now, Actor: actor, Action: action, Subject: v.Subject, Target: v.Job, Digest: results.Sum(v.Body),
	}
}

// payload is what a webhook says of a verdict.
func payload(v results.Verdict, event string, now time.Time) []byte {
	return results.Event{Type: event, Timestamp: now, Data: results.EventData{
		Tenant: v.Tenant, Job: v.Job, Subject: v.Subject, Site: v.Site, State: results.Done, Revision: v.Revision, Decision: v.Decision,
	}}.Payload()
}

// deadlines says when what is kept of a job must be gone, by the tenant's settings, from the day it was received.
func deadlines(s results.Settings, sub results.Submission, kinds ...string) []results.Deadline {
	s = s.Filled()
	days := map[string]int{results.DeadlineMedia: s.MediaDays, results.DeadlineKeyframes: s.KeyframeDays, results.DeadlinePrint: s.PrintDays, results.DeadlineVerdict: s.VerdictDays}
	var out []results.Deadline
	for _, k := range kinds {
		out = append(out, results.Deadline{Tenant: sub.Tenant, Subject: sub.Subject, Kind: k, Job: sub.Job, Due: sub.ReceivedAt.AddDate(0, 0, days[k])})
	}
	return out
}
