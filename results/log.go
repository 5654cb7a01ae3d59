package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// LoggedEntry is an audit entry with its place in the tenant's Merkle log.
type LoggedEntry struct {
	AuditEntry
	Seq   int64  // from 0; -1: it waits for its place
	Nonce []byte // 32 bytes that hide it in its leaf; nil where the subject was erased, or it has no place yet
	// Hidden says that it was there when its subject was erased. What is written of the subject later is hidden by the tenant's salt.
	Hidden bool
}

// Digest is what the audit log says of a mark, and once more of its revocation: the Sum of its JSON.
func (m Mark) Digest() string {
	b, err := json.Marshal([]any{m.ID, m.Kind, m.Job, m.Other, m.AtMS, m.Hash, m.Site, m.Note, m.Actor, m.Seq, m.CreatedAt.UnixMilli(), m.RevokedSeq, m.RevokedBy})
	if err != nil { // texts and numbers
		panic(fmt.Sprintf("write a mark: %v", err))
	}
	return Sum(b)
}

// HiddenDigest is what the entry of an erasure says of the entries that it hides: the Sum of their ids, sorted, a line each. Without it anybody
// with the database could pass an entry off as one of an erased subject, which nobody can check.
func HiddenDigest(ids []string) string {
	var b strings.Builder
	for _, id := range slices.Sorted(slices.Values(ids)) {
		b.WriteString(id + "\n")
	}
	return Sum([]byte(b.String()))
}

// Sum is how audit entries name bytes: sha256, hex.
func Sum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Digest is what the audit log says of a site's revision: the sum of its JSON.
func (s Site) Digest() (string, error) {
	b, err := json.Marshal(s.Doc)
	if err != nil {
		return "", fmt.Errorf("write site %s: %w", s.ID, err)
	}
	return Sum(b), nil
}

// Logged is something whose entry of the audit log has its digest: a revision of a site or a policy, also a deleted one, a change of somebody's
// enrolled photos, a consent, a mark; or a row of which the newest entry has the digest.
type Logged struct {
	Kind    string // LoggedSite, ...
	Name    string // of the site or the policy; the subject whose photos, the id of the consent, the mark, or whatever else
	Subject string // of an enrolment, of a consent, a challenge, a subject's row
	Purpose string // of a consent
	Rev     int
	Deleted bool   // a withdrawn consent, an erased subject and an epoch that is over, too
	Foreign bool   // an epoch that changed nothing for the tenant, or was there before it: its log need not know it
	Digest  string // the Sum of what is stored: a site's JSON, a policy's YAML, a model's manifest, an epoch's JSON; EnrolmentDigest; else what the Digest of its type says
}

// The kinds of what is logged with its digest.
const (
	LoggedSite      = "site"
	LoggedPolicy    = "policy"
	LoggedEnrolment = "enrolment"
	LoggedConsent   = "consent"
	LoggedMark      = "mark" // as it was made; and once more as it was revoked, with Deleted

	// These hold one state, and no revisions.
	LoggedSettings  = "settings" // the one row of the tenant
	LoggedKey       = "key"
	LoggedWebhook   = "webhook"
	LoggedBucket    = "bucket"
	LoggedSubject   = "subject"
	LoggedChallenge = "challenge"
	LoggedModel     = "model" // of the tenant or the installation
	LoggedEpoch     = "epoch" // one that was or is active
)

// EnrolmentDigest is what the audit log says of a change of somebody's enrolled photos: the Sum of the number of the new revision and a line for
// each photo, sorted, "+ID SHA256" for those that were added (the hash of the plain bytes) and "-ID" for those that were removed.
func EnrolmentDigest(rev int, add []Photo, remove []string) string {
	lines := make([]string, 0, len(add)+len(remove))
	for _, p := range add {
		lines = append(lines, "+"+p.ID+" "+p.SHA256+"\n")
	}
	for _, id := range remove {
		lines = append(lines, "-"+id+"\n")
	}
	slices.Sort(lines)
	return Sum([]byte(fmt.Sprintf("%d\n%s", rev, strings.Join(lines, ""))))
}

