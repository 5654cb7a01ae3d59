package notary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/tlog"

	"onsite/results"
	"onsite/results/audit"
	"onsite/workers"
)

// Store is what the notary needs of the results store.
type Store interface {
	workers.Elector
	SequenceAudit(ctx context.Context, n int) (placed int, more bool, err error)
	AuditBacklog(ctx context.Context) (waiting int64, oldest time.Time, err error)
	LogHeads(ctx context.Context) ([]results.LogHead, error)
	LogHead(ctx context.Context, tenant string) (results.LogHead, error)
	LogHashes(ctx context.Context, tenant string, indexes []int64) ([][]byte, error)
	PutCheckpoint(ctx context.Context, c results.Checkpoint) error
	Checkpoint(ctx context.Context, tenant string, least int64) (results.Checkpoint, error)
	LogKey(ctx context.Context, tenant string) (results.LogKey, error)
	CreateLogKey(ctx context.Context, k results.LogKey) (results.LogKey, error)
	Now() time.Time
}

// Vault seals the logs' keys.
type Vault interface {
	SealConfig(ctx context.Context, tenant, record string, plain []byte) ([]byte, error)
	OpenConfig(ctx context.Context, tenant, record string, sealed []byte) ([]byte, error)
}

// Notary plays the role. Its fields are set before Run.
type Notary struct {
	Store     Store
	Vault     Vault
	Witnesses []Witness
	Name      string
	Every     time.Duration // between two looks; 1 s
	Logger    *slog.Logger
	Metrics   *Metrics

	known   map[string]audit.Head // tenant -> the last head that this process signed or saw signed; only sign's goroutine uses it
	tellers []*teller
}

// batch is how many entries of one tenant get their places in one transaction.
const batch = 1000

// roundTime bounds how long places are given before heads are signed and witnesses told, however many entries come meanwhile.
const roundTime = 2 * time.Second

// Metrics are the notary's numbers. A nil *Metrics counts nothing.
type Metrics struct {
	waiting, age, refused prometheus.Gauge
	witness               *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_audit_waiting", Help: "Audit entries that have no place in their log yet."}),
		age:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_audit_backlog_seconds", Help: "How long the oldest of them has been waiting."}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_audit_refused", Help: "Audit logs whose head is not signed, because it does not go on from what was signed before or because signing fails."}),
		witness: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "onsite_witness_total", Help: "Checkpoints told to witnesses, by result: told, failed, conflict (the witness has another one of that size)."}, []string{"result"}),
	}
	r.MustRegister(m.waiting, m.age, m.refused, m.witness)
	return m
}

// Fresh gives a notary that is ready for Once.
func (n *Notary) Fresh() *Notary {
	own := *n
	if own.Every <= 0 {
		own.Every = time.Second
	}
	if own.Logger == nil {
		own.Logger = slog.New(slog.DiscardHandler)
	}
	own.known = map[string]audit.Head{}
	own.tellers = nil
	for _, w := range own.Witnesses {
		own.tellers = append(own.tellers, &teller{Witness: w, told: map[string]int64{}, heads: make(chan []results.LogHead, 1)})
	}
	return &own
}

