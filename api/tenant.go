package api

import (
	"context"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// Tenant is a tenant as its administrator sees it.
type Tenant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Rev       int       `json:"rev" doc:"of the settings; also the ETag"`
	CreatedAt time.Time `json:"created_at"`
	Settings  Settings  `json:"settings"`
}

// Settings are what a tenant's administrator may choose. What a PUT leaves out gets its usual value.
type Settings struct {
	LookAlike     bool `json:"look_alike,omitempty" doc:"at enrolment, look for the same face under another name and warn a person; usually off"`
	MaxWaiting    int  `json:"max_waiting,omitempty" minimum:"1" maximum:"10000000" doc:"unfinished jobs before submissions are answered 429; usually 20000"`
	MediaDays     int  `json:"media_days,omitempty" minimum:"1" maximum:"36500" doc:"how long media is kept; usually 90"`
	KeyframeDays  int  `json:"keyframe_days,omitempty" minimum:"1" maximum:"36500" doc:"how long keyframes are kept; usually 180"`
	PrintDays     int  `json:"print_days,omitempty" minimum:"1" maximum:"36500" doc:"how long fingerprints are kept and compared with; usually 180"`
	VerdictDays   int  `json:"verdict_days,omitempty" minimum:"1" maximum:"36500" doc:"how long verdicts are kept; usually 1095"`
	PrivateTarget bool `json:"private_target,omitempty" doc:"webhooks may go to private addresses and over plain HTTP; usually off"`
	Appeal        Said `json:"appeal,omitempty" doc:"what an employee is told about how to appeal; empty: the built-in sentence"`
}

// Said is one sentence in both languages.
type Said struct {
	EN string `json:"en,omitempty" maxLength:"1000"`
	ZH string `json:"zh,omitempty" maxLength:"1000"`
}

type tenantOutput struct {
	ETag string `header:"ETag"`
	Body Tenant
}

type putTenantInput struct {
	Condition
	Body Settings
}

func (s *Server) tenantRoutes() {
	register(s, describe(get, "/v1/tenant", "get-tenant", "tenant", "Read the tenant's settings"),
		func(ctx context.Context, _ *nothing) (*tenantOutput, error) {
			t, err := s.Store.Tenant(ctx, PrincipalOf(ctx).Tenant)
			if err != nil {
				return nil, err
			}
			return showTenant(t), nil
		})
	register(s, describe(put, "/v1/tenant", "put-tenant", "tenant", "Change the tenant's settings",
		explained("Replaces all settings: what is left out gets its usual value. Needs If-Match.")),
		func(ctx context.Context, in *putTenantInput) (*tenantOutput, error) {
			rev, err := in.rev()
			if err != nil {
				return nil, err
			}
			if rev == 0 { // If-None-Match: *, and a tenant is always there
				return nil, problem(codeChanged)
			}
			id := PrincipalOf(ctx).Tenant
			t, err := s.Store.PutSettings(ctx, id, in.Body.stored(), rev, s.entry(ctx, "settings.changed", "", results.LoggedSettings, ""))
			if err != nil {
				return nil, err
			}
			s.people.forget(id)
			return showTenant(t), nil
		})
}

func showTenant(t results.Tenant) *tenantOutput {
	set := t.Settings.Filled()
	return &tenantOutput{ETag: etag(t.Rev), Body: Tenant{
		ID: t.ID, Name: t.Name, Rev: t.Rev, CreatedAt: t.CreatedAt,
		Settings: Settings{
			LookAlike: set.LookAlike, MaxWaiting: set.MaxWaiting, MediaDays: set.MediaDays, KeyframeDays: set.KeyframeDays,
			PrintDays: set.PrintDays, VerdictDays: set.VerdictDays, PrivateTarget: set.PrivateTarget,
			Appeal: Said{EN: set.Appeal.EN, ZH: set.Appeal.ZH},
		},
	}}
}

func (set Settings) stored() results.Settings {
	return results.Settings{
		LookAlike: set.LookAlike, MaxWaiting: set.MaxWaiting, MediaDays: set.MediaDays, KeyframeDays: set.KeyframeDays,
		PrintDays: set.PrintDays, VerdictDays: set.VerdictDays, PrivateTarget: set.PrivateTarget,
		Appeal: pipeline.Text{EN: set.Appeal.EN, ZH: set.Appeal.ZH},
	}
}
