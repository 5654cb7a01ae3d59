package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

var modelCases = []Case{
	{Name: "a model is added", Alone: true, Run: modelAdded},
	{Name: "epochs", Alone: true, Run: modelEpochs},
	{Name: "an epoch that cannot become active", Alone: true, Run: modelEpochFails},
	{Name: "a comparison is with what is active", Alone: true, Run: modelPassed},
	{Name: "a promotion is staged", Alone: true, Run: modelPromotionStaged},
	{Name: "an epoch waits for every live process", Alone: true, Run: modelHosts},
	{Name: "several settle an epoch at once", Alone: true, Run: modelSettleRace},
	{Name: "promotions", Run: modelPromotions},
	{Name: "promotions of several models", Run: modelPromotionsOverlap},
	{Name: "comparisons over stored jobs", Alone: true, Run: modelComparisons},
	{Name: "templates under another model", Run: modelTemplates},
	{Name: "shadow runs", Alone: true, Run: modelShadows},
}

// NewModel makes a model's row with one file whose object is pending.
func NewModel(t testing.TB, s results.Store, tenant, name string) results.RegisteredModel {
	t.Helper()
	sum := Sum(tenant + name)
	m := results.RegisteredModel{
		ID: NewID(), Tenant: tenant, Task: results.ModelTask, Name: name, Version: "1.0.0", SHA256: sum, Digest: Sum("manifest of " + tenant + name), Manifest: []byte("name: " + name),
		Files: []results.ModelFile{{Name: name + ".onnx", SHA256: sum, Bytes: 12, Key: results.ModelKey(sum)}}, State: results.ModelAdded, Actor: "key-1", AddedAt: s.Now(),
	}
	m.Changed = m.AddedAt
	require.NoError(t, s.Pend(t.Context(), []string{m.Files[0].Key}))
	return m
}

func addModel(t testing.TB, s results.Store, tenant string) results.RegisteredModel {
	t.Helper()
	m := NewModel(t, s, tenant, "fast")
	require.NoError(t, s.AddModel(t.Context(), m, Audit(s, tenant, "model.added")))
	return m
}

func modelAdded(t *testing.T, s results.Store) {
	ctx := t.Context()
	one, two := NewTenant(t, s), NewTenant(t, s)
	m := addModel(t, s, "")
	got, err := s.Model(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, m, got)
	for _, tenant := range []string{one, two} {
		require.Contains(t, actions(t, s, tenant), "model.added", "what concerns all stands in everybody's log")
	}
	orphans, err := s.Orphans(ctx, s.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.NotContains(t, orphans, m.Files[0].Key)
	named, err := s.Referenced(ctx, []string{m.Files[0].Key, results.ModelKey(Sum("other"))})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{m.Files[0].Key: true}, named)

	again := NewModel(t, s, "", "fast")
	require.ErrorIs(t, s.AddModel(ctx, again, Audit(s, one, "model.added")), results.ErrExists)
	again.Digest, again.Version = Sum("another manifest"), "1.0.0"
	require.ErrorIs(t, s.AddModel(ctx, again, Audit(s, one, "model.added")), results.ErrExists, "two of one name and version could not be told apart")
	own := addModel(t, s, one)
	require.NotEqual(t, m.ID, own.ID, "a tenant may have one of the same name")
	require.Equal(t, 1, count(actions(t, s, two), "model.added"), "which is nobody else's business")
	scope, err := s.ScopeModels(ctx, "")
	require.NoError(t, err)
	require.Len(t, scope, 1)
	scope, err = s.ScopeModels(ctx, one)
	require.NoError(t, err)
	require.Equal(t, []results.RegisteredModel{own}, scope)

	m.State, m.Check, m.Report, m.Passed = results.ModelChecked, []byte(`{"ok": true}`), []byte(`{"jobs": 3}`), true
	require.NoError(t, s.ChangeModel(ctx, m, results.ModelAdded, Audit(s, "", "model.checked")))
	require.ErrorIs(t, s.ChangeModel(ctx, m, results.ModelAdded, Audit(s, "", "model.checked")), results.ErrStale)
	got, err = s.Model(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, results.ModelChecked, got.State)
	require.JSONEq(t, `{"ok": true}`, string(got.Check))
	require.JSONEq(t, `{"jobs": 3}`, string(got.Report))
	require.True(t, got.Passed)

	got, err = s.ModelByFile(ctx, pipeline.ModelRef{Task: results.ModelTask, Name: m.Name, Version: m.Version, SHA256: m.SHA256})
	require.NoError(t, err)
	require.Equal(t, m.ID, got.ID)
	_, err = s.ModelByFile(ctx, pipeline.ModelRef{Task: results.ModelTask, Name: "another", Version: m.Version, SHA256: m.SHA256})
	require.ErrorIs(t, err, results.ErrNotFound)

	m.State = results.ModelRetired
	require.ErrorIs(t, s.ChangeModel(ctx, m, results.ModelChecked, Audit(s, "", "model.retired")), results.ErrStale, "it was read before it was changed")
	m.Changed = got.Changed
	require.NoError(t, s.ChangeModel(ctx, m, results.ModelChecked, Audit(s, "", "model.retired")))
	for retired, want := range map[bool]int{true: 1, false: 0} {
		listed, err := s.ListModels(ctx, "", retired, results.Page{Limit: 5})
		require.NoError(t, err)
		require.Len(t, listed, want)
	}
	addModel(t, s, "") // its name is free again
}

