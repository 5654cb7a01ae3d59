package notary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"onsite/results"
)

// Witness keeps checkpoints where whoever can change the results store cannot.
type Witness interface {
	// Tell gives it a tenant's newest checkpoint. The same one may come again.
	Tell(ctx context.Context, c results.Checkpoint) error
	// Name says which one it is, without secrets.
	Name() string
}

// patience bounds one telling; the log waits for it.
const patience = 5 * time.Second

// tell tells every witness of the checkpoints that it does not know yet. A witness that fails is told again with the next look; what
// it knows is this process's own memory, so that after a start each is told once more.
func (n *Notary) tell(ctx context.Context, heads []results.LogHead) error {
	var errs []error
	for _, w := range n.Witnesses {
		for _, h := range heads {
			at := w.Name() + "\x00" + h.Tenant
			if n.told[at] >= max(h.Signed, 1) && h.Size == h.Signed {
				continue
			}
			c, err := n.Store.Checkpoint(ctx, h.Tenant, n.told[at]+1)
			if errors.Is(err, results.ErrNotFound) {
				continue
			}
			if err == nil {
				limited, cancel := context.WithTimeout(ctx, patience)
				err = w.Tell(limited, c)
				cancel()
			}
			if err != nil {
				n.Metrics.told("failed")
				errs = append(errs, fmt.Errorf("tell the witness %s: %w", w.Name(), err))
				break // it is away: the other tenants' checkpoints wait for it, too
			}
			n.Metrics.told("told")
			n.told[at] = c.Size
		}
	}
	return errors.Join(errs...)
}

func (m *Metrics) told(result string) {
	if m != nil {
		m.witness.WithLabelValues(result).Inc()
	}
}

// Putter keeps objects; object.Store is one.
type Putter interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
}

// Shelf is a witness that is a folder or a bucket of its own: every checkpoint is an object <tenant>/checkpoint/<size>, the size with 12
// digits so that names sort.
type Shelf struct {
	Objects Putter
	Called  string
}

// Name is Witness.
func (s Shelf) Name() string { return s.Called }

// Tell is Witness.
func (s Shelf) Tell(ctx context.Context, c results.Checkpoint) error {
	return s.Objects.Put(ctx, fmt.Sprintf("%s/checkpoint/%012d", c.Tenant, c.Size), strings.NewReader(c.Note), int64(len(c.Note)))
}

// Post is a witness that takes checkpoints over HTTP: the note as text/plain, any status of 200 to 299 is a receipt.
type Post struct {
	URL    string
	Client *http.Client
}

// Name is Witness. The URL's query may be a secret.
func (p Post) Name() string {
	name, _, _ := strings.Cut(p.URL, "?")
	return name
}

// Tell is Witness.
func (p Post) Tell(ctx context.Context, c results.Checkpoint) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader([]byte(c.Note)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	r.Header.Set("Onsite-Tenant", c.Tenant)
	answer, err := p.Client.Do(r)
	if err != nil {
		return errors.Unwrap(err) // without the URL
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
