package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"onsite/results"
	"onsite/workers/intake/notice"
)

// Store is what this package needs of the results store.
type Store interface {
	Arrive(ctx context.Context, e results.IntakeEvent, src results.Source) (results.IntakeEvent, error)
	RecordEvent(ctx context.Context, e results.IntakeEvent) error
	Unclaimed(ctx context.Context, bucket, key string) ([]results.IntakeEvent, error)
	UploadAt(ctx context.Context, bucket, key string) (results.Upload, error)
	Job(ctx context.Context, tenant, id string) (results.Job, error)
	Submission(ctx context.Context, job string) (results.Submission, error)
	Elect(ctx context.Context, role, holder string, ttl time.Duration) (bool, error)
	Now() time.Time
}

// The ways in which events come, in results.IntakeEvent.
const (
	SourceWebhook = "webhook" // the API's route
	SourceRedis   = "redis"   // a Redis list
	SourceScan    = "scan"    // none came: Scan found the object
)

// The kinds of a results.Source.
const (
	kindUpload = "upload" // our own bucket for uploads
	kindBucket = "bucket" // a bucket that an administrator mapped to a tenant
)

// Options of an Intake.
type Options struct {
	Store        Store
	Bell         results.Bell // nil: nobody is woken
	UploadBucket string       // our own bucket for uploads; "" if there is none
	Log          *slog.Logger
	Metrics      *Metrics
	Accepted     func(source string) // told of every job that was started; nil: nobody
}

// Intake turns notifications into jobs. It is used from many goroutines.
type Intake struct{ o Options }

// New makes an intake.
func New(o Options) *Intake {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Intake{o}
}

// Metrics are what this package measures. A nil one measures nothing.
type Metrics struct{ events *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "onsite_intake_events_total",
		Help: "Bucket events received, by the way they came and what became of them."}, []string{"source", "state"})}
	r.MustRegister(m.events)
	return m
}

func (m *Metrics) count(e results.IntakeEvent) {
	if m != nil {
		m.events.WithLabelValues(e.Source, string(e.State)).Inc()
	}
}

// Receive records a notification and starts its jobs. It returns nil only after everything in it was recorded: with any error the sender
// must send it again, and what was recorded already is a duplicate then.
func (in *Intake) Receive(ctx context.Context, source string, raw []byte) error {
	_, err := in.Take(ctx, source, raw)
	return err
}

// Take is Receive that tells what became of every event.
func (in *Intake) Take(ctx context.Context, source string, raw []byte) ([]results.IntakeEvent, error) {
	events := notice.Read(raw)
	now := in.o.Store.Now()
	for i := range events {
		e := &events[i]
		e.ID, e.Source, e.ReceivedAt = ulid.Make().String(), source, now
		if err := in.take(ctx, e); err != nil {
			return nil, fmt.Errorf("take event %d of %d: %w", i+1, len(events), err)
		}
	}
	return events, nil
}

func (in *Intake) take(ctx context.Context, e *results.IntakeEvent) error {
	if e.State != "" {
		return in.record(ctx, *e)
	}
	err := in.arrive(ctx, e)
	if err == nil || errors.Is(err, results.ErrAway) || ctx.Err() != nil {
		return err
	}
	// The store is there and does not take it. Sent again it would be refused again, and everything behind it would wait for ever.
	in.o.Log.Error("a bucket event is not taken by the store and kept as unread", "event", e.ID, "error", err)
	e.State, e.Why = results.IntakeUnread, results.Because("event_not_stored", "the store did not take it: %s", "结果库未能保存该事件：%s", notice.Clean(err.Error()))
	if in.record(ctx, *e) == nil {
		return nil
	}
	bare := results.IntakeEvent{ID: e.ID, Source: e.Source, Raw: e.Raw, State: e.State, Why: e.Why, ReceivedAt: e.ReceivedAt}
	if rerr := in.record(ctx, bare); rerr != nil {
		return errors.Join(err, rerr)
	}
	return nil
}

func (in *Intake) record(ctx context.Context, e results.IntakeEvent) error {
	if err := in.o.Store.RecordEvent(ctx, e); err != nil {
		return err
	}
	in.o.Metrics.count(e)
	return nil
}

// arrive gives the event to the store, which finds the claim and starts its job.
func (in *Intake) arrive(ctx context.Context, e *results.IntakeEvent) error {
	src := results.Source{Kind: kindBucket, Bucket: e.Bucket, Key: e.Key, Version: e.Version, ETag: e.ETag}
	if in.o.UploadBucket != "" && e.Bucket == in.o.UploadBucket {
		src.Kind = kindUpload
	}
	done, err := in.o.Store.Arrive(ctx, *e, src)
	if err != nil {
		return err
	}
	*e = done
	in.o.Metrics.count(*e)
	if e.State != results.IntakeStarted {
		return nil
	}
	in.o.Log.Info("an upload arrived", "job", e.Job, "source", e.Source)
	if in.o.Accepted != nil {
		in.o.Accepted(src.Kind)
	}
	if in.o.Bell != nil {
		in.o.Bell.Ring(ctx, results.BellWork)
	}
	return nil
}

// Claimed looks for events of an object that came before its claim was recorded, and starts the job. Whoever records the claim of an object
// in a bucket that is not ours calls it afterwards, also when the claim was there already.
func (in *Intake) Claimed(ctx context.Context, bucket, key string) error {
	events, err := in.o.Store.Unclaimed(ctx, bucket, key)
	if err != nil {
		return fmt.Errorf("look for an event that came before its claim: %w", err)
	}
	for i := range events {
		if err := in.arrive(ctx, &events[i]); err != nil {
			return fmt.Errorf("take event %s, which came before its claim: %w", events[i].ID, err)
		}
		if events[i].State == results.IntakeStarted {
			return nil
		}
	}
	return nil
}
