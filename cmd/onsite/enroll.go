package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/api/roster"
	"onsite/pipeline"
)

type enrollCmd struct {
	Subject string   `arg:"" optional:"" help:"Id of the employee."`
	Photo   []string `arg:"" optional:"" help:"One to five photos of the face."`

	Label            string    `help:"What people call the record." placeholder:"TEXT"`
	Consent          string    `help:"The person consented to face processing: version of the text that was agreed to." placeholder:"NOTICE"`
	ConsentReference string    `help:"Where the signed record is, in your own files." placeholder:"REF"`
	ConsentGivenAt   time.Time `help:"When the consent was given (RFC 3339). Default: now." placeholder:"TIME"`

	CSV    string `help:"Enroll many people: a CSV file with the columns subject,label,photos,consent_notice,consent_reference,consent_given_at (photos separated by ;), or NDJSON." placeholder:"people.csv"`
	Photos string `help:"With --csv: the folder that holds the photos." placeholder:"DIR"`
	DryRun bool   `help:"Look at everything and store nothing."`

	remoteFlags
}

// Sizes of the parts in which a long list is sent: small enough that a cut connection costs little, large enough that the way there and
// back does not count.
const (
	partRows  = 20
	partBytes = 64 << 20
)

// enrolment is one run of the command.
type enrolment struct {
	*enrollCmd
	env     *env
	service *client.Client
	bar     *progress
	rows    []client.BulkRow
}

// row is a person whose photos are known by their bytes.
type row struct {
	roster.Person
	files []client.File
	known []string // photos that are enrolled already
	bytes int64
}

func (c *enrollCmd) Run(ctx context.Context, e *env) error {
	people, photos, err := c.people()
	if err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	r := &enrolment{enrollCmd: c, env: e, service: service, bar: newProgress(e)}
	err = r.all(ctx, people, photos)
	r.bar.close()
	slices.SortStableFunc(r.rows, func(a, b client.BulkRow) int { return a.Line - b.Line })
	if err != nil {
		if len(r.rows) > 0 && !c.JSON {
			_ = r.table() // what was done so far; the command may be repeated
		}
		return remotely(err)
	}
	return r.tell()
}

// people gives who is to be enrolled, and where the file of each photo lies.
func (c *enrollCmd) people() ([]roster.Person, func(name string) string, error) {
	consent := c.Consent != "" || c.ConsentReference != "" || !c.ConsentGivenAt.IsZero()
	switch {
	case c.CSV != "" && (c.Subject != "" || len(c.Photo) > 0 || c.Label != "" || consent):
		return nil, nil, usagef(pipeline.Text{EN: "--csv names the people, their photos and consents itself; leave the other arguments out", ZH: "--csv 文件已包含人员、照片和同意信息；请去掉其他参数"})
	case c.CSV != "":
		return c.list()
	case c.Photos != "":
		return nil, nil, usagef(pipeline.Text{EN: "--photos belongs to --csv; name the photos after the subject", ZH: "--photos 须与 --csv 同时使用；请在人员编号后列出照片"})
	case c.Subject == "":
		return nil, nil, usagef(pipeline.Text{EN: "name a subject and its photos, or a list with --csv", ZH: "请给出人员编号及其照片，或用 --csv 指定名单"})
	case c.Consent == "" && consent:
		return nil, nil, usagef(pipeline.Text{EN: "--consent is missing: name the version of the text that the person agreed to", ZH: "缺少 --consent：请填写本人所同意文本的版本"})
	}
	p := roster.Person{Line: 1, Subject: c.Subject, Label: c.Label}
	if consent {
		p.Consent = &roster.Consent{Notice: c.Consent, Reference: c.ConsentReference, GivenAt: c.ConsentGivenAt}
	}
	paths := map[string]string{}
	for i, path := range c.Photo {
		if err := readable("PHOTO", path); err != nil {
			return nil, nil, err
		}
		name := filepath.Base(path)
		if _, twice := paths[name]; twice {
			name = fmt.Sprintf("%d/%s", i+1, name)
		}
		paths[name] = path
		p.Photos = append(p.Photos, name)
	}
	return []roster.Person{p}, func(name string) string { return paths[name] }, nil
}

func (c *enrollCmd) list() ([]roster.Person, func(string) string, error) {
	raw, err := pipeline.ReadFile(c.CSV, roster.MaxBytes)
	if err != nil {
		return nil, nil, pathError("--csv", c.CSV, err, "name a list of people", "请指定人员名单文件")
	}
	people, err := roster.Read(raw)
	var wrong roster.Errors
	if errors.As(err, &wrong) {
		t := wrong.Words()
		return nil, nil, &usageError{err: err, text: pipeline.Text{EN: c.CSV + ": " + t.EN, ZH: c.CSV + "：" + t.ZH}}
	}
	dir := c.Photos
	if dir == "" {
		dir = filepath.Dir(c.CSV)
	} else if err := listable(dir); err != nil {
		return nil, nil, pathError("--photos", dir, err, "name the folder that holds the photos", "请指定存放照片的文件夹")
	}
	return people, func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }, err
}

// all sends the people in parts and notes what became of each.
func (r *enrolment) all(ctx context.Context, people []roster.Person, path func(string) string) error {
	what := r.env.say(pipeline.Text{EN: "enrolling", ZH: "正在登记"})
	var part []row
	var size int64
	for i, p := range people {
		one, err := r.look(ctx, p, path)
		if err != nil {
			return err
		}
		if one == nil {
			continue // refused already
		}
		if len(part) > 0 && (len(part) == partRows || size+one.bytes > partBytes) {
			if err := r.send(ctx, part); err != nil {
				return err
			}
			part, size = nil, 0
		}
		part, size = append(part, *one), size+one.bytes
		r.bar.show(len(people), i, what)
	}
	return r.send(ctx, part)
}