// Run plays the notary until ctx ends. Every witness is told in a goroutine of its own: one that is slow or away holds up nobody.
func (n *Notary) Run(ctx context.Context) error {
	own := n.Fresh()
	role := workers.NewRole(own.Store, "notary", own.Name, 3*own.Every, own.Logger)
	defer role.Resign()
	var telling sync.WaitGroup
	defer telling.Wait()
	for _, t := range own.tellers {
		telling.Go(func() { own.serve(ctx, t) })
	}
	log := own.saying("the audit log does not go on", "the audit log goes on")
	for {
		if role.Play(ctx) {
			heads, err := own.keep(ctx)
			if ctx.Err() == nil {
				log(err)
			}
			for _, t := range own.tellers {
				t.hand(heads)
			}
		} else if own.Metrics != nil { // another process has it: its numbers count
			own.Metrics.waiting.Set(0)
			own.Metrics.age.Set(0)
			own.Metrics.refused.Set(0)
		}
		timer := time.NewTimer(own.Every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// saying gives a function that logs an error when it begins, changes and ends, not every second.
func (n *Notary) saying(bad, good string, args ...any) func(error) {
	wrong := ""
	return func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		switch {
		case text != "" && text != wrong:
			n.Logger.Warn(bad, append([]any{"error", text}, args...)...)
		case text == "" && wrong != "":
			n.Logger.Info(good, args...)
		}
		wrong = text
	}
}

// Once does what there is to do, on a notary from Fresh, one after the other: places, checkpoints, witnesses. What fails for one tenant or
// witness does not hold up the others.
func (n *Notary) Once(ctx context.Context) error {
	heads, err := n.keep(ctx)
	errs := []error{err}
	for _, t := range n.tellers {
		errs = append(errs, n.tell(ctx, t, heads))
	}
	return errors.Join(errs...)
}

// keep gives places and signs what grew. The heads say what is signed afterwards.
func (n *Notary) keep(ctx context.Context) ([]results.LogHead, error) {
	err := n.sequence(ctx)
	heads, herr := n.Store.LogHeads(ctx)
	errs := []error{err, herr}
	refused := 0
	for i := range heads {
		if err := n.head(ctx, &heads[i]); err != nil {
			refused++
			errs = append(errs, fmt.Errorf("tenant %s: %w", heads[i].Tenant, err))
		}
	}
	if n.Metrics != nil && herr == nil {
		n.Metrics.refused.Set(float64(refused))
	}
	return heads, errors.Join(errs...)
}

// sequence gives places for at most about roundTime, and counts what waits then.
func (n *Notary) sequence(ctx context.Context) error {
	var errs []error
	said := map[string]bool{}
	begun := time.Now()
	for {
		placed, more, err := n.Store.SequenceAudit(ctx, batch)
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			errs = append(errs, err)
		}
		if !more || placed == 0 || ctx.Err() != nil || time.Since(begun) >= roundTime {
			break
		}
	}
	if n.Metrics != nil { // above all when something is wrong
		waiting, oldest, err := n.Store.AuditBacklog(ctx)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		n.Metrics.waiting.Set(float64(waiting))
		n.Metrics.age.Set(0)
		if waiting > 0 {
			n.Metrics.age.Set(max(0, n.Store.Now().Sub(oldest)).Seconds())
		}
	}
	return errors.Join(errs...)
}

// ErrRewritten is why a head is not signed: it does not go on from what was signed before.
var ErrRewritten = errors.New("the audit log was rewritten, or put back to an earlier state: its head is not signed; run \"onsite audit verify\" with what the witnesses kept")

// head looks at a tenant's head, and signs it when it grew.
func (n *Notary) head(ctx context.Context, h *results.LogHead) error {
	if len(h.Root) != tlog.HashSize {
		return fmt.Errorf("the head of the audit log is damaged: its root has %d bytes; run \"onsite audit verify\"", len(h.Root))
	}
	head := audit.Head{Origin: audit.Origin(h.Tenant), Size: h.Size, Root: tlog.Hash(h.Root)}
	known, ok := n.known[h.Tenant]
	switch {
	case h.Size < h.Signed:
		return fmt.Errorf("%w: it has %d entries, and %d were signed", ErrRewritten, h.Size, h.Signed)
	case ok && h.Size < known.Size:
		return fmt.Errorf("%w: it has %d entries, and this process knows %d", ErrRewritten, h.Size, known.Size)
	case ok && head == known && h.Size == h.Signed:
		return nil
	case ok:
		if err := n.goesOn(ctx, h.Tenant, known, head); err != nil {
			return err
		}
	}
	if h.Size == h.Signed && ok {
		return nil
	}
	return n.sign(ctx, h, head)
}

// goesOn proves from the kept hashes that a head's tree begins with an older one.
func (n *Notary) goesOn(ctx context.Context, tenant string, older, newer audit.Head) error {
	if older.Size == 0 {
		return nil // every tree begins with the empty one
	}
	if newer.Size < older.Size {
		return fmt.Errorf("%w: it has %d entries, and %d were signed", ErrRewritten, newer.Size, older.Size)
	}
	var away error
	proof, err := audit.Consist(older.Size, newer.Size, audit.Hashes(func(indexes []int64) ([][]byte, error) {
		rows, err := n.Store.LogHashes(ctx, tenant, indexes)
		away = err
		return rows, err
	}))
	if away != nil {
		return away
	}
	if err == nil {
		err = proof.Check(older, newer)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRewritten, err)
	}
	return nil
}

