package results

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// What the audit log says of rows that hold one state and no revisions: the newest entry about one has the digest of what the row is since then.

// digestOf is the Sum of the JSON of a list of columns.
func digestOf(what string, columns ...any) string {
	for i, c := range columns {
		if t, ok := c.(time.Time); ok {
			columns[i] = int64(0)
			if !t.IsZero() {
				columns[i] = t.UnixMilli()
			}
		}
	}
	b, err := json.Marshal(columns)
	if err != nil { // texts, numbers and lists of them
		panic(fmt.Sprintf("write %s: %v", what, err))
	}
	return Sum(b)
}

// Digest is what the audit log says of a tenant's settings.
func (t Tenant) Digest() string { return digestOf("settings", t.ID, t.Settings, t.Rev) }

// settingsTarget is what the entry of a change of settings names: for how many days verdicts, media, keyframes and fingerprints are kept.
const settingsTarget = LoggedSettings + " verdict_days=%d media_days=%d keyframe_days=%d print_days=%d"

// Target is what the entry of a change of settings names: for how many days what belongs to a job is kept from then on. What is deleted in its
// time is told by that from what was removed.
func (s Settings) Target() string {
	s = s.Filled()
	return fmt.Sprintf(settingsTarget, s.VerdictDays, s.MediaDays, s.KeyframeDays, s.PrintDays)
}

// KeptOf reads a Target: settings with nothing but those days, in which 0 is a number that an earlier program did not write down.
func KeptOf(target string) Settings {
	var s Settings
	_, _ = fmt.Sscanf(target, settingsTarget, &s.VerdictDays, &s.MediaDays, &s.KeyframeDays, &s.PrintDays) // as far as it goes
	return s
}

// Digest is what the audit log says of an API key.
func (k APIKey) Digest() string {
	return digestOf("an API key", k.ID, k.Name, k.Roles, hex.EncodeToString(k.SHA256), k.CreatedAt, k.ExpiresAt, k.RevokedAt)
}

// Digest is what the audit log says of a webhook's receiver. That it was disabled is not part of it: a receiver does that itself, by answering
// that it is gone.
func (e Endpoint) Digest() string { return digestOf("a webhook", e.ID, e.URL, e.Events, Sum(e.Keys)) }

// Place names a mapping in the audit log.
func (m BucketMap) Place() string { return m.Bucket + "/" + m.Prefix }

// Digest is what the audit log says of a mapping.
func (m BucketMap) Digest() string { return digestOf("a mapping", m.Bucket, m.Prefix, m.CreatedAt) }

// Digest is what the audit log says of a subject's row. Its revision is that of the photos, which have entries of their own.
func (s Subject) Digest() string { return digestOf("a subject", s.ID, s.Label, s.CreatedAt) }

// Digest is what the audit log says of a challenge as it was issued.
func (c Challenge) Digest() string {
	return digestOf("a challenge", c.ID, c.Subject, c.Policy, string(c.Doc), c.Actor, c.IssuedAt)
}