// look finds the photos of a row and leaves out those that the service has; a row whose photos are not there is refused here.
func (r *enrolment) look(ctx context.Context, p roster.Person, path func(string) string) (*row, error) {
	one := &row{Person: p}
	var sums []string
	for _, name := range p.Photos {
		sum, size, err := digest(path(name))
		if err != nil {
			why := pathError(r.env.say(pipeline.Text{EN: "photo", ZH: "照片"}), path(name), err, "check the path", "请检查路径")
			text := r.env.say(words(why))
			r.rows = append(r.rows, client.BulkRow{Line: p.Line, Subject: p.Subject, Status: "refused", Problem: &client.Problem{Code: "photo_missing", Title: text}})
			return nil, nil //nolint:nilnil // the row is refused, and that is noted
		}
		sums = append(sums, sum)
		one.bytes += size
	}
	there := map[string]bool{}
	if len(sums) > 0 {
		photos, err := r.service.Photos(ctx, p.Subject)
		if err != nil && !notThere(err) {
			return nil, err
		}
		for _, photo := range photos {
			there[photo.SHA256] = true
		}
	}
	one.Photos = nil
	for i, name := range p.Photos {
		if there[sums[i]] {
			one.known = append(one.known, name)
			continue
		}
		one.Photos = append(one.Photos, name)
		one.files = append(one.files, client.File{Name: name, Path: path(name)})
	}
	return one, nil
}

func digest(path string) (sum string, size int64, err error) {
	f, err := pipeline.OpenRegular(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// send sends a part as NDJSON.
func (r *enrolment) send(ctx context.Context, part []row) error {
	if len(part) == 0 {
		return nil
	}
	var list bytes.Buffer
	var files []client.File
	enc := json.NewEncoder(&list)
	for _, one := range part {
		if err := enc.Encode(one.Person); err != nil {
			return fmt.Errorf("write the row of %s: %w", one.Subject, err)
		}
		files = append(files, one.files...)
	}
	answer, err := r.service.Bulk(ctx, list.Bytes(), files, r.DryRun, nil)
	if err != nil {
		return err
	}
	if len(answer.Rows) != len(part) {
		return fmt.Errorf("the service answered %d rows of %d", len(answer.Rows), len(part))
	}
	for i, got := range answer.Rows {
		got.Line = part[i].Line
		got.Known = append(part[i].known, got.Known...)
		r.rows = append(r.rows, got)
	}
	return nil
}

// tell prints what became of everybody. That somebody was refused is exit state 3.
func (r *enrolment) tell() error {
	sum := map[string]int{}
	for _, one := range r.rows {
		sum[one.Status]++
	}
	refused := sum["refused"]
	if r.JSON {
		if err := r.env.printJSON(client.Bulk{DryRun: r.DryRun, Enrolled: sum["enrolled"] + sum["would_enrol"], Unchanged: sum["unchanged"], Refused: refused, Rows: r.rows}); err != nil {
			return err
		}
	} else if err := r.table(); err != nil {
		return err
	}
	if refused == 0 {
		return nil
	}
	if len(r.rows) == 1 {
		p := r.rows[0].Problem
		text := problemText(p)
		if p.Code == "no_consent" {
			text = pipeline.Text{EN: text.EN + "\n  Here: --consent NOTICE", ZH: text.ZH + "\n  在此处：--consent NOTICE"}
		}
		return &remoteError{code: exitRefused, rule: p.Code, text: text, err: p}
	}
	return &remoteError{code: exitRefused, rule: "rows_refused", err: errors.New("rows were refused"), text: pipeline.Text{
		EN: fmt.Sprintf("%d of %d rows were refused; correct them and run the command again: what is done already stays as it is", refused, len(r.rows)),
		ZH: fmt.Sprintf("%d 行被拒绝（共 %d 行）；请更正后重新运行：已完成的不会重复", refused, len(r.rows)),
	}}
}

var rowWords = map[string]pipeline.Text{
	"enrolled":    {EN: "enrolled", ZH: "已登记"},
	"unchanged":   {EN: "unchanged", ZH: "无变化"},
	"would_enrol": {EN: "would be enrolled", ZH: "可登记"},
	"refused":     {EN: "refused", ZH: "被拒绝"},
}

func (r *enrolment) table() error {
	e := r.env
	rows := [][]string{e.heads("line", "行", "subject", "人员", "result", "结果", "new", "新增", "there", "已有", "why", "原因")}
	for _, one := range r.rows {
		why := ""
		if one.Problem != nil && len(r.rows) > 1 { // of one row it is the error of the command
			why = strings.Join(strings.Fields(problemText(one.Problem).EN), " ")
		}
		if one.NotLookedAt {
			why += e.say(pipeline.Text{EN: " photos not looked at: no consent is on record yet", ZH: " 未查看照片：尚无同意记录"})
		}
		for _, like := range one.LookAlikes {
			why += e.say(pipeline.Text{EN: fmt.Sprintf(" looks like %s (%.2f): have a person look", like.Subject, like.Similarity), ZH: fmt.Sprintf(" 与 %s 相似（%.2f）：请人工核对", like.Subject, like.Similarity)})
		}
		rows = append(rows, []string{strconv.Itoa(one.Line), one.Subject, e.say(rowWords[one.Status]), strconv.Itoa(len(one.Added)), strconv.Itoa(len(one.Known)), strings.TrimSpace(why)})
	}
	return columns(e.out, rows)
}
