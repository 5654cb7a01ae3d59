package main

import (
	"context"
	"fmt"
	"strconv"

	"onsite/api/client"
	"onsite/pipeline"
)

// reuseCmd is what an investigator says about matches of the reuse check.
type reuseCmd struct {
	Mark   markCmd   `cmd:"" help:"Mark a match as wrong: a pair with --other, a background with --at."`
	Marks  marksCmd  `cmd:"" help:"List marks, newest first."`
	Unmark unmarkCmd `cmd:"" help:"Revoke a mark."`
}

type markCmd struct {
	Job   string `arg:"" help:"The job whose match is wrong."`
	Other string `help:"The other job: these two are not the same recording, or are one event that was handed in twice." placeholder:"JOB"`
	At    *int64 `help:"Milliseconds from the beginning (0 for a photo): what the keyframe there shows, a wall or a fixed camera's view, says nothing about reuse." placeholder:"MS"`
	Site  string `help:"With --at: only for uploads of this place of work. Default: for all." placeholder:"ID"`
	Note  string `help:"Why; for whoever asks later. No names: it is not sealed." required:"" placeholder:"TEXT"`

	remoteFlags
}

func (c *markCmd) Run(ctx context.Context, e *env) error {
	m := client.NewMark{Kind: "pair", Job: c.Job, Other: c.Other, AtMS: c.At, Site: c.Site, Note: c.Note}
	switch {
	case (c.Other == "") == (c.At == nil):
		return usagef(pipeline.Text{EN: "say what is wrong: the pair with --other JOB, or the background with --at MS", ZH: "请说明错误之处：用 --other JOB 标记一对任务，或用 --at MS 标记背景"})
	case c.Site != "" && c.At == nil:
		return usagef(pipeline.Text{EN: "--site belongs to --at: a pair is one pair, wherever it is", ZH: "--site 须与 --at 同时使用：一对任务与地点无关"})
	case c.At != nil && *c.At < 0:
		return usagef(pipeline.Text{EN: "--at counts milliseconds from the beginning: 0 or more", ZH: "--at 为从开头起的毫秒数：0 或更大"})
	case c.At != nil:
		m.Kind = "background"
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	got, err := service.Mark(ctx, m)
	return e.marked(got, err, c.JSON)
}

type marksCmd struct {
	Job   string `help:"Only those of this job." placeholder:"JOB"`
	Kind  string `help:"Only pair or background." enum:",pair,background" default:"" placeholder:"KIND"`
	All   bool   `help:"Also those that were revoked."`
	Limit int    `help:"How many to print." default:"50" placeholder:"N"`

	remoteFlags
}

func (c *marksCmd) Run(ctx context.Context, e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	marks, err := gather(c.Limit, func(cursor string, limit int) (client.Page[client.Mark], error) {
		return service.Marks(ctx, client.MarkFilter{Job: c.Job, Kind: c.Kind, InForce: !c.All}, cursor, limit)
	})
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(map[string]any{"marks": marks})
	}
	rows := [][]string{e.heads("mark", "标记", "kind", "类型", "job", "任务", "what", "对象", "site", "地点", "marked", "标记时间", "revoked", "撤销时间", "note", "说明")}
	for _, m := range marks {
		what, revoked := m.Other, ""
		if m.AtMS != nil {
			what = strconv.FormatInt(*m.AtMS, 10) + " ms"
		}
		if m.RevokedAt != nil {
			revoked = localTime(*m.RevokedAt)
		}
		rows = append(rows, []string{m.ID, e.say(coded(markKinds, m.Kind)), m.Job, what, m.Site, localTime(m.CreatedAt), revoked, m.Note})
	}
	return columns(e.out, rows)
}

type unmarkCmd struct {
	ID string `arg:"" help:"The mark, as \"onsite reuse marks\" lists it."`

	remoteFlags
}

func (c *unmarkCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	got, err := service.Unmark(ctx, c.ID)
	return e.marked(got, err, c.JSON)
}

// marked prints a mark's id, and on the other stream what became of the verdict of its job.
func (e *env) marked(m client.Marked, err error, asJSON bool) error {
	if err != nil {
		return remotely(err)
	}
	if asJSON {
		return e.printJSON(m)
	}
	v := m.Verdict
	text := pipeline.Text{
		EN: fmt.Sprintf("compared job %s again: nothing changes in its verdict", v.Job), ZH: fmt.Sprintf("已重新比对任务 %s：其结论没有变化", v.Job),
	}
	switch {
	case v.Why != nil:
		text = v.Why.Text
	case v.Changed:
		text = pipeline.Text{
			EN: fmt.Sprintf("job %s has a new verdict: %s, revision %d", v.Job, v.Decision, v.Revision), ZH: fmt.Sprintf("任务 %s 有新的结论：%s，版本 %d", v.Job, decided(v.Decision).ZH, v.Revision),
		}
	}
	fmt.Fprintln(e.err, "onsite:", e.say(text))
	_, err = fmt.Fprintln(e.out, m.ID)
	return err
}
