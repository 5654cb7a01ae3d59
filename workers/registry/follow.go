package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

const (
	lookEvery = time.Second
	beatEvery = 3 * time.Second
	// Alive is how long a process counts after its last sign of life: an epoch does not wait longer for one that was killed.
	Alive = 15 * time.Second
	// stageWithin is how long an epoch may be staged: one process that never gets ready must not hold up all changes for ever.
	stageWithin = 15 * time.Minute
)

// Follower keeps a Host at the epochs of the store: it stages, acknowledges, and settles.
type Follower struct {
	Host  *Host
	Store Store
	Bell  results.Bell // nil: it polls
	Name  string       // of this process, unlike any other
	Role  string
	Log   *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics

	every  time.Duration // between two signs of life while it stages; 0: beatEvery
	said   results.ModelHost
	beatAt time.Time
	shown  time.Time // when the metrics were last told
}

// Run follows until ctx ends, and then says that this process runs no models any more.
func (f *Follower) Run(ctx context.Context) error {
	var rung <-chan struct{}
	if f.Bell != nil {
		rung = f.Bell.Listen(ctx, results.BellModels)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := f.Once(ctx); err != nil && ctx.Err() == nil {
			f.Log.Warn("the epochs of models could not be followed; trying again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := f.Store.LeaveModels(last, f.Name); err != nil {
				f.Log.Warn("it could not be noted that this process ends; epochs wait for it a little", "error", err.Error())
			}
			return nil
		case <-tick.C:
		case <-rung:
		}
	}
}

// Once looks at the epochs once.
func (f *Follower) Once(ctx context.Context) error {
	number, err := f.Store.ActiveEpoch(ctx)
	if err != nil {
		return err
	}
	active, err := f.Host.epoch(ctx, number)
	if err != nil {
		return err
	}
	say := results.ModelHost{Name: f.Name, Role: f.Role, Base: f.Host.Base.Verifier.Models.Digest(), Ready: -1}
	wanted := []results.Epoch{active}
	if err := f.stage(ctx, active, &say); err != nil {
		return errors.Join(err, f.beat(ctx, say))
	}
	newest, err := f.Store.NewestEpochs(ctx, 1)
	if err != nil {
		return err
	}
	staging := len(newest) > 0 && newest[0].State == results.EpochStaging && newest[0].Number > number
	if staging {
		wanted = append(wanted, newest[0])
		if say.Ready == number { // who lacks the active one cannot vouch for the next
			err = f.stage(ctx, newest[0], &say)
		}
	}
	f.Host.Retain(wanted...)
	if merr := f.show(ctx, wanted, say); merr != nil {
		err = errors.Join(err, merr)
	}
	if err = errors.Join(err, f.beat(ctx, say)); err != nil || !staging {
		return err
	}
	e, err := f.Store.SettleEpoch(ctx, Alive, stageWithin)
	switch {
	case errors.Is(err, results.ErrNotFound), errors.Is(err, results.ErrStale):
		return nil
	case err != nil:
		return err
	}
	f.Log.Info("an epoch of models is settled", "epoch", e.Number, "state", string(e.State), "why", e.Why.Say())
	if f.Bell != nil {
		f.Bell.Ring(ctx, results.BellModels)
	}
	return nil
}

// show tells the metrics now and then.
func (f *Follower) show(ctx context.Context, wanted []results.Epoch, say results.ModelHost) error {
	if f.Metrics == nil || time.Since(f.shown) < beatEvery {
		return nil
	}
	hosts, err := f.Store.ModelHosts(ctx)
	if err != nil {
		return err
	}
	var staged *results.Epoch
	if len(wanted) > 1 {
		staged = &wanted[1]
	}
	f.Metrics.followed(wanted[0], staged, say.Ready, hosts, f.Store.Now())
	f.shown = time.Now()
	return nil
}

// stage makes an epoch ready and notes that, or why it never will be.
func (f *Follower) stage(ctx context.Context, e results.Epoch, say *results.ModelHost) error {
	quiet := f.keepBeating(ctx, *say)
	err := f.Host.Stage(ctx, e)
	quiet()
	var unusable *UnusableError
	switch {
	case err == nil:
		say.Ready = e.Number
	case errors.As(err, &unusable), errors.Is(err, results.ErrNotFound):
		say.Failed = e.Number
		say.Why = &results.Why{Rule: "stage", Text: pipeline.Text{EN: err.Error(), ZH: "无法加载模型：" + err.Error()}}
	default: // of the moment
		return err
	}
	return nil
}

// keepBeating gives signs of life until it is told to stop: a large model takes longer to fetch and load than a process counts without any, and
// an epoch must not become active without one that is still loading it.
func (f *Follower) keepBeating(ctx context.Context, say results.ModelHost) (stop func()) {
	every := f.every
	if every <= 0 {
		every = beatEvery
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			f.beatAt = time.Time{} // its time has come
			if err := f.beat(ctx, say); err != nil && ctx.Err() == nil {
				f.Log.Warn("it could not be noted that this process lives; trying again", "error", err.Error())
			}
		}
	})
	return func() {
		cancel()
		wait.Wait()
	}
}

// beat tells the store what this process can run, at once when that changed.
func (f *Follower) beat(ctx context.Context, say results.ModelHost) error {
	changed := say.Ready != f.said.Ready || say.Failed != f.said.Failed
	if !changed && time.Since(f.beatAt) < beatEvery {
		return nil
	}
	if err := f.Store.HostModels(ctx, say); err != nil {
		return err
	}
	if changed && say.Why != nil {
		f.Log.Error("this process cannot run the models of an epoch", "epoch", say.Failed, "why", say.Why.Say())
	}
	f.said, f.beatAt = say, time.Now()
	return nil
}