func count(all []string, what string) (n int) {
	for _, a := range all {
		if a == what {
			n++
		}
	}
	return n
}

func propose(t testing.TB, s results.Store, after int64, doc results.EpochDoc, changes ...results.ModelChange) results.Epoch {
	t.Helper()
	e, err := s.ProposeEpoch(t.Context(), results.Epoch{Doc: doc, Changes: changes, Action: "model.promoted", Actor: "key-1"}, after, results.StepStaged, Audit(s, "", "model.promotion"))
	require.NoError(t, err)
	return e
}

func host(t testing.TB, s results.Store, name string, ready int64) {
	t.Helper()
	require.NoError(t, s.HostModels(t.Context(), results.ModelHost{Name: name, Role: "worker", Base: "sha256:base", Ready: ready}))
}

func active(t testing.TB, s results.Store) int64 {
	t.Helper()
	n, err := s.ActiveEpoch(t.Context())
	require.NoError(t, err)
	return n
}

func modelEpochs(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	m := addModel(t, s, "")
	require.Zero(t, active(t, s))
	none, err := s.Epoch(ctx, 0)
	require.NoError(t, err)
	require.Empty(t, none.Doc.Models())

	doc := results.EpochDoc{Base: map[string]string{m.Task: m.ID}}
	e := propose(t, s, 0, doc, results.ModelChange{Model: m.ID, State: results.ModelActive})
	require.Equal(t, int64(1), e.Number)
	require.Equal(t, results.EpochStaging, e.State)
	require.Zero(t, active(t, s), "nobody has it yet")
	_, err = s.ProposeEpoch(ctx, results.Epoch{}, 0, results.StepStaged, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrConflict, "one is staged already")
	_, err = s.SettleEpoch(ctx, time.Minute, time.Hour)
	require.ErrorIs(t, err, results.ErrNotFound, "nobody runs models, so nobody can run these")

	host(t, s, "w1", 1)
	e, err = s.SettleEpoch(ctx, time.Minute, time.Hour)
	require.NoError(t, err)
	require.Equal(t, results.EpochActive, e.State)
	require.Equal(t, int64(1), active(t, s))
	got, err := s.Model(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, results.ModelActive, got.State, "in the same moment")
	require.Contains(t, actions(t, s, tenant), "model.promoted")
	stored, err := s.Epoch(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, doc.Base, stored.Doc.Base)
	require.False(t, stored.ActiveAt.IsZero())

	_, err = s.ProposeEpoch(ctx, results.Epoch{Changes: []results.ModelChange{{Model: m.ID, State: results.ModelRetired, From: results.ModelStandby}}}, 1, results.StepAtOnce, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrConflict, "it is active, and not in standby")

	// A rollback does not wait, not even for what is being staged.
	waiting := propose(t, s, 1, doc)
	_, err = s.ProposeEpoch(ctx, results.Epoch{}, 1, results.StepAtOnce, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrConflict, "the end of a trial ends nothing of others")
	_, err = s.ProposeEpoch(ctx, results.Epoch{}, 0, results.StepOvertaking, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrConflict, "it was made for another state of things")
	back, err := s.ProposeEpoch(ctx, results.Epoch{Action: "model.rolled_back", Changes: []results.ModelChange{{Model: m.ID, State: results.ModelStandby}}}, 1, results.StepOvertaking, Audit(s, "", "x"))
	require.NoError(t, err)
	require.Equal(t, results.EpochActive, back.State)
	require.Equal(t, back.Number, active(t, s))
	stored, err = s.Epoch(ctx, waiting.Number)
	require.NoError(t, err)
	require.Equal(t, results.EpochFailed, stored.State)
	require.Equal(t, "overtaken", stored.Why.Rule)
	stored, err = s.Epoch(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, results.EpochPast, stored.State)

	off := propose(t, s, back.Number, doc)
	require.NoError(t, s.DropEpoch(ctx, off.Number, results.Because("cancelled", "no", "否"), Audit(s, "", "model.cancelled")))
	require.ErrorIs(t, s.DropEpoch(ctx, off.Number, nil, results.AuditEntry{}), results.ErrStale)
	all, err := s.NewestEpochs(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, []int64{4, 3}, []int64{all[0].Number, all[1].Number})
}

