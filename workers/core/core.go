package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/vault"
)

// Store is what the core needs of the results store.
type Store interface {
	Tenant(ctx context.Context, id string) (results.Tenant, error)
	Subject(ctx context.Context, tenant, id string) (results.Subject, error)
	Photos(ctx context.Context, tenant, subject string, rev int) ([]results.Photo, error)
	Templates(ctx context.Context, tenant, subject string, photos []string, model string) ([]results.Template, error)
	PutTemplates(ctx context.Context, t []results.Template) error
	EachTemplate(ctx context.Context, tenant, model string, fn func(results.Template) error) error
	Consented(ctx context.Context, tenant, subject, purpose string) (bool, error)
	Consents(ctx context.Context, tenant, subject string) ([]results.Consent, error)
	Site(ctx context.Context, tenant, id string, rev int) (results.Site, error)
	Policy(ctx context.Context, tenant, name string, rev int) (results.Policy, error)
	Submission(ctx context.Context, job string) (results.Submission, error)
	Steps(ctx context.Context, f results.StepFilter) ([]pipeline.Step, error)
	Challenge(ctx context.Context, tenant, id string) (results.Challenge, error)
	Position(ctx context.Context, tenant string) (int64, error)
	Prints(ctx context.Context, s results.Scope, before string, asOf int64) ([]results.Print, error)
	Print(ctx context.Context, tenant, job string) (results.Print, error)
	SameBytes(ctx context.Context, tenant, before string, asOf int64, sha256, packets string, except []string) (results.Print, error)
	MarksPosition(ctx context.Context, tenant string) (int64, error)
	MarksFor(ctx context.Context, tenant, job, site string, asOf int64) ([]results.Mark, error)
	VerdictRevisions(ctx context.Context, tenant, job string) ([]results.Verdict, error)
	Verdicts(ctx context.Context, tenant string, f results.VerdictFilter, p results.Page) ([]results.Verdict, error)
	Verdict(ctx context.Context, tenant, job string, revision int) (results.Verdict, error)
	Evidence(ctx context.Context, tenant, job string) ([]results.Evidence, error)
	Revise(ctx context.Context, v results.Verdict, a results.AuditEntry, event, message string, payload []byte) error
	Now() time.Time
}

// Vault is what the core needs of *vault.Vault.
type Vault interface {
	Open(ctx context.Context, key string) (*os.File, error)
	Read(ctx context.Context, key string, limit int64) ([]byte, error)
	PutAll(ctx context.Context, tenant, subject string, blobs [][]byte) ([]vault.Sealed, error)
	Discard(ctx context.Context, keys ...string) error
	SealBytes(ctx context.Context, tenant, subject, record string, plain []byte) ([]byte, error)
	OpenBytes(ctx context.Context, tenant, subject, record string, sealed []byte) ([]byte, error)
}

var (
	_ Store = results.Store(nil)
	_ Vault = (*vault.Vault)(nil)
)

// Options are what a Core needs. Zero numbers mean the default beside them.
type Options struct {
	Store    Store
	Vault    Vault
	Verifier *verify.Verifier // decoder and models; the caller closes the models after the Core
	// Fetch makes our own sealed copy of a submission's object in a bucket; nil: there are no buckets.
	Fetch func(ctx context.Context, s results.Submission) (vault.Sealed, error)
	// Archive finds footage beyond the newest of a policy's scope; nil: only the newest are looked at.
	Archive Archive
	Logger  *slog.Logger

	Sites      int   // prepared sites that are kept; 64
	PrintBytes int64 // memory for read fingerprints; 256 MiB, about 700 clips

	// MeasuringOnly says that this installation verifies nobody: without it NewNoop and NewDecoding refuse to be made.
	MeasuringOnly bool
}

// Core runs jobs. It is made once by New and used from many goroutines.
type Core struct {
	Options
	measure  bool // no models: NewDecoding
	sites    *shelf[*verify.Place]
	prints   *shelf[reuse.Fingerprint]
	policies *shelf[policy.Policy]
	compared *shelf[struct{}] // pairs of late footage and finished job
	health   health
	derived  bool   // shares what it keeps with another core: With
	aligned  string // the program's own models that find and align a face
}

