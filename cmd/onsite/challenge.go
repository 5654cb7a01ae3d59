package main

import (
	"context"
	"fmt"

	"onsite/api/client"
)

// tasksCmd asks what a person is to do in the next recording.
type tasksCmd struct {
	New  challengeNewCmd  `cmd:"" help:"Ask for a challenge of a subject, and print what the person is to do."`
	Show challengeShowCmd `cmd:"" help:"Show a challenge: what it asks, and which submission used it."`
}

type challengeNewCmd struct {
	Subject string `help:"Who will record: id of the employee." required:"" placeholder:"ID"`
	Policy  string `help:"Name of the policy that the recording will be submitted under; it says which tasks there are." required:"" placeholder:"NAME"`
	Camera  string `help:"How the recording is stored: plain (as others see the person) or mirrored. Default: not said." enum:",plain,mirrored" default:"" placeholder:"KIND"`

	remoteFlags
}

func (c *challengeNewCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	got, err := service.NewChallenge(ctx, c.Subject, c.Policy, c.Camera)
	return e.challenge(got, err, c.JSON)
}

type challengeShowCmd struct {
	ID string `arg:"" help:"The challenge."`

	remoteFlags
}

func (c *challengeShowCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	got, err := service.Challenge(ctx, c.ID)
	return e.challenge(got, err, c.JSON)
}

// challenge prints the id alone where a script may take it, and on the other stream what is asked, until when, and which submission used it.
func (e *env) challenge(c client.Challenge, err error, asJSON bool) error {
	if err != nil {
		return remotely(err)
	}
	if asJSON {
		return e.printJSON(c)
	}
	for i, t := range c.Tasks {
		fmt.Fprintf(e.err, "%d. %s\n", i+1, e.say(t.Ask))
	}
	rows := [][]string{e.heads("challenge", "挑战", "until", "截止时间", "job", "提交")}
	rows = append(rows, []string{c.ID, localTime(c.ExpiresAt), c.Job})
	if isTerminal(e.out) {
		return columns(e.out, rows)
	}
	if err := columns(e.err, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, c.ID)
	return err
}