// What an epoch expects of models must still be so when it becomes active; and none is staged for ever.
func modelEpochFails(t *testing.T, s results.Store) {
	ctx := t.Context()
	m := addModel(t, s, "")
	host(t, s, "w1", 9)
	propose(t, s, 0, results.EpochDoc{}, results.ModelChange{Model: m.ID, State: results.ModelActive, From: results.ModelAdded})
	m.State = results.ModelRetired
	require.NoError(t, s.ChangeModel(ctx, m, results.ModelAdded, results.AuditEntry{}))
	e, err := s.SettleEpoch(ctx, time.Minute, time.Hour)
	require.NoError(t, err)
	require.Equal(t, results.EpochFailed, e.State)
	require.Equal(t, "state", e.Why.Rule)
	got, err := s.Model(ctx, m.ID)
	require.NoError(t, err)
	require.Equal(t, results.ModelRetired, got.State)

	host(t, s, "slow", 0)
	propose(t, s, 0, results.EpochDoc{})
	e, err = s.SettleEpoch(ctx, time.Minute, -time.Second)
	require.NoError(t, err)
	require.Equal(t, results.EpochFailed, e.State)
	require.Contains(t, e.Why.Text.EN, "slow")
	require.NotContains(t, e.Why.Text.EN, "w1")
}

// Another model becomes active: what was compared with the one before has to be compared again.
func modelPassed(t *testing.T, s results.Store) {
	ctx := t.Context()
	m, other := addModel(t, s, ""), NewModel(t, s, "", "other")
	require.NoError(t, s.AddModel(ctx, other, results.AuditEntry{}))
	for _, one := range []results.RegisteredModel{m, other} {
		one.State, one.Passed = results.ModelChecked, true
		require.NoError(t, s.ChangeModel(ctx, one, results.ModelAdded, results.AuditEntry{}))
	}
	_, err := s.ProposeEpoch(ctx, results.Epoch{Changes: []results.ModelChange{{Model: m.ID, State: results.ModelActive, From: results.ModelChecked}}}, 0, results.StepAtOnce, results.AuditEntry{})
	require.NoError(t, err)
	got, err := s.Model(ctx, other.ID)
	require.NoError(t, err)
	require.False(t, got.Passed)
	got, err = s.Model(ctx, m.ID)
	require.NoError(t, err)
	require.True(t, got.Passed)
}

// A promotion that was cancelled leaves no epoch.
func modelPromotionStaged(t *testing.T, s results.Store) {
	ctx := t.Context()
	m := addModel(t, s, "")
	p := results.Promotion{ID: NewID(), Model: m.ID, Task: m.Task, State: results.PromotionEmbedding, Created: s.Now()}
	require.NoError(t, s.BeginPromotion(ctx, p, results.AuditEntry{}))
	e, err := s.StagePromotion(ctx, p, results.Epoch{}, 0, results.AuditEntry{})
	require.NoError(t, err)
	got, err := s.Promotion(ctx, p.ID)
	require.NoError(t, err)
	require.Equal(t, results.PromotionStaging, got.State)
	require.Equal(t, e.Number, got.Epoch)
	require.NoError(t, s.DropEpoch(ctx, e.Number, nil, results.AuditEntry{}))
	_, err = s.StagePromotion(ctx, p, results.Epoch{}, 0, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrStale)
	all, err := s.NewestEpochs(ctx, 9)
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func modelHosts(t *testing.T, s results.Store) {
	ctx := t.Context()
	host(t, s, "w1", 0)
	host(t, s, "w2", 0)
	e := propose(t, s, 0, results.EpochDoc{})
	host(t, s, "w1", e.Number)
	_, err := s.SettleEpoch(ctx, time.Minute, time.Hour)
	require.ErrorIs(t, err, results.ErrNotFound, "w2 lives and cannot run it yet")
	require.NoError(t, s.LeaveModels(ctx, "w2"))
	_, err = s.SettleEpoch(ctx, time.Minute, time.Hour)
	require.NoError(t, err)
	require.Equal(t, e.Number, active(t, s))

	next := propose(t, s, e.Number, results.EpochDoc{})
	host(t, s, "w1", next.Number)
	require.NoError(t, s.HostModels(ctx, results.ModelHost{Name: "w3", Role: "api", Failed: next.Number, Why: results.Because("checksum", "the file was changed", "文件被更改")}))
	failed, err := s.SettleEpoch(ctx, time.Minute, time.Hour)
	require.NoError(t, err)
	require.Equal(t, results.EpochFailed, failed.State)
	require.Contains(t, failed.Why.Text.EN, "w3: the file was changed")
	require.Equal(t, e.Number, active(t, s), "what was active stays so")
	all, err := s.ModelHosts(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"w1", "w3"}, []string{all[0].Name, all[1].Name})
	require.WithinDuration(t, s.Now(), all[0].SeenAt, time.Minute)
}

