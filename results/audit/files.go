package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
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
	Subject(ctx context.Context, tenant, id string) (results.Subject, error)
	Subjects(ctx context.Context, tenant string, p results.Page) ([]results.Subject, error)
	Photos(ctx context.Context, tenant, subject string, rev int) ([]results.Photo, error)
	SiteRevisions(ctx context.Context, tenant string) ([]results.Site, error)
	Templates(ctx context.Context, tenant, subject string, photos []string, model string) ([]results.Template, error)
	Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error)
	Now() time.Time
}

// Opener opens what is sealed. An object that is not there is object.ErrNotFound; results.ErrErased says that its subject's key was destroyed;
// results.ErrAway and object.ErrAway end the inspection; every other error says that it is damaged.
type Opener interface {
	// Sum gives the sha256 of what an object holds, hex.
	Sum(ctx context.Context, key string) (string, error)
	// Frames gives the hashes of a kept fingerprint's frames, as the store has them.
	Frames(ctx context.Context, key string) ([]results.FrameHash, error)
	// Template opens the vector of an enrolled photo.
	Template(ctx context.Context, t results.Template) error
}

// Files opens the stored files of a tenant, after Inspect, and compares them with what is logged of them: of every verdict its media, its
// keyframes and its fingerprint, every enrolled photo with its vectors, and the photos of every revision of every site. It also holds each
// submission, fingerprint's row and row of frame hashes against the verdict. What is past its time, by the shortest that the tenant's
// settings gave it since it was received, or of an erased subject, may be gone. progress is told how many verdicts, people and sites were looked at; nil: nobody.
func (r *Report) Files(ctx context.Context, s FileSource, read Opener, progress func(n int)) error {
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
			if err := f.of(ctx, v.Subject, func() error { return f.verdict(ctx, v) }); err != nil {
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
	read Opener
	days results.Settings
}

// of looks at what is kept of a subject, and takes nothing of it for a finding where the subject was erased since Inspect: all of it goes in
// one step with the subject's row. Whoever only writes that row is found by Inspect, which holds it against the log.
func (f *files) of(ctx context.Context, subject string, look func() error) error {
	found, more, untimed := len(f.Findings), f.More, f.Untimed
	if err := look(); err != nil || len(f.Findings) == found && f.More == more || slices.Contains(f.gone, subject) {
		return err
	}
	s, err := f.s.Subject(ctx, f.Tenant, subject)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	if !s.ErasedAt.IsZero() {
		f.Findings, f.More, f.Untimed = f.Findings[:found], more, untimed
	}
	return nil
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
	if unread != nil || body.ErasedAt != "" && slices.Contains(f.gone, v.Subject) {
		return nil //nolint:nilerr // it is told in the report
	}
	sub, err := f.s.Submission(ctx, v.Job)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	f.submission(v, sub, body.Verdict)
	due := func(days func(results.Settings) int) keeping {
		least, unknown := f.terms.least(v.SubmittedAt, days)
		switch {
		case !f.s.Now().Before(v.SubmittedAt.AddDate(0, 0, min(days(f.days), least))):
			return keptNoMore
		case unknown:
			return keptUnknown
		}
		return keptStill
	}
	if err := f.file(ctx, ofJob(v.Job, "media", "媒体"), sub.Media.Key, body.Media.SHA256, due(mediaDays)); err != nil {
		return err
	}
	rows, err := f.s.Evidence(ctx, v.Tenant, v.Job)
	if err != nil {
		return err
	}
	keys := map[int]string{}
	for _, e := range rows {
		if _, two := keys[e.Index]; !f.evidence(v, e, body.Kept, two) {
			continue
		}
		keys[e.Index] = e.Key
	}
	for _, k := range body.Kept {
		what, key, over := ofJob(v.Job, fmt.Sprintf("keyframe %d", k.Index), fmt.Sprintf("关键帧 %d", k.Index)), keys[k.Index], due(keyframeDays)
		if k.Kind != "keyframe" {
			print, err := f.s.Print(ctx, v.Tenant, v.Job)
			if err != nil && !errors.Is(err, results.ErrNotFound) {
				return err
			}
			what, key, over = ofJob(v.Job, "fingerprint", "指纹"), print.Key, due(printDays)
			if err := f.print(ctx, v, print, body.Media.SHA256); err != nil {
				return err
			}
		}
		if err := f.file(ctx, what, key, k.SHA256, over); err != nil {
			return err
		}
	}
	return nil
}

// evidence holds the row of a kept picture against what the verdict names, and says whether it is the row of one that it names: what other rows
// lead to is not opened. two says that there was one for this picture already.
func (f *files) evidence(v results.Verdict, e results.Evidence, kept []pipeline.Kept, two bool) bool {
	at := slices.IndexFunc(kept, func(k pipeline.Kept) bool {
		return e.Kind == "keyframe" && k.Kind == e.Kind && k.Index == e.Index
	})
	what := fmt.Sprintf("row of %q %d of job %s", e.Kind, e.Index, v.Job)
	if at < 0 || two {
		f.add(RowChanged, what, v.Job, -1, fmt.Sprintf("the %s is of no picture that its verdict names, or there are two of it: it was added or changed", what),
			fmt.Sprintf("任务 %s 的数据行（类别 %q，序号 %d）不属于结论所记载的图片，或存在重复：数据行为后来添加或已被改动", v.Job, e.Kind, e.Index))
		return false
	}
	if k := kept[at]; e.SHA256 != k.SHA256 || e.Bytes != k.Bytes || e.Subject != v.Subject || e.Tenant != v.Tenant {
		f.add(RowChanged, what, v.Job, -1, fmt.Sprintf("the %s names another sha256, size or subject than its verdict: it was changed", what),
			fmt.Sprintf("任务 %s 的关键帧 %d 的数据行所记 sha256、大小或人员与结论不一致：数据行已被改动", v.Job, e.Index))
	}
	return true
}

// keeping says whether something is still to be kept.
type keeping int

const (
	keptStill keeping = iota
	keptNoMore
	keptUnknown // nobody wrote down for how long
)

func mediaDays(s results.Settings) int    { return s.MediaDays }
func keyframeDays(s results.Settings) int { return s.KeyframeDays }
func printDays(s results.Settings) int    { return s.PrintDays }

// submission holds a submission's row against its verdict: the claim by the digest that the verdict names, which has the time of receipt in
// it, too; whose it is, and which file.
func (f *files) submission(v results.Verdict, sub results.Submission, body pipeline.Verdict) {
	if body.Inputs.Claim == "" || sub.Job == "" { // the submission's time is over
		return
	}
	odd := pipeline.Text{EN: "claim", ZH: "申报内容"}
	claim, err := sub.CoreClaim()
	if err == nil {
		var raw []byte
		if raw, err = json.Marshal(claim); err == nil && "sha256:"+results.Sum(raw) == body.Inputs.Claim {
			odd = pipeline.Text{}
		}
	}
	switch {
	case sub.Tenant != v.Tenant || sub.Subject != body.Subject:
		odd = pipeline.Text{EN: "subject", ZH: "人员"}
	case sub.Site != body.Site:
		odd = pipeline.Text{EN: "site", ZH: "地点"}
	case sub.Media.Key != "" && sub.Media.SHA256 != body.Media.SHA256:
		odd = pipeline.Text{EN: "sha256 of the media", ZH: "媒体 sha256"}
	case !sub.ReceivedAt.Equal(v.SubmittedAt):
		odd = pipeline.Text{EN: "time of receipt", ZH: "收到时间"}
	}
	if odd.EN != "" {
		f.add(ClaimChanged, odd.EN+" of job "+v.Job, v.Job, -1, fmt.Sprintf("the %s of job %s is not the one that its verdict names: its row was changed", odd.EN, v.Job), fmt.Sprintf("任务 %s 的%s与结论所记载的不一致：数据行已被改动", v.Job, odd.ZH))
	}
}

// print holds the row of a fingerprint, and the hashes by which others' copies are found, against what the fingerprint itself says.
func (f *files) print(ctx context.Context, v results.Verdict, p results.Print, media string) error {
	if p.Job == "" { // its time is over, or it is missed by its file
		return nil
	}
	if p.SHA256 != media || p.Subject != v.Subject || p.Site != v.Site {
		f.add(PrintChanged, "fingerprint of job "+v.Job, v.Job, -1, fmt.Sprintf("the row of the fingerprint of job %s names another file, subject or site than its verdict: it was changed", v.Job),
			fmt.Sprintf("任务 %s 的指纹数据行所记文件、人员或地点与结论不一致：数据行已被改动", v.Job))
	}
	kept, err := f.s.Frames(ctx, v.Tenant, results.FrameFilter{From: v.Job, Before: v.Job + "0", UpTo: math.MaxInt64}, 1)
	if err != nil || p.Seq == 0 { // hashes are given from the position on
		return err
	}
	want, err := f.read.Frames(ctx, p.Key)
	if away(ctx, err) {
		return errors.Join(err, ctx.Err())
	}
	if err != nil { // the file's own comparison says so
		return nil //nolint:nilerr // see above
	}
	if len(kept) != 1 && len(want) > 0 || len(kept) == 1 && (kept[0].Unread != nil || !slices.Equal(kept[0].Frames, want)) {
		f.add(PrintChanged, "frame hashes of job "+v.Job, v.Job, -1, fmt.Sprintf("the hashes by which copies of job %s are found are not those of its fingerprint: their row was changed or removed", v.Job),
			fmt.Sprintf("用于查找任务 %s 副本的帧哈希与其指纹不一致：数据行已被改动或移除", v.Job))
	}
	return nil
}

// away says that something could not be read now, of which nobody is to blame.
func away(ctx context.Context, err error) bool {
	return errors.Is(err, results.ErrAway) || errors.Is(err, object.ErrAway) || ctx.Err() != nil
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
			if slices.Contains(f.gone, s.ID) {
				continue
			}
			photos, err := f.s.Photos(ctx, f.Tenant, s.ID, 0)
			if err != nil {
				return err
			}
			for _, photo := range photos {
				if err := f.of(ctx, s.ID, func() error { return f.photo(ctx, photo) }); err != nil {
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

func (f *files) photo(ctx context.Context, photo results.Photo) error {
	name := pipeline.Text{EN: fmt.Sprintf("enrolled photo %s of %s", photo.ID, photo.Subject), ZH: fmt.Sprintf("%s 的登记照片 %s", photo.Subject, photo.ID)}
	if err := f.file(ctx, name, photo.Key, photo.SHA256, keptStill); err != nil {
		return err
	}
	return f.templates(ctx, photo)
}

// templates opens the vectors of an enrolled photo, of all models. One that is not there is made again from the photo.
func (f *files) templates(ctx context.Context, photo results.Photo) error {
	all, err := f.s.Templates(ctx, f.Tenant, photo.Subject, []string{photo.ID}, "")
	if err != nil {
		return err
	}
	for _, t := range all {
		switch err := f.read.Template(ctx, t); {
		case away(ctx, err):
			return errors.Join(err, ctx.Err())
		case err != nil:
			f.add(ObjectBad, "vector of photo "+photo.ID, photo.ID, -1, fmt.Sprintf("the vector of photo %s of %s under model %.12s cannot be opened: %v", photo.ID, photo.Subject, t.ModelSHA256, err),
				fmt.Sprintf("%s 的照片 %s 在模型 %.12s 下的向量无法打开：已损坏或被改动", photo.Subject, photo.ID, t.ModelSHA256))
		default:
			f.Objects++
		}
	}
	return nil
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
			if err := f.file(ctx, name, r.Key, r.SHA256, keptStill); err != nil {
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
func (f *files) file(ctx context.Context, name pipeline.Text, key, sum string, due keeping) error {
	missing := func() {
		switch due {
		case keptNoMore:
		case keptUnknown:
			f.Untimed++
		case keptStill:
			f.add(ObjectMissing, name.EN, key, -1, name.EN+" is not there, and its time is not over", name.ZH+"不存在，且尚未到期")
		}
	}
	if key == "" {
		missing()
		return nil
	}
	got, err := f.read.Sum(ctx, key)
	switch {
	case away(ctx, err):
		return errors.Join(err, ctx.Err())
	case errors.Is(err, results.ErrErased):
		if parts := strings.Split(key, "/"); len(parts) < 2 || !slices.Contains(f.gone, parts[1]) { // a key says its tenant and subject
			f.add(ObjectBad, name.EN, key, -1, name.EN+" cannot be opened: the key that it is sealed with was destroyed, and the log knows of no erasure", name.ZH+"无法打开：其加密密钥已被销毁，而日志中没有相应的删除记录")
		}
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
