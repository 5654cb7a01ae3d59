package main

import (
	"context"
	"fmt"
	"time"

	"onsite/cmd/onsite/service"
	"onsite/results"
	"onsite/results/database"
)

// intakeCmd shows events that the API shows nobody where there are several tenants: those that could not be understood, and those of places
// that nobody mapped. Whose they are is not known, so that only the operator may see them.
type intakeCmd struct {
	storeSettings `embed:""`
	State         string `help:"Only events in this state: unread, foreign, ignored, unclaimed, duplicate, started." enum:",unread,foreign,ignored,unclaimed,duplicate,started" default:""`
	Tenant        string `help:"The events of this tenant. Default: those of no tenant."`
	Limit         int    `help:"How many, newest first: 1 to 500." default:"100"`
	JSON          bool   `help:"Print JSON, with what came as it was."`
}

type intakeRow struct {
	ID         string              `json:"id"`
	ReceivedAt time.Time           `json:"received_at"`
	State      results.IntakeState `json:"state"`
	Source     string              `json:"source"`
	Bucket     string              `json:"bucket,omitempty"`
	Key        string              `json:"key,omitempty"`
	Job        string              `json:"job,omitempty"`
	Why        *results.Why        `json:"why,omitempty"`
	Raw        string              `json:"raw,omitempty"`
}

func (c *intakeCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		all, err := s.IntakeEvents(ctx, c.Tenant, results.IntakeState(c.State), results.Page{Limit: min(max(c.Limit, 1), 500)})
		if err != nil {
			return fmt.Errorf("list the events of buckets: %w", err)
		}
		if c.JSON {
			rows := make([]intakeRow, len(all))
			for i, one := range all {
				rows[i] = intakeRow{one.ID, one.ReceivedAt, one.State, one.Source, one.Bucket, one.Key, one.Job, one.Why, string(one.Raw)}
			}
			return e.printJSON(map[string]any{"events": rows})
		}
		t := newSheet(e)
		for _, one := range all {
			why := ""
			if one.Why != nil {
				why = e.say(one.Why.Text)
			}
			// What came from outside is quoted: it must not write on the operator's terminal.
			t.data("%s\t%s\t%s\t%s\t%q\t%q", one.ID, one.ReceivedAt.Format(time.RFC3339), one.State, one.Source, one.Bucket+"/"+one.Key, why)
		}
		return t.Flush()
	})
}