func modelSettleRace(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	host(t, s, "w1", 9)
	for round := range 3 {
		propose(t, s, int64(round), results.EpochDoc{})
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() { _, _ = s.SettleEpoch(t.Context(), time.Minute, time.Hour) })
		}
		wait.Wait()
		require.Equal(t, int64(round+1), active(t, s))
	}
	require.Equal(t, 3, count(actions(t, s, tenant), "model.promoted"), "each is told once")
}

func modelPromotions(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	m := addModel(t, s, tenant)
	p := results.Promotion{ID: NewID(), Model: m.ID, Scope: tenant, Task: m.Task, State: results.PromotionEmbedding, Override: "tried elsewhere", Total: 5, Actor: "key-1", Created: s.Now()}
	require.NoError(t, s.BeginPromotion(ctx, p, Audit(s, tenant, "model.promotion")))
	second := p
	second.ID = NewID()
	require.ErrorIs(t, s.BeginPromotion(ctx, second, Audit(s, tenant, "model.promotion")), results.ErrConflict)
	open, err := s.OpenPromotions(ctx)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(open, func(o results.Promotion) bool { return o.ID == p.ID }))

	p.Done, p.Gaps, p.State, p.Epoch = 4, 1, results.PromotionStaging, 7
	require.NoError(t, s.ChangePromotion(ctx, p, results.PromotionEmbedding))
	require.ErrorIs(t, s.ChangePromotion(ctx, p, results.PromotionEmbedding), results.ErrStale)
	got, err := s.Promotion(ctx, p.ID)
	require.NoError(t, err)
	got.Changed = time.Time{}
	require.Equal(t, p, got)
	p.State, p.Why = results.PromotionFailed, results.Because("stage", "no room", "空间不足")
	require.NoError(t, s.ChangePromotion(ctx, p, results.PromotionStaging))
	require.NoError(t, s.BeginPromotion(ctx, second, Audit(s, tenant, "model.promotion")))
	all, err := s.Promotions(ctx, tenant, 10)
	require.NoError(t, err)
	require.Equal(t, []string{second.ID, p.ID}, []string{all[0].ID, all[1].ID})
	require.Equal(t, "no room", all[1].Why.Text.EN)
}

