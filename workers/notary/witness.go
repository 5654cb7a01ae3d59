package notary

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"onsite/results"
	"onsite/results/audit"
	"onsite/results/object"
)

// Witness keeps checkpoints where whoever can change the results store cannot.
type Witness interface {
	// Tell gives it a tenant's newest checkpoint. The same one may come again.
	Tell(ctx context.Context, c results.Checkpoint) error
	// Name says which one it is, without secrets.
	Name() string
}

// patience bounds one telling.
const patience = 5 * time.Second

// teller tells one witness what it does not know yet. What it knows is this process's own memory, so that after a start it is told once more.
type teller struct {
	Witness
	told  map[string]int64 // tenant -> size
	heads chan []results.LogHead
	late  chan error // of a telling that outlasted our patience; nil: none
}

// hand gives the newest heads; older ones that still wait are dropped.
func (t *teller) hand(heads []results.LogHead) {
	select {
	case <-t.heads:
	default:
	}
	select {
	case t.heads <- heads:
	default: // somebody else was quicker; only tests have one
	}
}

// serve tells a witness until ctx ends.
func (n *Notary) serve(ctx context.Context, t *teller) {
	log := n.saying("a witness of the audit log does not follow", "a witness of the audit log follows again", "witness", t.Name())
	for {
		select {
		case <-ctx.Done():
			return
		case heads := <-t.heads:
			if err := n.tell(ctx, t, heads); ctx.Err() == nil {
				log(err)
			}
		}
	}
}

// tell tells a witness of the newest checkpoints that it does not know yet. One that fails is told again with the next heads.
func (n *Notary) tell(ctx context.Context, t *teller, heads []results.LogHead) error {
	var errs []error
	for _, h := range heads {
		if t.told[h.Tenant] >= h.Signed {
			continue
		}
		c, err := n.newest(ctx, h.Tenant, t.told[h.Tenant]+1)
		if errors.Is(err, results.ErrNotFound) {
			continue
		}
		if err != nil { // of the store, or of this tenant: not the witness's fault
			errs = append(errs, err)
			continue
		}
		err = t.ask(ctx, c)
		if err == nil {
			n.Metrics.told("told")
			t.told[h.Tenant] = c.Size
			continue
		}
		errs = append(errs, fmt.Errorf("tell the witness %s: %w", t.Name(), err))
		if errors.Is(err, ErrConflict) {
			n.Metrics.told("conflict")
			continue
		}
		n.Metrics.told("failed")
		break // it is away: the other tenants' checkpoints wait for it, too
	}
	return errors.Join(errs...)
}

// newest gives a tenant's newest checkpoint; one that the log's key did not sign is not told to anybody.
func (n *Notary) newest(ctx context.Context, tenant string, least int64) (results.Checkpoint, error) {
	c, err := n.Store.Checkpoint(ctx, tenant, least)
	if err != nil {
		return c, err
	}
	k, err := n.Store.LogKey(ctx, tenant)
	if err != nil {
		return c, err
	}
	if _, err := audit.Open(c.Note, k.Public); err != nil {
		return c, fmt.Errorf("the checkpoint that is kept for %d entries of tenant %s is not told: %w", c.Size, tenant, err)
	}
	return c, nil
}

// ask tells a witness with bounded patience, also one that does not look at its context (a disk that hangs): then it is left alone until it
// comes back.
func (t *teller) ask(ctx context.Context, c results.Checkpoint) error {
	if t.late != nil {
		select {
		case <-t.late: //nolint:errcheck // too late to count: it is told again
			t.late = nil
		default:
			return errLate
		}
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- t.Tell(limited, c)
	}()
	select {
	case err := <-done:
		return err
	case <-limited.Done():
	}
	select {
	case err := <-done: // both at once
		return err
	default:
		t.late = done
		return errLate
	}
}

var errLate = fmt.Errorf("it does not answer within %s", patience)

func (m *Metrics) told(result string) {
	if m != nil {
		m.witness.WithLabelValues(result).Inc()
	}
}

// Keeper keeps objects; object.Store is one.
type Keeper interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	Get(ctx context.Context, key string) (io.ReadCloser, error) // object.ErrNotFound
}

// Shelf is a witness that is a folder or a bucket of its own: every checkpoint is an object <tenant>/checkpoint/<size>, the size with 12
// digits so that names sort. What lies there is never written over: a second one of the same size is kept beside it, as <size>-<root>
// with the first 16 hex digits of its root, and Tell gives ErrConflict.
type Shelf struct {
	Objects Keeper
	Called  string
}

// ErrConflict says that a witness has another checkpoint of that size: the log was rewritten, or there are two.
var ErrConflict = errors.New("the witness has another checkpoint of the same size: the audit log was rewritten, or there are two; both are kept, run \"onsite audit verify\" with --witness")

// maxNote bounds what is read of a shelf in bytes; a checkpoint has four lines.
const maxNote = 64 << 10

// Name is Witness.
func (s Shelf) Name() string { return s.Called }

// Tell is Witness.
func (s Shelf) Tell(ctx context.Context, c results.Checkpoint) error {
	key := fmt.Sprintf("%s/checkpoint/%012d", c.Tenant, c.Size)
	same, err := s.put(ctx, key, c.Note)
	if same || err != nil {
		return err
	}
	h, err := audit.ParseHead(c.Note)
	if err != nil {
		return err
	}
	// The same root under another signature is told apart by the whole text.
	for _, tail := range []string{hex.EncodeToString(h.Root[:8]), results.Sum([]byte(c.Note))} {
		beside := key + "-" + tail
		same, err := s.put(ctx, beside, c.Note)
		if err != nil {
			return errors.Join(ErrConflict, err)
		}
		if same {
			return fmt.Errorf("%w: %s and %s", ErrConflict, key, beside)
		}
	}
	return fmt.Errorf("%w: %s, and the new one found no place beside it", ErrConflict, key)
}

// put keeps a text unless something is there, and says whether that is the same.
func (s Shelf) put(ctx context.Context, key, text string) (same bool, err error) {
	r, err := s.Objects.Get(ctx, key)
	if errors.Is(err, object.ErrNotFound) {
		return true, s.Objects.Put(ctx, key, strings.NewReader(text), int64(len(text)))
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	there, err := io.ReadAll(io.LimitReader(r, maxNote))
	return string(there) == text, err
}

// Post is a witness that takes checkpoints over HTTP: the note as text/plain, any status of 200 to 299 is a receipt.
type Post struct {
	URL    string
	Client *http.Client
}

// Name is Witness: scheme and host only, for user, path and query may be secrets.
func (p Post) Name() string {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" {
		return "audit.witness_url"
	}
	return u.Scheme + "://" + u.Host
}

// Tell is Witness.
func (p Post) Tell(ctx context.Context, c results.Checkpoint) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader([]byte(c.Note)))
	if err != nil {
		return errors.New("audit.witness_url is no URL") // the error would repeat it
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	r.Header.Set("Onsite-Tenant", c.Tenant)
	answer, err := p.Client.Do(r)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err // without the URL
		}
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", answer.Status)
	}
	return nil
}