// sign signs a tenant's head if it goes on from the newest checkpoint that is kept. The log gets its key with its first checkpoint.
// A head that is signed already is only compared: what a new process finds is what it begins with.
func (n *Notary) sign(ctx context.Context, h *results.LogHead, head audit.Head) error {
	newest, err := n.Store.Checkpoint(ctx, h.Tenant, 0)
	switch {
	case errors.Is(err, results.ErrNotFound) && h.Signed > 0:
		return fmt.Errorf("%w: %d entries were signed, and no checkpoint is there", ErrRewritten, h.Signed)
	case err != nil && !errors.Is(err, results.ErrNotFound):
		return err
	case err == nil:
		k, err := n.Store.LogKey(ctx, h.Tenant) // never a new one: there is a checkpoint of the old
		if err != nil {
			return fmt.Errorf("read the key of a log that has checkpoints: %w", err)
		}
		older, err := audit.Open(newest.Note, k.Public)
		if err != nil || older.Size != newest.Size {
			return fmt.Errorf("%w: the checkpoint that is kept for %d entries is not the log's own: %w", ErrRewritten, newest.Size, errors.Join(err, wrongSize(older.Size, newest.Size)))
		}
		if older.Size < h.Signed {
			return fmt.Errorf("%w: %d entries were signed, and the newest checkpoint that is there is of %d", ErrRewritten, h.Signed, older.Size)
		}
		if older.Size > head.Size {
			if now, err := n.Store.LogHead(ctx, h.Tenant); err == nil && now.Size >= older.Size {
				return nil // another process had the role a moment ago: the next look sees what it signed
			}
		}
		if err := n.goesOn(ctx, h.Tenant, older, head); err != nil {
			return err
		}
		if older == head { // signed by another process, or before this one began
			n.known[h.Tenant] = head
			if h.Size == h.Signed {
				return nil
			}
		}
	}
	secret, public, err := n.key(ctx, h.Tenant)
	if err != nil {
		return err
	}
	note, err := audit.Sign(head, secret)
	if err != nil {
		return err
	}
	// What a witness would refuse must not be written either: a key that was changed in the store, say.
	if _, err := audit.Open(note, public); err != nil {
		return fmt.Errorf("the audit log's key and its public part do not belong together: %w", err)
	}
	if err := n.Store.PutCheckpoint(ctx, results.Checkpoint{Tenant: h.Tenant, Size: h.Size, Note: note, At: n.Store.Now()}); err != nil {
		return err
	}
	n.known[h.Tenant] = head
	h.Signed = h.Size
	return nil
}

func wrongSize(says, kept int64) error {
	if says == kept {
		return nil
	}
	return fmt.Errorf("it is of %d entries", says)
}

// key opens a tenant's key, and makes it when there is none.
func (n *Notary) key(ctx context.Context, tenant string) (secret, public string, err error) {
	k, err := n.Store.LogKey(ctx, tenant)
	if errors.Is(err, results.ErrNotFound) {
		made, err := audit.NewKey(tenant)
		if err != nil {
			return "", "", err
		}
		sealed, err := n.Vault.SealConfig(ctx, tenant, results.LogKeyRecord, []byte(made.Secret))
		if err != nil {
			return "", "", err
		}
		if k, err = n.Store.CreateLogKey(ctx, results.LogKey{Tenant: tenant, Public: made.Public, Sealed: sealed, CreatedAt: n.Store.Now()}); err != nil {
			return "", "", err
		}
		n.Logger.Info("a tenant's audit log has its key: whoever audits pins it", "tenant", tenant, "public", k.Public)
	} else if err != nil {
		return "", "", err
	}
	plain, err := n.Vault.OpenConfig(ctx, tenant, results.LogKeyRecord, k.Sealed)
	return string(plain), k.Public, err
}
