package storetest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"onsite/results"
)

// Case is one thing that a store must do.
type Case struct {
	Name string
	// Alone asks for a store of its own, since the case looks at what belongs to all tenants (Dispatch, Orphans, Sequence, ...). The others
	// share one, each with tenants of its own: that is quicker, and shows that tenants do not see each other.
	Alone bool
	Run   func(t *testing.T, s results.Store)
}

// group is one part of the suite.
type group struct {
	name  string
	cases []Case
}

// groups are the parts of the suite, in the order of the interfaces in results/store.go.
func groups() []group {
	return []group{
		{"tenancy", tenancyCases},
		{"people", peopleCases},
		{"configuration", configurationCases},
		{"intake", intakeCases},
		{"uploads", uploadCases},
		{"trail", trailCases},
		{"work", workCases},
		{"findings", findingsCases},
		{"late footage", lateCases},
		{"frames", frameCases},
		{"marks", markCases},
		{"challenges", challengeCases},
		{"outbox", outboxCases},
		{"log", logCases},
		{"models", modelCases},
		{"housekeeping", housekeepingCases},
		{"retention", retentionCases},
		{"isolation", isolationCases},
	}
}

// Run is the suite. open gives a fresh, migrated, empty store, which is closed with the test.
func Run(t *testing.T, open func(t *testing.T) results.Store) { RunPart(t, "", open) }

// RunPart is one part of the suite, by its name ("frames", "marks"); "" is all of it.
func RunPart(t *testing.T, part string, open func(t *testing.T) results.Store) {
	shared := open(t)
	for _, g := range groups() {
		if part != "" && g.name != part {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.Name, func(t *testing.T) {
					s := shared
					if c.Alone {
						s = open(t)
					}
					c.Run(t, s)
				})
			}
		})
	}
}

var tenants atomic.Int64

// NewTenant makes a tenant that no other case uses, and gives its id.
func NewTenant(t testing.TB, s results.Store) string {
	t.Helper()
	id := fmt.Sprintf("tenant-%d", tenants.Add(1))
	require.NoError(t, s.CreateTenant(t.Context(), results.Tenant{ID: id, Name: "A company", CreatedAt: s.Now()}))
	return id
}

// NewSubject makes a subject.
func NewSubject(t testing.TB, s results.Store, tenant, id string) {
	t.Helper()
	require.NoError(t, s.CreateSubject(t.Context(), results.Subject{Tenant: tenant, ID: id, Label: "label of " + id, CreatedAt: s.Now()}, Audit(s, tenant, "subject.created")))
}

// NewID gives a fresh ULID.
func NewID() string { return ulid.Make().String() }

// Audit makes an audit entry.
func Audit(s results.Store, tenant, action string) results.AuditEntry {
	return results.AuditEntry{ID: NewID(), Tenant: tenant, At: s.Now(), Actor: "test", Action: action}
}

// NewPhoto makes a photo's row; the key of its object is fresh.
func NewPhoto(s results.Store, tenant, subject string) results.Photo {
	id := NewID()
	return results.Photo{ID: id, Tenant: tenant, Subject: subject, Name: "front.jpg", Key: tenant + "/" + subject + "/" + id,
		SHA256: Sum(id), Bytes: 1234, Quality: []byte(`{"sharpness": 0.5}`), CreatedAt: s.Now()}
}

// Sum is the hex SHA-256 of a text.
func Sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// long is as long as an id may be.
func long(prefix string) string { return prefix + strings.Repeat("x", 64-len(prefix)) }

// ago is a time of the store's clock.
func ago(s results.Store, d time.Duration) time.Time { return s.Now().Add(-d) }
