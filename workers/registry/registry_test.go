package registry

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/storetest"
	"onsite/results/vault"
	"onsite/workers"
	"onsite/workers/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store with objects, and processes that run models of it.
type world struct {
	testing.TB
	store   *database.Store
	objects object.Store
	dir     string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	store, err := database.Open(t.Context(), database.Options{SQLite: filepath.Join(dir, "onsite.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(t.Context()))
	objects, err := object.NewFolder(filepath.Join(dir, "objects"))
	require.NoError(t, err)
	require.NoError(t, store.CreateTenant(t.Context(), results.Tenant{ID: "t", Name: "T", CreatedAt: store.Now()}))
	return &world{TB: t, store: store, objects: objects, dir: dir}
}

// process is one process.
type process struct {
	*Host
	follow *Follower
	ahead  atomic.Int64 // how far its clock was put forward, nanoseconds
}

func (w *world) process(name string) *process {
	w.Helper()
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.EyeState}
	base, err := models.Open(o)
	require.NoError(w, err)
	decoder, err := media.NewDecoder(media.Options{})
	require.NoError(w, err)
	kek, err := vault.NewKEK(filepath.Join(w.dir, "kek-"+name))
	require.NoError(w, err)
	c, err := core.New(core.Options{Store: w.store, Vault: vault.New(w.store, w.objects, kek), Verifier: &verify.Verifier{Decoder: decoder, Models: base}})
	require.NoError(w, err)
	log := slog.New(slog.DiscardHandler)
	p := &process{}
	p.Host = &Host{Store: w.store, Files: &Files{Objects: w.objects, Dir: filepath.Join(w.dir, "files-"+name)}, Base: c, Options: models.DefaultOptions(), Log: log, now: func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }}
	p.follow = &Follower{Host: p.Host, Store: w.store, Name: name, Role: "worker", Log: log}
	w.Cleanup(func() {
		p.Close()
		c.Close()
		require.NoError(w, base.Close())
	})
	return p
}

// add puts the never-seen embedder into the registry; damaged changes a bit of the stored file.
func (w *world) add(damaged bool) results.RegisteredModel {
	w.Helper()
	raw, err := os.ReadFile("testdata/strange.yaml")
	require.NoError(w, err)
	man, err := manifest.Parse("strange", raw)
	require.NoError(w, err)
	file, err := os.Open("testdata/strange.onnx")
	require.NoError(w, err)
	defer file.Close()
	m := storetest.NewModel(w, w.store, "", "strange")
	m.SHA256, m.Manifest = man.File.SHA256, raw
	m.Files = []results.ModelFile{{Name: man.File.Name, SHA256: man.File.SHA256, Bytes: man.File.Bytes, Key: results.ModelKey(man.File.SHA256)}}
	if damaged {
		m.Files[0].SHA256 = storetest.Sum("another")
	}
	require.NoError(w, w.objects.Put(w.Context(), m.Files[0].Key, file, man.File.Bytes))
	require.NoError(w, w.store.AddModel(w.Context(), m, results.AuditEntry{}))
	return m
}

func (w *world) propose(next results.Epoch, after int64) results.Epoch {
	w.Helper()
	e, err := w.store.ProposeEpoch(w.Context(), next, after, results.StepStaged, results.AuditEntry{})
	require.NoError(w, err)
	return e
}

func (w *world) active() int64 {
	w.Helper()
	n, err := w.store.ActiveEpoch(w.Context())
	require.NoError(w, err)
	return n
}

// An epoch becomes active when every live process has it; one that comes late refuses jobs until it has it, and whoever began before goes on
// with what it took.
func TestEpochIsAcknowledged(t *testing.T) {
	w := newWorld(t)
	one, two := w.process("one"), w.process("two")
	require.NoError(t, one.follow.Once(t.Context()))
	require.NoError(t, two.follow.Once(t.Context()))
	m := w.add(false)

	before, err := one.Take(t.Context(), "t", "job")
	require.NoError(t, err)
	require.Nil(t, before.Under)
	require.Same(t, one.Base, before.Core)

	e := w.propose(results.Epoch{}.Promoted(m, nil), 0)
	require.NoError(t, one.follow.Once(t.Context()))
	require.Zero(t, w.active(), "two does not have it")
	require.NoError(t, two.follow.Once(t.Context()))
	require.Equal(t, e.Number, w.active())

	taken, err := one.Take(t.Context(), "t", "job")
	require.NoError(t, err)
	defer taken.Done()
	require.Equal(t, &pipeline.ModelSet{Epoch: 1, Digest: taken.Core.Verifier.Models.Digest()}, taken.Under)
	require.Equal(t, m.SHA256, taken.Core.EmbedModel())
	require.Empty(t, before.Core.EmbedModel(), "what was taken before stays what it is")
	before.Done()
	again, err := one.Take(t.Context(), "t", "other")
	require.NoError(t, err)
	require.Same(t, taken.Core, again.Core, "one set for all jobs")
	again.Done()

	late := w.process("late")
	_, err = late.Take(t.Context(), "t", "job")
	var refused *LateError
	require.ErrorAs(t, err, &refused)
	j := workers.Judge(err)
	require.Equal(t, workers.Retry, j.Action)
	require.False(t, j.Count, "nothing is wrong with the job")
	require.Equal(t, RuleStaging, j.Rule)
	require.NoError(t, late.follow.Once(t.Context()))
	got, err := late.Take(t.Context(), "t", "job")
	require.NoError(t, err)
	got.Done()
}

// A file that is not the one that was added fails the epoch, and what was active stays so.
func TestDamagedFileFailsTheEpoch(t *testing.T) {
	w := newWorld(t)
	p := w.process("one")
	m := w.add(true)
	e := w.propose(results.Epoch{}.Promoted(m, nil), 0)
	require.NoError(t, p.follow.Once(t.Context()))
	require.Zero(t, w.active())
	e, err := w.store.Epoch(t.Context(), e.Number)
	require.NoError(t, err)
	require.Equal(t, results.EpochFailed, e.State)
	require.Contains(t, e.Why.Text.EN, "sha256")
	taken, err := p.Take(t.Context(), "t", "job")
	require.NoError(t, err, "jobs go on")
	taken.Done()
	row, err := w.store.Model(t.Context(), m.ID)
	require.NoError(t, err)
	require.Equal(t, results.ModelAdded, row.State)
}

// What no epoch needs is freed once its last job has ended, and loaded again for a verdict of its time.
func TestRetainAndAgain(t *testing.T) {
	w := newWorld(t)
	p := w.process("one")
	m := w.add(false)
	e := w.propose(results.Epoch{}.Promoted(m, nil), 0)
	require.NoError(t, p.follow.Once(t.Context()))
	require.Equal(t, e.Number, w.active())
	running, err := p.Take(t.Context(), "t", "job")
	require.NoError(t, err)

	back, err := w.store.ProposeEpoch(t.Context(), results.Epoch{}, e.Number, results.StepOvertaking, results.AuditEntry{})
	require.NoError(t, err)
	now, err := p.Take(t.Context(), "t", "job")
	require.NoError(t, err)
	require.Same(t, p.Base, now.Core, "a rollback needs no acknowledgement")
	require.Equal(t, back.Number, now.Under.Epoch)
	now.Done()
	p.ahead.Add(int64(time.Hour))
	require.NoError(t, p.follow.Once(t.Context()))
	parts, sets := p.Loaded()
	require.Zero(t, parts+sets)
	require.NoError(t, running.Core.Verifier.Models.Check(t.Context(), models.FaceEmbed), "the job that runs finishes on its set")
	running.Done()
	require.ErrorIs(t, running.Core.Verifier.Models.Check(t.Context(), models.FaceEmbed), models.ErrClosed)

	old, err := p.Again(t.Context(), pipeline.Verdict{Tenant: "t", Job: "job", Runtime: pipeline.Runtime{ModelSet: &pipeline.ModelSet{Epoch: e.Number}}})
	require.NoError(t, err)
	require.Equal(t, m.SHA256, old.Core.EmbedModel())
	old.Done()
}

// Jobs that take sets while epochs come and go never see one that is half there.
func TestSwapWhileTaking(t *testing.T) {
	w := newWorld(t)
	p := w.process("one")
	m := w.add(false)
	require.NoError(t, p.follow.Once(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for ctx.Err() == nil {
				taken, err := p.Take(t.Context(), "t", "job")
				if err != nil {
					t.Error(err)
					return
				}
				number := int64(0)
				if taken.Under != nil {
					number = taken.Under.Epoch
				}
				e, err := w.store.Epoch(t.Context(), number)
				if err != nil || (e.Doc.Base[m.Task] == m.ID) != (taken.Core.EmbedModel() == m.SHA256) {
					t.Errorf("epoch %d ran the wrong models: %v", e.Number, err)
				}
				if len(e.Doc.Base) > 0 {
					if err := taken.Core.Verifier.Models.Check(t.Context(), models.FaceEmbed); err != nil {
						t.Error(err)
					}
				}
				taken.Done()
			}
		})
	}
	for n := int64(0); n < 12; n += 2 {
		e, err := w.store.Epoch(t.Context(), n)
		require.NoError(t, err)
		m, err := w.store.Model(t.Context(), m.ID)
		require.NoError(t, err)
		w.propose(e.Promoted(m, []results.RegisteredModel{m}), n)
		require.NoError(t, p.follow.Once(t.Context()))
		require.Equal(t, n+1, w.active())
		e, err = w.store.Epoch(t.Context(), n+1)
		require.NoError(t, err)
		_, err = w.store.ProposeEpoch(t.Context(), e.RolledBack(results.Return{Model: m}), n+1, results.StepAtOnce, results.AuditEntry{})
		require.NoError(t, err)
		p.ahead.Add(int64(time.Hour))
		require.NoError(t, p.follow.Once(t.Context()))
	}
	stop()
	wait.Wait()
}

func TestFilesRefuseOtherNames(t *testing.T) {
	f := &Files{Dir: t.TempDir()}
	for _, name := range []string{"../x", "a/b", ".hidden", "", "/etc/passwd"} {
		_, err := f.Fetch(t.Context(), []results.ModelFile{{Name: name}})
		var unusable *UnusableError
		require.ErrorAs(t, err, &unusable, name)
	}
}
