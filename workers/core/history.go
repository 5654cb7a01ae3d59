package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

// MaxPrint bounds a stored fingerprint, in bytes; the reader has the same bound.
const MaxPrint = 4 << 20

const (
	maxPicture = 2 << 20 // bytes of a stored keyframe
	readAtOnce = 8       // fingerprints that one job reads at a time
)

// history is the earlier footage of one job: that of jobs that were accepted before it, in its policy's scope, as the store held it when
// the attempt began.
type history struct {
	*Core
	job   string
	scope results.Scope
	alike policy.Scope // whose footage is searched by its frames; empty: the scope's
	asOf  int64
	marks marks
	cut   bool // there is more in scope than Candidates gave

	flooded int // pictures that are like very many others, and were not looked for

	mu      sync.Mutex
	sound   map[string]bool // subjects whose consent to sound was looked for
	missing int
	away    error // ends the attempt: nobody may be told "review" because the store was away for a moment
}

var _ reuse.Wide = (*history)(nil)

// scopeOf says which earlier footage a policy compares a submission with. The zero policy has the usual history.
func scopeOf(s results.Submission, p policy.Policy) results.Scope {
	h := p.History.Filled()
	return results.Scope{
		Tenant: s.Tenant, Subject: s.Subject, Site: s.Site, Kind: string(h.Scope), Newest: *h.Newest, Since: s.ReceivedAt.AddDate(0, 0, -*h.Days),
	}
}

// Candidates lists the fingerprints in scope. Those that cannot be read are counted; those that were erased or have expired since they
// were listed are no history any more.
func (h *history) Candidates(ctx context.Context) ([]reuse.Candidate, error) {
	rows, err := h.Store.Prints(ctx, h.scope, h.job, h.asOf)
	if err != nil {
		return nil, h.broken(fmt.Errorf("list earlier footage: %w", err))
	}
	h.cut = h.scope.Newest > 0 && len(rows) >= h.scope.Newest
	found := make([]reuse.Candidate, len(rows))
	there := make([]bool, len(rows))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readAtOnce)
	for i, row := range rows {
		g.Go(func() error {
			f, ok, err := h.read(gctx, row)
			found[i], there[i] = reuse.Candidate{Job: row.Job, SHA256: row.SHA256, Fingerprint: f, OtherSubject: row.Subject != h.scope.Subject, Mark: h.marks.pairs[row.Job]}, ok
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, h.broken(err)
	}
	out := found[:0]
	for i, ok := range there {
		if ok {
			out = append(out, found[i])
		}
	}
	return out, nil
}

// Twin finds the same bytes in the whole tenant, also where the fingerprint itself cannot be read any more. A pair that was marked as no
// copy is none of it: it would hide the next one.
func (h *history) Twin(ctx context.Context, file, packets string) (reuse.Candidate, bool, error) {
	row, err := h.Store.SameBytes(ctx, h.scope.Tenant, h.job, h.asOf, file, packets, h.marks.others())
	switch {
	case errors.Is(err, results.ErrNotFound):
		return reuse.Candidate{}, false, nil
	case err != nil:
		return reuse.Candidate{}, false, h.broken(fmt.Errorf("look for earlier footage with the same bytes: %w", err))
	}
	c := reuse.Candidate{Job: row.Job, SHA256: row.SHA256, Fingerprint: reuse.Fingerprint{SHA256: row.SHA256, PacketsSHA256: row.Packets}, OtherSubject: row.Subject != h.scope.Subject}
	f, err := h.permitted(ctx, row, h.soundOf)
	switch {
	case err == nil:
		c.Fingerprint = f
	case passing(ctx, err):
		return reuse.Candidate{}, false, h.broken(err)
	}
	return c, true, nil
}

// read gives one fingerprint; false without an error where it is no history any more, or cannot be read.
func (h *history) read(ctx context.Context, row results.Print) (reuse.Fingerprint, bool, error) {
	f, err := h.permitted(ctx, row, h.soundOf)
	if err == nil {
		return f, true, nil
	}
	if passing(ctx, err) {
		return reuse.Fingerprint{}, false, err
	}
	if _, perr := h.Store.Print(ctx, row.Tenant, row.Job); errors.Is(perr, results.ErrNotFound) || errors.Is(perr, results.ErrErased) {
		return reuse.Fingerprint{}, false, nil
	} else if perr != nil {
		return reuse.Fingerprint{}, false, perr
	}
	h.Logger.Warn("earlier footage cannot be read", "job", h.job, "earlier", row.Job, "error", err)
	h.mu.Lock()
	h.missing++
	h.mu.Unlock()
	return reuse.Fingerprint{}, false, nil
}

// lasting are errors about what was asked for: asking again changes nothing. Any other is about the moment or the installation.
var lasting = []error{object.ErrNotFound, vault.ErrForged, vault.ErrLong, reuse.ErrFormat, results.ErrErased}

// passing says that an error is about the moment or the installation, not about what was asked for.
func passing(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if all, ok := e.(interface{ Unwrap() []error }); ok {
			return slices.ContainsFunc(all.Unwrap(), func(part error) bool { return passing(ctx, part) })
		}
	}
	return !slices.ContainsFunc(lasting, func(l error) bool { return errors.Is(err, l) })
}

