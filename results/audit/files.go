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
	Print(ctx context.Context, tenant, job string) (results.Print, error)
	Subjects(ctx context.Context, tenant string, p results.Page) ([]results.Subject, error)
	Photos(ctx context.Context, tenant, subject string, rev int) ([]results.Photo, error)
	SiteRevisions(ctx context.Context, tenant string) ([]results.Site, error)
	Now() time.Time
}

// Reader opens a sealed object and gives the sha256 of what it holds, hex. An object that is not there is object.ErrNotFound; results.ErrErased
// says that its subject was erased; results.ErrAway and object.ErrAway end the inspection; every other error says that the object is damaged.
type Reader func(ctx context.Context, key string) (sha256 string, err error)

// Files opens the stored files of a tenant and compares them with what is logged of them: of every verdict its media, its keyframes and its
// fingerprint, every enrolled photo, and the photos of every revision of every site. It also holds each claim against its verdict. What is past
// its time by the tenant's settings, or of an erased subject, may be gone. progress is told how many verdicts, people and sites were looked at;
// nil: nobody.
func (r *Report) Files(ctx context.Context, s FileSource, read Reader, progress func(n int)) error {
	tenant, err := s.Tenant(ctx, r.Tenant)
	if err != nil {
		return err
	}
	f := &files{Report: r, s: s, read: read, days: tenant.Settings.Filled()}
	seen := 0
	tick := func() {
		if seen++; progress != nil {
			progress(seen)
		}
	}
	if err := f.people(ctx, tick); err != nil {
		return err
	}
	if err := f.sites(ctx, tick); err != nil {
		return err
	}
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
			tick()
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
	if err := f.claim(v.Job, sub, body.Inputs.Claim); err != nil {
		return err
	}
	due := func(days int) bool { return !f.s.Now().Before(v.SubmittedAt.AddDate(0, 0, days)) }
	if err := f.file(ctx, ofJob(v.Job, "media", "媒体"), sub.Media.Key, body.Media.SHA256, due(f.days.MediaDays)); err != nil {
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
		what, key, over := ofJob(v.Job, fmt.Sprintf("keyframe %d", k.Index), fmt.Sprintf("关键帧 %d", k.Index)), keys[k.Index], due(f.days.KeyframeDays)
		if k.Kind != "keyframe" {
			print, err := f.s.Print(ctx, v.Tenant, v.Job)
			if err != nil && !errors.Is(err, results.ErrNotFound) {
				return err
			}
			what, key, over = ofJob(v.Job, "fingerprint", "指纹"), print.Key, due(f.days.PrintDays)
		}
		if err := f.file(ctx, what, key, k.SHA256, over); err != nil {
			return err
		}
	}
	return nil
}

// claim holds a submission's claim against the digest that its verdict names.
func (f *files) claim(job string, sub results.Submission, want string) error {
	if want == "" || sub.Job == "" { // the submission's time is over
		return nil
	}
	claim, err := sub.CoreClaim()
	if err == nil {
		var raw []byte
		if raw, err = json.Marshal(claim); err == nil && "sha256:"+results.Sum(raw) == want {
			return nil
		}
	}
	f.add(ClaimChanged, "claim of job "+job, job, -1, fmt.Sprintf("the claim of job %s is not the one that its verdict names: its row was changed", job), fmt.Sprintf("任务 %s 的申报内容与结论所记载的不一致：数据行已被改动", job))
	return nil
}

// people opens the enrolled photos of everybody. The log vouches for the sums in their rows.
func (f *files) people(ctx context.Context, tick func()) error {
	for p := (results.Page{Limit: page}); ; {
		some, err := f.s.Subjects(ctx, f.Tenant, p)
		if err != nil {
			return err
		}
		for _, s := range some {
			p.After = s.ID
			if !s.ErasedAt.IsZero() {
				continue
			}
			photos, err := f.s.Photos(ctx, f.Tenant, s.ID, 0)
			if err != nil {
				return err
			}
			for _, photo := range photos {
				name := pipeline.Text{EN: fmt.Sprintf("enrolled photo %s of %s", photo.ID, s.ID), ZH: fmt.Sprintf("%s 的登记照片 %s", s.ID, photo.ID)}
				if err := f.file(ctx, name, photo.Key, photo.SHA256, false); err != nil {
					return err
				}
			}
			tick()
		}
		if len(some) < page {
			return nil
		}
	}
}

// sites opens the photos that any revision of a site names: verdicts are made again from older ones, too.
func (f *files) sites(ctx context.Context, tick func()) error {
	all, err := f.s.SiteRevisions(ctx, f.Tenant)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, s := range all {
		for _, r := range s.Doc.References {
			if seen[r.Key+r.SHA256] {
				continue
			}
			seen[r.Key+r.SHA256] = true
			name := pipeline.Text{EN: fmt.Sprintf("photo %s of site %s", r.Name, s.ID), ZH: fmt.Sprintf("地点 %s 的照片 %s", s.ID, r.Name)}
			if err := f.file(ctx, name, r.Key, r.SHA256, false); err != nil {
				return err
			}
		}
		tick()
	}
	return nil
}

func ofJob(job, en, zh string) pipeline.Text {
	return pipeline.Text{EN: en + " of job " + job, ZH: "任务 " + job + " 的" + zh}
}

// file compares one file with the sum that is known of it.
func (f *files) file(ctx context.Context, name pipeline.Text, key, sum string, due bool) error {
	missing := func() {
		if !due {
			f.add(ObjectMissing, name.EN, key, -1, name.EN+" is not there, and its time is not over", name.ZH+"不存在，且尚未到期")
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
		f.add(ObjectBad, name.EN, key, -1, fmt.Sprintf("%s cannot be opened: %v", name.EN, err), name.ZH+"无法打开：已损坏或被改动")
	case got != sum:
		f.add(ObjectBad, name.EN, key, -1, fmt.Sprintf("%s has sha256 %s, and %s was logged: it is another file", name.EN, got, sum), fmt.Sprintf("%s的 sha256 为 %s，而日志记载为 %s：不是原文件", name.ZH, got, sum))
	default:
		f.Objects++
	}
	return nil
}
