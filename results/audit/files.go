package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
)

// FileSource is what an inspection of files reads of the results store.
type FileSource interface {
	Tenant(ctx context.Context, id string) (results.Tenant, error)
	Verdicts(ctx context.Context, tenant string, f results.VerdictFilter, p results.Page) ([]results.Verdict, error)
	Evidence(ctx context.Context, tenant, job string) ([]results.Evidence, error)
	Submission(ctx context.Context, job string) (results.Submission, error)
	Now() time.Time
}

// Reader opens a sealed object and gives the sha256 of what it holds, hex. An object that is not there is object.ErrNotFound; results.ErrErased
// says that its subject was erased; results.ErrAway and object.ErrAway end the inspection; every other error says that the object is damaged.
type Reader func(ctx context.Context, key string) (sha256 string, err error)

// Files opens the stored files of every verdict of a tenant and compares them with what the verdict says of them: its media, its keyframes. What is past its time by
// the tenant's settings, or of an erased subject, may be gone. progress is told how many verdicts were looked at; nil: nobody.
func (r *Report) Files(ctx context.Context, s FileSource, read Reader, progress func(n int)) error {
	tenant, err := s.Tenant(ctx, r.Tenant)
	if err != nil {
		return err
	}
	f := &files{Report: r, s: s, read: read, days: tenant.Settings.Filled()}
	seen := 0
	for p := (results.Page{Limit: page}); ; {
		some, err := s.Verdicts(ctx, r.Tenant, results.VerdictFilter{}, p)
		if err != nil {
			return err
		}
		for _, v := range some {
			if err := f.verdict(ctx, v); err != nil {
				return fmt.Errorf("look at the files of job %s: %w", v.Job, err)
			}
			p.After = fmt.Sprintf("%s.%d", v.Job, v.Revision)
			if seen++; progress != nil {
				progress(seen)
			}
		}
		if len(some) < page {
			return nil
		}
	}
}

type files struct {
	*Report
	s    FileSource
	read Reader
	days results.Settings
}

func (f *files) verdict(ctx context.Context, v results.Verdict) error {
	var body struct {
		pipeline.Verdict
		ErasedAt string `json:"erased_at"`
	}
	unread := json.Unmarshal(v.Body, &body)
	if unread != nil { // the log says that it was changed, and how is no error of ours
		f.add(VerdictChanged, "verdict "+v.Job, v.Job, -1, fmt.Sprintf("verdict %s, revision %d, cannot be read: %v", v.Job, v.Revision, unread), fmt.Sprintf("无法读取任务 %s 的第 %d 版结论", v.Job, v.Revision))
	}
	if unread != nil || body.ErasedAt != "" {
		return nil //nolint:nilerr // it is told in the report
	}
	sub, err := f.s.Submission(ctx, v.Job)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	due := func(days int) bool { return !f.s.Now().Before(v.SubmittedAt.AddDate(0, 0, days)) }
	if err := f.file(ctx, v.Job, "media", "媒体", sub.Media.Key, body.Media.SHA256, due(f.days.MediaDays)); err != nil {
		return err
	}
	rows, err := f.s.Evidence(ctx, v.Tenant, v.Job)
	if err != nil {
		return err
	}
	keys := map[int]string{}
	for _, e := range rows {
		keys[e.Index] = e.Key
	}
	for _, k := range body.Kept {
		if k.Kind != "keyframe" { // the fingerprint's object is named by the history, and aged out with it
			continue
		}
		if err := f.file(ctx, v.Job, fmt.Sprintf("keyframe %d", k.Index), fmt.Sprintf("关键帧 %d ", k.Index), keys[k.Index], k.SHA256, due(f.days.KeyframeDays)); err != nil {
			return err
		}
	}
	return nil
}

// file compares one file with the sum that the verdict has of it.
func (f *files) file(ctx context.Context, job, en, zh, key, sum string, due bool) error {
	what := en + " of job " + job
	missing := func() {
		if !due {
			f.add(ObjectMissing, what, key, -1, what+" is not there, and its time is not over", fmt.Sprintf("任务 %s 的%s不存在，且尚未到期", job, zh))
		}
	}
	if key == "" {
		missing()
		return nil
	}
	got, err := f.read(ctx, key)
	switch {
	case errors.Is(err, results.ErrAway), errors.Is(err, object.ErrAway), ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case errors.Is(err, results.ErrErased):
	case errors.Is(err, object.ErrNotFound):
		missing()
	case err != nil:
		f.add(ObjectBad, what, key, -1, fmt.Sprintf("%s cannot be opened: %v", what, err), fmt.Sprintf("任务 %s 的%s无法打开：已损坏或被改动", job, zh))
	case got != sum:
		f.add(ObjectBad, what, key, -1, fmt.Sprintf("%s has sha256 %s, and the verdict names %s: it is another file", what, got, sum), fmt.Sprintf("任务 %s 的%s的 sha256 为 %s，而结论记载为 %s：不是原文件", job, zh, got, sum))
	default:
		f.Objects++
	}
	return nil
}
