package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"onsite/cmd/onsite/service"
	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
)

type verifyCmd struct {
	Media   string   `arg:"" help:"The clip or photo to verify."`
	Face    []string `help:"One to five enrolled photos of the person. A shell pattern may follow." placeholder:"REF.jpg" sep:"none"`
	Site    string   `help:"Site file: names on its sign, photos of its logo, storefront, posters, desk." placeholder:"site.yaml"`
	Policy  string   `help:"Policy: a name (video15, photo, no_face) or a YAML file. Default: video15 for clips, photo for photos." placeholder:"NAME|p.yaml"`
	Against string   `help:"Folder of earlier clips and photos to look for this footage in; fingerprints are kept beside them." placeholder:"DIR"`
	Report  string   `help:"Write a self-contained HTML report." placeholder:"out.html"`
	JSON    bool     `help:"Print the verdict as JSON."`

	Subject string    `help:"Who it is said to be: an id for the verdict." placeholder:"ID"`
	TakenAt time.Time `help:"When it is said to be taken (RFC 3339); posters are checked for that day. Default: posters for today, and no claim." placeholder:"TIME"`
	Job     string    `help:"Job id for the verdict. Default: a new one." placeholder:"ID"`
	Note    string    `help:"A line to show at the top of the report." placeholder:"TEXT"`

	groundFlags
	modelFlag
	Limits limitFlags `embed:"" prefix:"limit-" group:"Limits of the media"`
}

// limitFlags are the limits before decoding; zero keeps the default.
type limitFlags struct {
	Bytes      int64         `help:"Largest file in bytes (default 200 MB)." placeholder:"N"`
	Megapixels int64         `help:"Largest photo in megapixels (default 50)." placeholder:"N"`
	Duration   time.Duration `help:"Longest clip (default 5m)." placeholder:"TIME"`
	Timeout    time.Duration `help:"Longest time that decoding one file may take." placeholder:"TIME"`
}

func (l limitFlags) check() error {
	for name, v := range map[string]int64{"bytes": l.Bytes, "megapixels": l.Megapixels, "duration": int64(l.Duration), "timeout": int64(l.Timeout)} {
		if v < 0 {
			return usagef(pipeline.Text{
				EN: fmt.Sprintf("--limit-%s is negative; give a positive value, or leave it out for the default", name),
				ZH: fmt.Sprintf("--limit-%s 为负数；请给出正数，或省略以使用默认值", name),
			})
		}
	}
	return nil
}

func (l limitFlags) options() media.Options {
	o := media.Options{Limits: media.DefaultLimits(), Timeout: l.Timeout}
	if l.Bytes > 0 {
		o.Limits.Bytes = l.Bytes
	}
	if l.Megapixels > 0 {
		o.Limits.PhotoPixels = l.Megapixels * 1_000_000
	}
	if l.Duration > 0 {
		o.Limits.Duration = l.Duration
	}
	return o
}

func (c *verifyCmd) Run(ctx context.Context, e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	claim, err := c.claim()
	if err != nil {
		return err
	}
	site, err := c.site()
	if err != nil {
		return err
	}
	core, err := newCore(c.Limits.options(), c.Model...)
	if err != nil {
		return err
	}
	defer core.close()

	page, err := newPage(c)
	if err != nil {
		return err
	}
	defer page.drop()
	bar := newProgress(e)
	defer bar.close()
	rules, err := c.policy()
	if err != nil {
		return err
	}
	if claim.Job == "" {
		claim.Job = verify.NewJob()
	}
	if site != nil {
		claim.Site = site.ID
	}
	job, done, err := c.prepare(ctx, e, core, bar, verify.Job{Claim: claim, Site: site, Policy: rules, Consent: true, Hear: true, Picture: c.Report != ""})
	if err != nil {
		return err
	}
	defer done()
	result, err := core.Run(ctx, job)
	bar.close()
	if err != nil {
		return err
	}
	if err := c.show(e, result); err != nil {
		return err
	}
	return page.write(result.Report(e.lang, c.Note))
}