const (
	forgetPrints = 10 * time.Minute // a fingerprint that no job asked for may be of somebody who was erased meanwhile
	keptPolicies = 256
	keptPairs    = 20_000
	forgetPairs  = 10 * time.Minute
)

// New makes a core.
func New(o Options) (*Core, error) {
	if o.Verifier == nil || o.Verifier.Models == nil {
		return nil, errors.New("make the verification core: no models were given")
	}
	return build(o, false)
}

func build(o Options, measure bool) (*Core, error) {
	if o.Store == nil || o.Vault == nil || o.Verifier == nil || o.Verifier.Decoder == nil {
		return nil, errors.New("make the verification core: store, vault and decoder are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Sites <= 0 {
		o.Sites = 64
	}
	if o.PrintBytes <= 0 {
		o.PrintBytes = 256 << 20
	}
	return &Core{
		Options: o, measure: measure, aligned: aligners(o.Verifier.Models),
		sites:    newShelf(int64(o.Sites), 0, (*verify.Place).Close),
		prints:   newShelf[reuse.Fingerprint](o.PrintBytes, forgetPrints, nil),
		policies: newShelf[policy.Policy](keptPolicies, 0, nil),
		compared: newShelf[struct{}](keptPairs, forgetPairs, nil),
	}, nil
}

// With gives a core that runs other models, and shares everything that does not depend on models with this one: fingerprints, policies, and
// what was compared. Sites are prepared anew, since their vectors are of a model. It must be closed before this one.
func (c *Core) With(v *verify.Verifier) *Core {
	o := c.Options
	o.Verifier = v
	return &Core{
		Options: o, derived: true, aligned: c.aligned, prints: c.prints, policies: c.policies, compared: c.compared,
		sites: newShelf(int64(o.Sites), 0, (*verify.Place).Close),
	}
}

// Close frees what is kept. Jobs must have ended.
func (c *Core) Close() {
	all := func(string) bool { return true }
	c.sites.forget(all)
	if c.derived {
		return
	}
	c.prints.forget(all)
	c.policies.forget(all)
	c.compared.forget(all)
}

// Forget takes an erased subject's fingerprints out of memory at once. Other processes forget them when nobody asks for them any more,
// after ten minutes at most; nobody is compared with them meanwhile, since the store no longer lists them.
func (c *Core) Forget(tenant, subject string) {
	c.prints.forget(func(key string) bool { return isOf(key, tenant, subject) })
}

// sealed is media in the vault.
type sealed struct {
	vault Vault
	key   string
	label string // for people
}

// Name is the label.
func (m sealed) Name() string { return m.label }

// Open gives the plain bytes in memory.
func (m sealed) Open(ctx context.Context) (*os.File, error) { return m.vault.Open(ctx, m.key) }

// rules gives the policy of a submission; the zero policy where it names none, for which the core takes the default of the kind of media.
func (c *Core) rules(ctx context.Context, s results.Submission) (policy.Policy, error) {
	if s.Policy == "" {
		return policy.Policy{}, nil
	}
	if s.PolicyRev == 0 {
		return policy.Default(s.Policy)
	}
	key := fmt.Sprintf("%s|%s|%d", s.Tenant, s.Policy, s.PolicyRev)
	p, release, err := c.policies.take(ctx, key, func(ctx context.Context) (policy.Policy, int64, error) {
		row, err := c.Store.Policy(ctx, s.Tenant, s.Policy, s.PolicyRev)
		if err != nil {
			return policy.Policy{}, 0, fmt.Errorf("read policy %s, revision %d: %w", s.Policy, s.PolicyRev, err)
		}
		p, err := policy.Parse(s.Policy, row.YAML)
		return p, 1, err
	})
	if err != nil {
		return policy.Policy{}, err
	}
	release() // it is only read
	return p, nil
}