// fingerprint reads a stored fingerprint, from memory where it was read before.
func (c *Core) fingerprint(ctx context.Context, row results.Print) (reuse.Fingerprint, error) {
	f, release, err := c.prints.take(ctx, printKey(row), func(ctx context.Context) (reuse.Fingerprint, int64, error) {
		var f reuse.Fingerprint
		if !reuse.Reads(row.Format) {
			return f, 0, fmt.Errorf("fingerprint of job %s: %w: version %d, this program writes %d", row.Job, reuse.ErrFormat, row.Format, reuse.FormatVersion)
		}
		raw, err := c.Vault.Read(ctx, row.Key, MaxPrint)
		if err != nil {
			return f, 0, fmt.Errorf("read the fingerprint of job %s: %w", row.Job, err)
		}
		if err := f.UnmarshalBinary(raw); err != nil {
			return f, 0, fmt.Errorf("read the fingerprint of job %s: %w", row.Job, err)
		}
		return f, int64(f.Bytes()), nil
	})
	if err != nil {
		return reuse.Fingerprint{}, err
	}
	release() // it is only read, and the collector frees it
	return f, nil
}

// permitted is a stored fingerprint without the sound where nobody may listen to its subject any more: a withdrawn consent holds for what was
// made before it, too.
func (c *Core) permitted(ctx context.Context, row results.Print, sound func(ctx context.Context, tenant, subject string) (bool, error)) (reuse.Fingerprint, error) {
	f, err := c.fingerprint(ctx, row)
	if err != nil || len(f.Audio.Subs) == 0 {
		return f, err
	}
	if ok, err := sound(ctx, row.Tenant, row.Subject); err != nil {
		return reuse.Fingerprint{}, fmt.Errorf("compare the sound of job %s: %w", row.Job, err)
	} else if !ok {
		f.Audio = reuse.Audio{} // of this copy: the one in memory stays as it was read
	}
	return f, nil
}

func (c *Core) soundConsent(ctx context.Context, tenant, subject string) (bool, error) {
	return c.Store.Consented(ctx, tenant, subject, results.PurposeSound)
}

// soundOf is the same, asked once for a job and a subject.
func (h *history) soundOf(ctx context.Context, tenant, subject string) (bool, error) {
	h.mu.Lock()
	ok, known := h.sound[subject]
	h.mu.Unlock()
	if known {
		return ok, nil
	}
	ok, err := h.soundConsent(ctx, tenant, subject)
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sound == nil {
		h.sound = map[string]bool{}
	}
	h.sound[subject] = ok
	return ok, nil
}

func printKey(p results.Print) string { return strings.Join([]string{p.Tenant, p.Subject, p.Job}, "|") }

func isOf(key, tenant, subject string) bool { return strings.HasPrefix(key, tenant+"|"+subject+"|") }

// broken notes an error that ends the attempt.
func (h *history) broken(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away == nil {
		h.away = err
	}
	return err
}

// ended gives the error that ends the attempt, nil if there is none.
func (h *history) ended() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

// Earlier gives the fingerprints' bytes; the reuse check asks for Candidates instead.
func (h *history) Earlier(ctx context.Context) ([]pipeline.Earlier, error) {
	found, err := h.Candidates(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]pipeline.Earlier, len(found))
	for i, c := range found {
		raw, err := c.Fingerprint.MarshalBinary()
		if err != nil {
			return nil, err
		}
		out[i] = pipeline.Earlier{Job: c.Job, SHA256: c.SHA256, Fingerprint: raw}
	}
	return out, nil
}

// Missing is how much earlier footage could not be read.
func (h *history) Missing() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.missing
}

// AsOf is the position that the attempt began at.
func (h *history) AsOf() int64 { return h.asOf }

// Picture gives the stored keyframe of an earlier job that is nearest to a time. Other people are blurred in it since it was made.
func (h *history) Picture(ctx context.Context, job string, atMS int64) ([]byte, error) {
	row, err := h.Store.Verdict(ctx, h.scope.Tenant, job, 1)
	if err != nil {
		return nil, fmt.Errorf("picture of earlier job %s: %w", job, err)
	}
	var v pipeline.Verdict
	if err := json.Unmarshal(row.Body, &v); err != nil {
		return nil, fmt.Errorf("picture of earlier job %s: read its verdict: %w", job, err)
	}
	at := map[int]time.Duration{}
	for _, k := range v.Media.Keyframes {
		at[k.Index] = time.Duration(k.PTSMS-atMS) * time.Millisecond
	}
	stored, err := h.Store.Evidence(ctx, h.scope.Tenant, job)
	if err != nil {
		return nil, fmt.Errorf("picture of earlier job %s: %w", job, err)
	}
	var best *results.Evidence
	for i, e := range stored {
		if off, ok := at[e.Index]; ok && e.Kind == evidenceKeyframe && (best == nil || off.Abs() < at[best.Index].Abs()) {
			best = &stored[i]
		}
	}
	if best == nil {
		return nil, fmt.Errorf("picture of earlier job %s: %w", job, results.ErrNotFound)
	}
	raw, err := h.Vault.Read(ctx, best.Key, maxPicture)
	if err != nil {
		return nil, fmt.Errorf("picture of earlier job %s: %w", job, err)
	}
	return raw, nil
}
