package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/pipeline"
)

type jobsCmd struct {
	ID      string   `arg:"" optional:"" help:"One job. Without it: a list, newest first."`
	State   []string `help:"Only jobs in these states: accepted, queued, running, done, refused, dead." sep:"," placeholder:"STATE,..."`
	Dead    bool     `help:"Only jobs that were given up or that wait for a person, with the reason."`
	Subject string   `help:"Only jobs of this employee." placeholder:"ID"`
	Site    string   `help:"Only jobs of this place of work." placeholder:"ID"`
	Limit   int      `help:"How many to print." default:"50" placeholder:"N"`
	Wait    bool     `help:"With a job: wait until it is finished."`
	Requeue bool     `help:"With a job that was given up or that waits for a person: let it run again."`

	remoteFlags
}

func (c *jobsCmd) Run(ctx context.Context, e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	if c.ID != "" {
		return c.one(ctx, e, service)
	}
	jobs, err := gather(c.Limit, func(cursor string, limit int) (client.Page[client.Job], error) {
		if c.Dead {
			return service.DeadLetters(ctx, cursor, limit)
		}
		return service.Jobs(ctx, client.JobFilter{Subject: c.Subject, Site: c.Site, States: c.State}, cursor, limit)
	})
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(map[string]any{"jobs": jobs})
	}
	rows := [][]string{e.heads("job", "任务", "state", "状态", "subject", "人员", "site", "地点", "accepted", "接收时间", "attempt", "次数", "why", "原因")}
	for _, j := range jobs {
		rows = append(rows, []string{j.Job, e.stateWord(j), j.Subject, j.Site, localTime(j.CreatedAt), fmt.Sprint(j.Attempt), e.why(j)})
	}
	return columns(e.out, rows)
}

func (c *jobsCmd) check() error {
	switch {
	case c.ID == "" && (c.Wait || c.Requeue):
		return usagef(pipeline.Text{EN: "--wait and --requeue are about one job; name it", ZH: "--wait 和 --requeue 针对单个任务；请给出任务编号"})
	case c.Dead && len(c.State)+len(c.Subject)+len(c.Site) > 0:
		return usagef(pipeline.Text{EN: "--dead takes no other filters", ZH: "--dead 不能与其他过滤条件同时使用"})
	}
	return checkLimit(c.Limit)
}

func (c *jobsCmd) one(ctx context.Context, e *env, service *client.Client) error {
	if c.Requeue {
		if _, err := service.Requeue(ctx, c.ID); err != nil {
			return remotely(err)
		}
	}
	ask := func() (client.Job, error) { return service.Job(ctx, c.ID, 0) }
	if c.Wait {
		bar := newProgress(e)
		bar.show(-1, 0, e.say(pipeline.Text{EN: "waiting for the job", ZH: "等待任务结束"}))
		defer bar.close()
		ask = func() (client.Job, error) { defer bar.close(); return service.Await(ctx, c.ID) }
	}
	j, err := ask()
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(j)
	}
	rows := [][]string{
		{e.say(pipeline.Text{EN: "job", ZH: "任务"}), j.Job},
		{e.say(pipeline.Text{EN: "state", ZH: "状态"}), e.stateWord(j)},
		{e.say(pipeline.Text{EN: "subject", ZH: "人员"}), j.Subject},
		{e.say(pipeline.Text{EN: "site", ZH: "地点"}), j.Site},
		{e.say(pipeline.Text{EN: "accepted", ZH: "接收时间"}), localTime(j.CreatedAt)},
		{e.say(pipeline.Text{EN: "attempts", ZH: "尝试次数"}), fmt.Sprintf("%d (%d + %d)", j.Attempt, j.Failures, j.Crashes)},
	}
	if j.FinishedAt != nil {
		rows = append(rows, []string{e.say(pipeline.Text{EN: "finished", ZH: "完成时间"}), localTime(*j.FinishedAt)})
	}
	if why := e.why(j); why != "" {
		rows = append(rows, []string{e.say(pipeline.Text{EN: "why", ZH: "原因"}), why})
	}
	if j.Revision > 0 {
		rows = append(rows, []string{e.say(pipeline.Text{EN: "verdict", ZH: "结论"}), "onsite verdicts " + j.Job})
	}
	return columns(e.out, rows)
}

func (e *env) stateWord(j client.Job) string {
	state := coded(jobStates, j.State)
	if j.Held {
		state = pipeline.Text{EN: state.EN + ", held", ZH: state.ZH + "，等待处理"}
	}
	return e.say(state)
}

func (e *env) why(j client.Job) string {
	if j.Error == nil || j.State == "done" {
		return ""
	}
	return j.Error.Rule + ": " + e.say(j.Error.Text)
}

// heads gives the headings of a table: English and Chinese in turn.
func (e *env) heads(words ...string) []string {
	var out []string
	for i := 0; i+1 < len(words); i += 2 {
		out = append(out, strings.ToUpper(e.say(pipeline.Text{EN: words[i], ZH: words[i+1]})))
	}
	return out
}

func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// mostRows bounds what a list prints; more is what an export is for.
const mostRows = 100_000

func checkLimit(n int) error {
	if n < 1 || n > mostRows {
		return usagef(pipeline.Text{EN: fmt.Sprintf("--limit %d: give a number from 1 to %d", n, mostRows), ZH: fmt.Sprintf("--limit %d：请给出 1 到 %d 之间的数字", n, mostRows)})
	}
	return nil
}

// gather reads pages until there are limit entries or no more.
func gather[T any](limit int, page func(cursor string, limit int) (client.Page[T], error)) ([]T, error) {
	out := []T{}
	cursor := ""
	for len(out) < limit {
		p, err := page(cursor, min(500, limit-len(out)))
		if err != nil {
			return out, err
		}
		out = append(out, p.Items...)
		if p.Next == "" || len(p.Items) == 0 {
			break
		}
		cursor = p.Next
	}
	return out, nil
}