// Digest is what the audit log says of a consent as it was given: the Sum of its JSON.
func (c Consent) Digest() string {
	b, err := json.Marshal([]any{c.ID, c.Subject, c.Purpose, c.Notice, c.Reference, c.RecordedBy, c.GivenAt.UnixMilli()})
	if err != nil { // texts and a number
		panic(fmt.Sprintf("write a consent: %v", err))
	}
	return Sum(b)
}

// LogHead is how far a tenant's log is.
type LogHead struct {
	Tenant string
	Size   int64  // entries with a place
	Root   []byte // 32 bytes; of the tree of them
	Signed int64  // size at its newest checkpoint
}

// Checkpoint is a signed head of a tenant's log.
type Checkpoint struct {
	Tenant string
	Size   int64
	Note   string // C2SP signed note: origin, size, root, signature
	At     time.Time
}

// LogKey is the key that signs a tenant's checkpoints.
type LogKey struct {
	Tenant    string
	Public    string // as auditors pin it
	Sealed    []byte // the secret, sealed by the vault under LogKeyRecord
	CreatedAt time.Time
}

// LogKeyRecord names the sealed record of a log's key.
const LogKeyRecord = "audit.log"

// Log is the tamper-evident log: the audit entries of a tenant as leaves of a Merkle tree, see package audit. An entry is written without a
// place, in the transaction of what it is about; one elected process gives it its place afterwards.
type Log interface {
	// SequenceAudit gives places to entries that have none, up to n of each of some tenants, and adds their leaves to the trees. It says how
	// many it placed, and whether some still wait. A tenant whose log cannot go on does not hold up the others: its error comes with what was
	// placed of theirs. It begins no new tenant after a second. Only the elected process calls it; two at once do no harm.
	SequenceAudit(ctx context.Context, n int) (placed int, more bool, err error)
	// AuditBacklog says how many entries wait for their place, and since when the oldest.
	AuditBacklog(ctx context.Context) (waiting int64, oldest time.Time, err error)
	// LogHeads gives the heads of all tenants that have a log.
	LogHeads(ctx context.Context) ([]LogHead, error)
	LogHead(ctx context.Context, tenant string) (LogHead, error) // ErrNotFound while the log is empty
	// LogHashes gives the tree's kept hashes at these indexes (tlog.StoredHashIndex), in their order; nil where there is none.
	LogHashes(ctx context.Context, tenant string, indexes []int64) ([][]byte, error)
	// LogEntries gives up to n entries from a place on, in order of their places.
	LogEntries(ctx context.Context, tenant string, from int64, n int) ([]LoggedEntry, error)
	// LogWaiting gives up to n entries that have no place yet, by id, after an id.
	LogWaiting(ctx context.Context, tenant, after string, n int) ([]LoggedEntry, error)
	LogEntry(ctx context.Context, tenant, id string) (LoggedEntry, error)
	// LogEntriesAbout gives the first n entries with a target, by id.
	LogEntriesAbout(ctx context.Context, tenant, target string, n int) ([]LoggedEntry, error)

	// Logged lists every revision of every site, policy and enrolment, and every consent, mark and row of the other kinds, by kind, name and
	// revision. Enrolments of which nothing is left (the subject was erased) are not among them.
	Logged(ctx context.Context, tenant string) ([]Logged, error)

	// PutCheckpoint keeps a signed head; one of the same size that is there stays.
	PutCheckpoint(ctx context.Context, c Checkpoint) error
	// Checkpoint gives the newest one whose size is at least least; ErrNotFound.
	Checkpoint(ctx context.Context, tenant string, least int64) (Checkpoint, error)
	// Checkpoints gives up to n, by size, after a size.
	Checkpoints(ctx context.Context, tenant string, after int64, n int) ([]Checkpoint, error)

	// LogKey gives the tenant's key; ErrNotFound.
	LogKey(ctx context.Context, tenant string) (LogKey, error)
	// CreateLogKey keeps a key unless there is one, and gives the one that is kept.
	CreateLogKey(ctx context.Context, k LogKey) (LogKey, error)
}