// prepare opens what a job is compared with: the site's photos, the person's and the earlier footage. The caller calls done afterwards.
func (c *verifyCmd) prepare(ctx context.Context, e *env, core *core, bar *progress, job verify.Job) (_ verify.Job, done func(), err error) {
	job.Media, job.Progress, done = pipeline.File(c.Media), bar.stage, func() {}
	if site := job.Site; site != nil && (len(site.References) > 0 || len(site.SignNames) > 0) {
		if job.Place, err = core.Prepare(ctx, site, job.Picture && verify.WantsFace(job.Policy, true)); err != nil {
			return job, nil, err
		}
		done = job.Place.Close
	}
	if len(c.Face) > 0 && job.Consent && verify.WantsFace(job.Policy, job.Site != nil) {
		bar.stage(verify.StageEnroll, false)
		photos := make([]pipeline.Media, 0, len(c.Face))
		for _, f := range c.Face {
			photos = append(photos, pipeline.File(f))
		}
		if job.Subject, err = core.Enroll(ctx, photos, job.Picture); err != nil {
			done()
			return job, nil, err
		}
		bar.stage(verify.StageEnroll, true)
	}
	if c.Against != "" {
		if job.History, err = c.history(ctx, e, core, job.Policy, bar); err != nil {
			done()
			return job, nil, err
		}
	}
	return job, done, nil
}

// check finds what is wrong with the arguments before anything heavy starts.
func (c *verifyCmd) check() error {
	if len(c.Face) > verify.MaxFaces {
		return usagef(pipeline.Text{
			EN: fmt.Sprintf("--face was given %d times; a person has one to %d enrolled photos: leave out the worst ones", len(c.Face), verify.MaxFaces),
			ZH: fmt.Sprintf("--face 给出了 %d 次；每人可有 1 至 %d 张登记照片，请去掉质量较差的照片", len(c.Face), verify.MaxFaces),
		})
	}
	if err := readable("MEDIA", c.Media); err != nil {
		return err
	}
	for _, f := range c.Face {
		if err := readable("--face", f); err != nil {
			return err
		}
	}
	if c.Against != "" {
		if err := listable(c.Against); err != nil {
			return pathError("--against", c.Against, err, "name a folder with earlier clips", "请指定存放历史录像的文件夹")
		}
	}
	return c.Limits.check()
}

// listable says why a folder cannot be listed.
func listable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return syscall.ENOTDIR
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// readable says clearly why a path cannot be used as a file.
func readable(field, path string) error {
	f, err := pipeline.File(path).Open(context.Background())
	if err == nil {
		defer f.Close()
		info, serr := f.Stat()
		switch {
		case serr != nil:
			err = serr
		case info.IsDir():
			return pathError(field, path, errors.New("it is a folder"), "name one file", "请指定单个文件")
		case !info.Mode().IsRegular():
			return pathError(field, path, errors.New("it is not a regular file"), "save it to a file first", "请先保存为普通文件")
		}
	}
	if err != nil {
		return pathError(field, path, err, "check the path and its permissions", "请检查路径及其权限")
	}
	return nil
}

func pathError(field, path string, err error, fixEN, fixZH string) error {
	why := trouble(err)
	return &usageError{err: err, text: pipeline.Text{
		EN: fmt.Sprintf("%s %s: %s; %s", field, path, why.EN, fixEN),
		ZH: fmt.Sprintf("%s %s：%s；%s", field, path, why.ZH, fixZH),
	}}
}

