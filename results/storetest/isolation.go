package storetest

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var isolationCases = []Case{
	{Name: "every method with the wrong tenant", Alone: true, Run: wrongTenant},
}

// answer is what a method said to the wrong tenant: an error, or how much it showed.
type answer struct {
	err   error
	shown int
}

func errOnly(err error) answer              { return answer{err: err} }
func list[T any](all []T, err error) answer { return answer{err, len(all)} }
func one[T any](_ T, err error) answer      { return answer{err, 1} }
func flag(shown bool, err error) (a answer) {
	a.err = err
	a.shown = map[bool]int{true: 1}[shown]
	return a
}
func number[T ~int64](n T, err error) answer { return answer{err, int(n)} }

// attempts calls every method that takes a tenant with the ids of a tenant's things and another tenant's name.
func attempts(t *testing.T, s results.Store, w world, other string) map[string]func() answer {
	ctx := t.Context()
	a := func() results.AuditEntry { return Audit(s, other, "test") }
	page := results.Page{}
	return map[string]func() answer{
		"Keys":      func() answer { return list(s.Keys(ctx, other)) },
		"RevokeKey": func() answer { return errOnly(s.RevokeKey(ctx, other, w.key, s.Now(), a())) },

		"Subject":  func() answer { return one(s.Subject(ctx, other, w.subject)) },
		"Subjects": func() answer { return list(s.Subjects(ctx, other, page)) },
		"Relabel":  func() answer { return one(s.Relabel(ctx, other, w.subject, "x", a())) },
		"Enrol": func() answer {
			return one(s.Enrol(ctx, other, w.subject, -1, nil, nil, []string{w.photo.ID}, a()))
		},
		"Photos": func() answer { return list(s.Photos(ctx, other, w.subject, 0)) },
		"Templates": func() answer {
			return list(s.Templates(ctx, other, w.subject, []string{w.photo.ID}, model))
		},
		"EachTemplate": func() (got answer) {
			got.err = s.EachTemplate(ctx, other, model, func(results.Template) error { got.shown++; return nil })
			return got
		},
		"WithdrawConsent": func() answer {
			return errOnly(s.WithdrawConsent(ctx, other, w.subject, results.PurposeFace, s.Now(), a()))
		},
		"Consents":     func() answer { return list(s.Consents(ctx, other, w.subject)) },
		"Consented":    func() answer { return flag(s.Consented(ctx, other, w.subject, results.PurposeFace)) },
		"SubjectKey":   func() answer { return one(s.SubjectKey(ctx, other, w.subject)) },
		"EraseSubject": func() answer { return list(s.EraseSubject(ctx, other, w.subject, s.Now(), a())) },

		"Steps": func() answer {
			return list(s.Steps(ctx, results.StepFilter{Tenant: other, Subject: w.subject, Before: s.Now().Add(time.Hour), Newest: 10}))
		},

		"Site":     func() answer { return one(s.Site(ctx, other, w.site, 0)) },
		"Sites":    func() answer { return list(s.Sites(ctx, other, page)) },
		"Policy":   func() answer { return one(s.Policy(ctx, other, w.policy, 1)) },
		"Policies": func() answer { return list(s.Policies(ctx, other)) },

		"Reserve": func() answer {
			earlier, err := s.Reserve(ctx, other, "first", s.Now().Add(time.Minute))
			return answer{err, len(earlier)}
		},
		"Prolong":   func() answer { return errOnly(s.Prolong(ctx, other, "first", s.Now().Add(time.Hour))) },
		"Unreserve": func() answer { return errOnly(s.Unreserve(ctx, other, "first")) },
		"Upload":    func() answer { return one(s.Upload(ctx, other, w.upload.Job)) },
		"IntakeEvents": func() answer {
			return list(s.IntakeEvents(ctx, other, results.IntakeUnclaimed, page))
		},
		"DeleteBucketMap": func() answer { return errOnly(s.DeleteBucketMap(ctx, other, w.upload.Bucket, "in/", a())) },
		"BucketMaps":      func() answer { return list(s.BucketMaps(ctx, other)) },

		"Job":  func() answer { return one(s.Job(ctx, other, w.done)) },
		"Jobs": func() answer { return list(s.Jobs(ctx, other, results.JobFilter{Subject: w.subject}, page)) },
		"Counts": func() answer {
			c, err := s.Counts(ctx, other)
			return answer{err, len(c.ByState)}
		},
		"Requeue": func() answer { return one(s.Requeue(ctx, other, w.dead, a())) },

		"Verdict":          func() answer { return one(s.Verdict(ctx, other, w.done, 0)) },
		"VerdictRevisions": func() answer { return list(s.VerdictRevisions(ctx, other, w.done)) },
		"Verdicts":         func() answer { return list(s.Verdicts(ctx, other, results.VerdictFilter{}, page)) },
		"Changes":          func() answer { return list(s.Changes(ctx, other, 0, 100)) },
		"Position":         func() answer { return number(s.Position(ctx, other)) },
		"Evidence":         func() answer { return list(s.Evidence(ctx, other, w.done)) },
		"Print":            func() answer { return one(s.Print(ctx, other, w.done)) },
		"SameBytes": func() answer {
			return one(s.SameBytes(ctx, other, w.open, 100, Sum(w.tenant+"first"), Sum("packets"), nil))
		},

		"Frames":    func() answer { return list(s.Frames(ctx, other, results.FrameFilter{UpTo: 100}, 10)) },
		"NewFrames": func() answer { return list(s.NewFrames(ctx, other, 0, 10)) },

		"RevokeMark":    func() answer { return one(s.RevokeMark(ctx, other, w.mark, "key", s.Now(), a())) },
		"Mark":          func() answer { return one(s.Mark(ctx, other, w.mark)) },
		"Marks":         func() answer { return list(s.Marks(ctx, other, results.MarkFilter{}, page)) },
		"MarksPosition": func() answer { return number(s.MarksPosition(ctx, other)) },
		"MarksFor":      func() answer { return list(s.MarksFor(ctx, other, w.done, w.site, 100)) },

		"Challenge": func() answer { return one(s.Challenge(ctx, other, w.challenge)) },

		"Endpoint":       func() answer { return one(s.Endpoint(ctx, other, w.endpoint)) },
		"Endpoints":      func() answer { return list(s.Endpoints(ctx, other)) },
		"DeleteEndpoint": func() answer { return errOnly(s.DeleteEndpoint(ctx, other, w.endpoint, a())) },
		"DisableEndpoint": func() answer {
			return errOnly(s.DisableEndpoint(ctx, other, w.endpoint, "admin", s.Now()))
		},
		"Deliveries":    func() answer { return list(s.Deliveries(ctx, other, w.endpoint, page)) },
		"DeliveryTries": func() answer { return list(s.DeliveryTries(ctx, other, w.delivery)) },
		"Replay":        func() answer { return errOnly(s.Replay(ctx, other, w.delivery)) },

		// Here the tenant is in a struct.
		"CreateMark": func() answer {
			return one(s.CreateMark(ctx, results.Mark{ID: NewID(), Tenant: other, Kind: results.MarkBackground, Job: w.done, CreatedAt: s.Now()}, a()))
		},
		"CreateChallenge": func() answer {
			c := NewChallenge(s, other, w.subject)
			return errOnly(s.CreateChallenge(ctx, c, a()))
		},
		"Prints": func() answer {
			return list(s.Prints(ctx, results.Scope{Tenant: other, Subject: w.subject, Site: w.site, Kind: "tenant", Newest: 10}, NewID(), 100))
		},
		"GiveConsent": func() answer {
			return errOnly(s.GiveConsent(ctx, results.Consent{ID: NewID(), Tenant: other, Subject: w.subject, Purpose: results.PurposeFace, GivenAt: s.Now()}, a()))
		},
		"PutEndpoint": func() answer {
			return one(s.PutEndpoint(ctx, results.Endpoint{ID: w.endpoint, Tenant: other, URL: "https://evil.example", Keys: []byte("x"), CreatedAt: s.Now()}, 1, a()))
		},
		"Deliver": func() answer {
			return errOnly(s.Deliver(ctx, results.Delivery{ID: NewID(), Tenant: other, Endpoint: w.endpoint, Message: NewID(), Type: results.EventTest, State: results.Pending, CreatedAt: s.Now()}))
		},
		"PutSite": func() answer {
			return one(s.PutSite(ctx, results.Site{Tenant: other, ID: w.site, CreatedAt: s.Now()}, 1, a()))
		},
		"PutPolicy": func() answer {
			return one(s.PutPolicy(ctx, results.Policy{Tenant: other, Name: w.policy, CreatedAt: s.Now()}, 1, a()))
		},
		"PutTemplates": func() answer {
			return errOnly(s.PutTemplates(ctx, []results.Template{{Photo: w.photo.ID, Tenant: other, Subject: w.subject, ModelSHA256: model, Sealed: []byte("wrong")}}))
		},

		"LogHead": func() answer { return one(s.LogHead(ctx, other)) },
		"LogHashes": func() (got answer) {
			hashes, err := s.LogHashes(ctx, other, []int64{0})
			if got.err = err; len(hashes) > 0 && hashes[0] != nil {
				got.shown = 1
			}
			return got
		},
		"LogEntries": func() answer { return list(s.LogEntries(ctx, other, 0, 10)) },
		"LogEntry":   func() answer { return one(s.LogEntry(ctx, other, w.entry)) },
		"Logged": func() answer {
			all, err := s.Logged(ctx, other)
			return list(slices.DeleteFunc(all, func(l results.Logged) bool { return l.Kind == results.LoggedSettings }), err) // its own
		},
		"SiteRevisions":   func() answer { return list(s.SiteRevisions(ctx, other)) },
		"Reverifications": func() answer { return list(s.Reverifications(ctx, other, w.done, results.Page{})) },
		"Reverified": func() answer {
			return errOnly(s.Reverified(ctx, results.Reverification{ID: NewID(), Tenant: other, Job: w.done}, a()))
		},
		"LogEntriesAbout": func() answer { return list(s.LogEntriesAbout(ctx, other, w.done, 10)) },
		"Checkpoint":      func() answer { return one(s.Checkpoint(ctx, other, 0)) },
		"Checkpoints":     func() answer { return list(s.Checkpoints(ctx, other, -1, 10)) },
		"LogKey":          func() answer { return one(s.LogKey(ctx, other)) },

		"ScopeModels":   func() answer { return list(s.ScopeModels(ctx, other)) },
		"PhotosWithout": func() answer { return list(s.PhotosWithout(ctx, other, Sum("unknown model"), "", 10)) },
		"PhotosUnder": func() answer {
			all, _, _, err := s.PhotosUnder(ctx, other, model)
			return answer{err, int(all)}
		},
		"ModelGaps":     func() answer { return list(s.ModelGaps(ctx, other, w.gap, page)) },
		"DropTemplates": func() answer { return number(s.DropTemplates(ctx, other, w.gap, 10)) },
		"ListModels":    func() answer { return list(s.ListModels(ctx, other, false, page)) },
		"ShadowRuns":    func() answer { return list(s.ShadowRuns(ctx, "candidate", other, page)) },
		"ShadowSums": func() answer {
			sums, err := s.ShadowSums(ctx, "candidate", other)
			return answer{err, int(sums.Runs)}
		},
		"ShadowSumsOf": func() answer {
			sums, err := s.ShadowSumsOf(ctx, other)
			return answer{err, len(sums)}
		},
		"TemplateNames": func() answer {
			names, err := s.TemplateNames(ctx, other)
			return answer{err, len(names)}
		},
		"CountPrints":        func() answer { return number(s.CountPrints(ctx, other)) },
		"DropNamedTemplates": func() answer { return number(s.DropNamedTemplates(ctx, other, w.gap, 10)) },

		// The log of the other tenant is its own; it is compared as a whole below.
		"LogWaiting":  func() answer { return answer{} },
		"AuditLog":    func() answer { return answer{} },
		"PutSettings": func() answer { return one(s.PutSettings(ctx, other, results.Settings{MediaDays: 1}, 99, a())) },
	}
}

