package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/pipeline"
)

type verdictsCmd struct {
	Job string `arg:"" optional:"" help:"The verdict of one job. Without it: a list, newest first."`
	verdictFilter
	Limit   int    `help:"How many to print." default:"50" placeholder:"N"`
	Export  string `help:"Print all that the filters leave as ndjson (whole verdicts) or csv." enum:",ndjson,csv" default:"" placeholder:"FORM"`
	Changes bool   `help:"Print every revision in the order in which it was committed: with --after, none is ever missed."`
	After   int64  `help:"With --changes: only what comes after this position." placeholder:"N"`
	History bool   `help:"With a job: all revisions of its verdict, and how often it was made again (onsite reverify)."`
	Wait    bool   `help:"With --changes: when there is nothing yet, wait up to 30 seconds for something."`

	remoteFlags
}

func (c *verdictsCmd) Run(ctx context.Context, e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	switch {
	case c.History:
		return c.history(ctx, e, service)
	case c.Job != "":
		job, err := service.Job(ctx, c.Job, 0)
		if err != nil {
			return remotely(err)
		}
		return showEnd(ctx, e, service, job, "", c.JSON)
	case c.Changes:
		return c.changes(ctx, e, service)
	case c.Export != "":
		return remotely(service.Export(ctx, c.client(), c.Export, e.out))
	}
	rows, err := gather(c.Limit, func(cursor string, limit int) (client.Page[client.VerdictRow], error) {
		return service.Verdicts(ctx, c.client(), cursor, limit)
	})
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(map[string]any{"verdicts": rows})
	}
	return columns(e.out, e.verdictTable(rows))
}

func (c *verdictsCmd) check() error {
	switch {
	case c.Job != "" && (c.any() || c.Changes || c.Export != ""):
		return usagef(pipeline.Text{EN: "a job has one verdict; leave the filters out", ZH: "一个任务只有一个结论；请去掉过滤条件"})
	case c.History && c.Job == "":
		return usagef(pipeline.Text{EN: "--history is that of one job: name it", ZH: "--history 针对单个任务：请给出任务"})
	case c.Changes && (c.any() || c.Export != ""):
		return usagef(pipeline.Text{EN: "--changes gives everything; leave the filters out", ZH: "--changes 会列出全部内容；请去掉过滤条件"})
	case !c.Changes && (c.After != 0 || c.Wait):
		return usagef(pipeline.Text{EN: "--after and --wait belong to --changes", ZH: "--after 和 --wait 须与 --changes 同时使用"})
	case c.After < 0:
		return usagef(pipeline.Text{EN: "--after is a position: 0, or the one of the answer before", ZH: "--after 是位置：0 或上一次结果给出的位置"})
	}
	return checkLimit(c.Limit)
}

// changes prints a part of the feed, and where to go on.
func (c *verdictsCmd) changes(ctx context.Context, e *env, service *client.Client) error {
	all := client.Changes{Items: []client.VerdictRow{}, Position: c.After, More: true}
	var wait time.Duration
	if c.Wait {
		wait = 30 * time.Second
	}
	for all.More && len(all.Items) < c.Limit {
		part, err := service.Changes(ctx, all.Position, min(500, c.Limit-len(all.Items)), wait)
		if err != nil {
			return remotely(err)
		}
		all = client.Changes{Items: append(all.Items, part.Items...), Position: part.Position, More: part.More}
		wait = 0
	}
	if c.JSON {
		return e.printJSON(all)
	}
	if err := columns(e.out, e.verdictTable(all.Items)); err != nil {
		return err
	}
	text := pipeline.Text{EN: fmt.Sprintf("position %d; go on with --changes --after %d", all.Position, all.Position), ZH: fmt.Sprintf("位置 %d；用 --changes --after %d 继续", all.Position, all.Position)}
	fmt.Fprintln(e.err, "onsite:", e.say(text))
	return nil
}

// history prints a verdict's revisions and what stands beside them.
func (c *verdictsCmd) history(ctx context.Context, e *env, service *client.Client) error {
	revisions, err := service.Revisions(ctx, c.Job)
	if err != nil {
		return remotely(err)
	}
	again, err := gather(c.Limit, func(cursor string, limit int) (client.Page[client.Reverification], error) {
		return service.Reverifications(ctx, c.Job, cursor, limit)
	})
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(map[string]any{"revisions": revisions, "reverifications": again})
	}
	if err := columns(e.out, e.verdictTable(revisions)); err != nil {
		return err
	}
	for _, r := range again {
		fmt.Fprintf(e.out, "%s, %s, %s: ", localTime(r.MadeAt), r.MadeBy, r.Asked)
		e.reverification(r)
	}
	return nil
}

func (e *env) verdictTable(rows []client.VerdictRow) [][]string {
	out := [][]string{e.heads("job", "任务", "rev", "版本", "decision", "结论", "subject", "人员", "site", "地点", "submitted", "提交时间", "reasons", "原因")}
	for _, v := range rows {
		codes := make([]string, len(v.Codes))
		for i, code := range v.Codes {
			codes[i] = string(code)
		}
		out = append(out, []string{v.Job, strconv.Itoa(v.Revision), e.say(decided(v.Decision)), v.Subject, v.Site, localTime(v.SubmittedAt), strings.Join(codes, ", ")})
	}
	return out
}