// trouble says what is wrong with a path, without naming it again.
func trouble(err error) pipeline.Text {
	var data *pipeline.DataError
	if errors.As(err, &data) {
		return wrongWith(data)
	}
	text := words(err)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		text = pipeline.Text{EN: pe.Err.Error(), ZH: pe.Err.Error()}
	}
	if errors.Is(err, pipeline.ErrNotRegular) {
		text = pipeline.Text{EN: "it is a folder, a pipe or a device, not a file", ZH: "是文件夹、管道或设备，不是文件"}
	}
	for _, known := range []struct {
		err error
		zh  string
	}{
		{fs.ErrNotExist, "不存在"}, {fs.ErrPermission, "没有权限"}, {fs.ErrExist, "已存在"}, {syscall.EISDIR, "是文件夹"}, {syscall.ENOTDIR, "不是文件夹"},
		{syscall.ENOSPC, "磁盘空间不足"}, {syscall.EROFS, "文件系统为只读"},
	} {
		if errors.Is(err, known.err) {
			text.ZH = known.zh
		}
	}
	return text
}

// wrongWith says what is wrong with labelled data, without its path and what is wanted.
func wrongWith(data *pipeline.DataError) pipeline.Text {
	if data.Err == nil {
		return data.Wrong
	}
	return trouble(data.Err)
}

func usagef(t pipeline.Text) error { return &usageError{text: t, err: errors.New(t.EN)} }

func (c *verifyCmd) site() (*pipeline.Site, error) {
	if c.Site == "" {
		return nil, nil
	}
	return loadSite("--site", c.Site)
}

// policy gives the named policy; none named: the zero policy, for which the core takes the default one of the kind of media.
func (c *verifyCmd) policy() (policy.Policy, error) {
	if c.Policy == "" {
		return policy.Policy{}, nil
	}
	p, err := policy.Find(c.Policy)
	if err != nil {
		return policy.Policy{}, &usageError{text: words(err), err: err}
	}
	return p, nil
}

// history opens the folder of earlier footage. The submitted file itself, when it lies there, is no earlier footage.
func (c *verifyCmd) history(ctx context.Context, e *env, core *core, p policy.Policy, bar *progress) (pipeline.History, error) {
	decode := core.Decode
	if p.Reuse.Audio {
		decode = core.DecodeSound
	}
	folder, err := reuse.OpenFolder(ctx, reuse.FolderOptions{
		Dir: c.Against, Except: c.Media, Decode: decode, Blur: core.Blur, Progress: bar.count("earlier footage", "历史录像"),
	})
	if err != nil {
		return nil, err
	}
	for _, s := range folder.Skipped() {
		skipped := e.say(pipeline.Text{EN: "skipped earlier footage", ZH: "已跳过历史画面"})
		fmt.Fprintf(e.err, "onsite: %s: %s\n", skipped, report.Clean(e.say(words(s.Err))))
	}
	return folder, nil
}

func (c *verifyCmd) show(e *env, r verify.Result) error {
	if c.JSON {
		return e.printJSON(r.Verdict)
	}
	return report.Table(e.out, r.Verdict, filepath.Base(c.Media), e.lang, tableWidth(e.out), isTerminal(e.out) && os.Getenv("NO_COLOR") == "")
}

func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// core is the verifier with what it owns here.
type core struct{ verify.Verifier }

// newCore makes a verifier with the built-in models, with those chosen by name (onsite models list) in their tasks' place.
func newCore(o media.Options, chosen ...string) (*core, error) {
	options := models.DefaultOptions()
	if err := options.Choose(chosen...); err != nil {
		return nil, modelError(err)
	}
	return newCoreOn(o, options)
}

// newCoreOn makes a verifier whose models run as the options say.
func newCoreOn(o media.Options, m models.Options) (*core, error) {
	decoder, err := media.NewDecoder(o)
	if err != nil {
		return nil, err
	}
	set, err := models.Open(m)
	if err != nil {
		return nil, modelError(err)
	}
	service.Ballast()
	return &core{verify.Verifier{Decoder: decoder, Models: set}}, nil
}

func (c *core) close() { _ = c.Models.Close() }