func wrongTenant(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	other := NewTenant(t, s)
	before := snapshot(t, s, w)
	tried := attempts(t, s, w, other)
	for name, try := range tried {
		got := try()
		if got.err == nil {
			require.Zero(t, got.shown, "%s shows something to the wrong tenant", name)
		} else {
			require.Condition(t, func() bool { return is(got.err, results.ErrNotFound, results.ErrConflict) }, "%s: %v", name, got.err)
		}
	}
	require.Equal(t, before, snapshot(t, s, w), "nothing has changed for the tenant itself")
	log, err := s.AuditLog(ctx, other, results.Page{})
	require.NoError(t, err)
	for _, a := range log {
		require.Equal(t, other, a.Tenant)
	}
	for _, name := range tenantMethods(t) {
		require.Contains(t, tried, name, "a method that takes a tenant was not tried with the wrong one: add it to attempts")
	}
	// The same things are there for the right tenant, so the attempts above did ask for something.
	shown := 0
	for name, try := range attempts(t, s, w, w.tenant) {
		switch name { // these would change what the rest asks for
		case "EraseSubject", "RevokeMark", "DeleteEndpoint", "DisableEndpoint", "DeleteBucketMap", "WithdrawConsent", "Enrol", "Relabel", "Requeue":
			continue
		}
		if got := try(); got.err == nil {
			shown += got.shown
		}
	}
	require.Greater(t, shown, 20)
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// snapshot is what a tenant sees of its things.
func snapshot(t *testing.T, s results.Store, w world) map[string]any {
	t.Helper()
	ctx := t.Context()
	all := map[string]any{}
	put := func(name string, v any, err error) {
		require.NoError(t, err, name)
		all[name] = v
	}
	tenant, err := s.Tenant(ctx, w.tenant)
	put("tenant", tenant, err)
	keys, err := s.Keys(ctx, w.tenant)
	put("keys", keys, err)
	subject, err := s.Subject(ctx, w.tenant, w.subject)
	put("subject", subject, err)
	photos, err := s.Photos(ctx, w.tenant, w.subject, 0)
	put("photos", photos, err)
	templates, err := s.Templates(ctx, w.tenant, w.subject, []string{w.photo.ID}, model)
	put("templates", templates, err)
	consents, err := s.Consents(ctx, w.tenant, w.subject)
	put("consents", consents, err)
	sites, err := s.Sites(ctx, w.tenant, results.Page{})
	put("sites", sites, err)
	policies, err := s.Policies(ctx, w.tenant)
	put("policies", policies, err)
	upload, err := s.Upload(ctx, w.tenant, w.upload.Job)
	put("upload", upload, err)
	maps, err := s.BucketMaps(ctx, w.tenant)
	put("maps", maps, err)
	jobs, err := s.Jobs(ctx, w.tenant, results.JobFilter{}, results.Page{})
	put("jobs", jobs, err)
	verdicts, err := s.Verdicts(ctx, w.tenant, results.VerdictFilter{}, results.Page{})
	put("verdicts", verdicts, err)
	marks, err := s.Marks(ctx, w.tenant, results.MarkFilter{}, results.Page{})
	put("marks", marks, err)
	endpoints, err := s.Endpoints(ctx, w.tenant)
	put("endpoints", endpoints, err)
	deliveries, err := s.Deliveries(ctx, w.tenant, w.endpoint, results.Page{})
	put("deliveries", deliveries, err)
	log, err := s.AuditLog(ctx, w.tenant, results.Page{Limit: 500})
	put("log", log, err)
	return all
}

// tenantMethods reads from the interfaces which methods take a tenant; a test runs in the folder of its package, a store's lies in that of results.
func tenantMethods(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var names []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		names = append(names, takeTenant(file)...)
	}
	require.Greater(t, len(names), 30)
	return names
}

// takeTenant lists the methods of a file's interfaces that take a tenant.
func takeTenant(file *ast.File) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		face, ok := n.(*ast.InterfaceType)
		if !ok {
			return true
		}
		for _, m := range face.Methods.List {
			fn, ok := m.Type.(*ast.FuncType)
			if !ok {
				continue
			}
			for _, p := range fn.Params.List {
				for _, name := range p.Names {
					if name.Name == "tenant" {
						names = append(names, m.Names[0].Name)
					}
				}
			}
		}
		return true
	})
	return names
}
