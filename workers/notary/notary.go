package notary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

	told map[string]int64 // witness and tenant -> size that it was told
}

// batch is how many entries of one tenant get their places in one transaction.
const batch = 1000

// Metrics are the notary's numbers. A nil *Metrics counts nothing.
type Metrics struct {
	waiting, age prometheus.Gauge
	witness      *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_audit_waiting", Help: "Audit entries that have no place in their log yet."}),
		age:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "onsite_audit_backlog_seconds", Help: "How long the oldest of them has been waiting."}),
		witness: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "onsite_witness_total", Help: "Checkpoints told to witnesses, by result: told, failed."}, []string{"result"}),
	}
	r.MustRegister(m.waiting, m.age, m.witness)
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
	own.told = map[string]int64{}
	return &own
}

// Run plays the notary until ctx ends.
func (n *Notary) Run(ctx context.Context) error {
	own := n.Fresh()
	role := workers.NewRole(own.Store, "notary", own.Name, 3*own.Every, own.Logger)
	defer role.Resign()
	wrong := ""
	for {
		if role.Play(ctx) {
			err := own.Once(ctx)
			text := ""
			if err != nil && ctx.Err() == nil {
				text = err.Error()
			}
			switch { // said when it begins, changes and ends, not every second
			case text != "" && text != wrong:
				own.Logger.Warn("the audit log does not go on", "error", text)
			case text == "" && wrong != "":
				own.Logger.Info("the audit log goes on")
			}
			wrong = text
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

// Once does what there is to do, on a notary from Fresh: places, checkpoints, witnesses. What fails for one tenant or witness does not hold up the others.
func (n *Notary) Once(ctx context.Context) error {
	err := n.sequence(ctx)
	heads, herr := n.Store.LogHeads(ctx)
	errs := []error{err, herr}
	for _, h := range heads {
		if h.Size > h.Signed {
			if err := n.sign(ctx, h); err != nil {
				errs = append(errs, fmt.Errorf("tenant %s: %w", h.Tenant, err))
			}
		}
	}
	errs = append(errs, n.tell(ctx, heads))
	return errors.Join(errs...)
}

func (n *Notary) sequence(ctx context.Context) error {
	for more := true; more; {
		var err error
		if _, more, err = n.Store.SequenceAudit(ctx, batch); err != nil {
			return err
		}
		if n.Metrics != nil {
			waiting, oldest, err := n.Store.AuditBacklog(ctx)
			if err != nil {
				return err
			}
			n.Metrics.waiting.Set(float64(waiting))
			n.Metrics.age.Set(0)
			if waiting > 0 {
				n.Metrics.age.Set(max(0, n.Store.Now().Sub(oldest)).Seconds())
			}
		}
	}
	return nil
}

// sign signs a tenant's head. The log gets its key with its first checkpoint.
func (n *Notary) sign(ctx context.Context, h results.LogHead) error {
	if len(h.Root) != tlog.HashSize {
		return fmt.Errorf("the head of the audit log is damaged: its root has %d bytes; run \"onsite audit verify\"", len(h.Root))
	}
	secret, public, err := n.key(ctx, h.Tenant)
	if err != nil {
		return err
	}
	head := audit.Head{Origin: audit.Origin(h.Tenant), Size: h.Size, Root: tlog.Hash(h.Root)}
	note, err := audit.Sign(head, secret)
	if err != nil {
		return err
	}
	// What a witness would refuse must not be written either: a key that was changed in the store, say.
	if _, err := audit.Open(note, public); err != nil {
		return fmt.Errorf("the audit log's key and its public part do not belong together: %w", err)
	}
	return n.Store.PutCheckpoint(ctx, results.Checkpoint{Tenant: h.Tenant, Size: h.Size, Note: note, At: n.Store.Now()})
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