func modelTemplates(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	photos := enrolled(t, s, tenant, "e1", 3)
	other := Sum("other model")
	without := func() (ids []string) {
		all, err := s.PhotosWithout(ctx, tenant, other, "", 10)
		require.NoError(t, err)
		for _, p := range all {
			ids = append(ids, p.ID)
		}
		return ids
	}
	under := func(sum string) [3]int64 {
		all, embedded, gaps, err := s.PhotosUnder(ctx, tenant, sum)
		require.NoError(t, err)
		return [3]int64{all, embedded, gaps}
	}
	require.Len(t, without(), 3)
	require.Equal(t, [3]int64{3, 3, 0}, under(model))
	require.NoError(t, s.PutTemplates(ctx, []results.Template{{Photo: photos[0].ID, Tenant: tenant, Subject: "e1", ModelSHA256: other, Sealed: []byte("x")}}))
	require.NoError(t, s.PutModelGap(ctx, results.ModelGap{Model: other, Tenant: tenant, Photo: photos[1].ID, Why: results.Because("no_face", "no face", "无人脸")}))
	require.Equal(t, []string{photos[2].ID}, without())
	require.Equal(t, [3]int64{3, 1, 1}, under(other))
	gaps, err := s.ModelGaps(ctx, tenant, other, results.Page{})
	require.NoError(t, err)
	require.Len(t, gaps, 1)
	require.Equal(t, [2]string{"e1", photos[1].ID}, [2]string{gaps[0].Subject, gaps[0].Photo})

	// What is asked for under one model is never of the other.
	ids := []string{photos[0].ID, photos[1].ID, photos[2].ID}
	for sum, want := range map[string]int{model: 3, other: 1} {
		all, err := s.Templates(ctx, tenant, "e1", ids, sum)
		require.NoError(t, err)
		require.Len(t, all, want)
		for _, one := range all {
			require.Equal(t, sum, one.ModelSHA256)
		}
	}

	aligned := model + results.TemplateSuffix + Sum("landmarks")
	require.NoError(t, s.PutTemplates(ctx, []results.Template{{Photo: photos[0].ID, Tenant: tenant, Subject: "e1", ModelSHA256: aligned, Sealed: []byte("y")}}))
	require.NoError(t, s.PutModelGap(ctx, results.ModelGap{Model: aligned, Tenant: tenant, Photo: photos[1].ID, Why: results.Because("no_face", "no face", "无人脸")}))
	require.Equal(t, [3]int64{3, 3, 0}, under(model), "of faces that were aligned otherwise nothing counts")
	require.Equal(t, [3]int64{3, 1, 1}, under(aligned))
	names, err := s.TemplateNames(ctx, tenant)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{model: 3, other: 1, aligned: 1}, names)
	n, err := s.DropNamedTemplates(ctx, tenant, Sum("nothing"), 3)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.DropTemplates(ctx, tenant, model, 3)
	require.NoError(t, err)
	require.EqualValues(t, 3, n, "a part at a time")
	gaps, err = s.ModelGaps(ctx, tenant, model, results.Page{})
	require.NoError(t, err)
	require.Len(t, gaps, 1, "gaps stay until the last part")
	n, err = s.DropTemplates(ctx, tenant, model, 3)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Equal(t, [3]int64{3, 0, 0}, under(aligned), "however the faces were aligned")
	require.Equal(t, [3]int64{3, 0, 0}, under(model))
	require.Equal(t, [3]int64{3, 1, 1}, under(other), "only those of that model")
	require.NoError(t, s.PutTemplates(ctx, []results.Template{{Photo: photos[0].ID, Tenant: tenant, Subject: "e1", ModelSHA256: aligned, Sealed: []byte("y")}}))
	n, err = s.DropNamedTemplates(ctx, tenant, model, 3)
	require.NoError(t, err)
	require.Zero(t, n, "just that name: vectors of faces that were aligned otherwise may be in use")
	n, err = s.DropNamedTemplates(ctx, tenant, aligned, 3)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	require.NoError(t, s.WithdrawConsent(ctx, tenant, "e1", results.PurposeFace, s.Now(), Audit(s, tenant, "consent.withdrawn")))
	require.Empty(t, without(), "without a consent nothing is embedded")
	_, err = s.EraseSubject(ctx, tenant, "e1", s.Now(), Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	require.Equal(t, [3]int64{}, under(other))
}

func modelShadows(t *testing.T, s results.Store) {
	ctx := t.Context()
	w := populate(t, s)
	for i, job := range []string{w.done, w.dead} {
		require.NoError(t, s.PutShadowRun(ctx, results.ShadowRun{Model: "m", Job: job, Tenant: w.tenant, Subject: w.subject, Epoch: 3, Same: i == 0, Before: "pass", After: "review",
			CPUMS: 100, BeforeMS: 80, Detail: []byte(`{"face": {}}`)}))
	}
	all, err := s.ShadowRuns(ctx, "m", w.tenant, results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "review", all[0].After)
	require.JSONEq(t, `{"face": {}}`, string(all[0].Detail))
	sums, err := s.ShadowSums(ctx, "m", "")
	require.NoError(t, err)
	require.Equal(t, results.ShadowSums{Runs: 2, Same: 1, CPUMS: 200}, sums)
	of, err := s.ShadowSumsOf(ctx, w.tenant)
	require.NoError(t, err)
	require.Equal(t, sums, of["m"])
	_, err = s.EraseSubject(ctx, w.tenant, w.subject, s.Now(), Audit(s, w.tenant, "subject.erased"))
	require.NoError(t, err)
	sums, err = s.ShadowSums(ctx, "m", "")
	require.NoError(t, err)
	require.Zero(t, sums.Runs, "they go with the subject")
	require.ErrorIs(t, s.PutShadowRun(ctx, results.ShadowRun{Model: "m", Job: w.done, Tenant: w.tenant, Subject: w.subject}), results.ErrErased)
}
