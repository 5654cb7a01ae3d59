package archive

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"onsite/pipeline/reuse/index"
)

// MinToken is the least length of the token that workers show each other, in bytes.
const MinToken = 16

// refusal is why a question is not answered. Whoever asked reads the store instead.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// Handler answers other workers' questions to the shard that this one holds. Each must bring the token.
func (a *Archive) Handler() (http.Handler, error) {
	switch {
	case a.Index == nil || a.Index.Shard().Whole():
		return nil, errors.New("answer for a shard of the reuse index: this worker holds none; set worker.index_shard")
	case len(a.Token) < MinToken:
		return nil, fmt.Errorf("answer for a shard of the reuse index: the token has %d characters, %d or more are needed; set worker.index_token", len(a.Token), MinToken)
	}
	want := sha256.Sum256([]byte(a.Token))
	work := make(chan struct{}, runtime.GOMAXPROCS(0)) // more searches at once are no quicker, and jobs want the cores, too
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+partPath, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Now().Add(a.Timeout)) // what cannot have one is no connection
		_ = c.SetWriteDeadline(time.Now().Add(2 * a.Timeout))
		raw, err := func() ([]byte, error) {
			have := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
			if subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
				return nil, refusal{http.StatusUnauthorized, "the token is another one: set the same worker.index_token everywhere"}
			}
			body, err := read(w, r)
			_ = c.SetReadDeadline(time.Time{}) // else the connection ends in the middle of the answer
			if err != nil {
				return nil, err
			}
			return a.answer(r.Context(), body, work)
		}()
		var no refusal
		switch {
		case err == nil:
			a.Metrics.answered(http.StatusOK)
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(raw) // who asked is gone, then
			return
		case r.Context().Err() != nil:
			no = refusal{http.StatusServiceUnavailable, "who asked is gone"}
		case !errors.As(err, &no):
			a.Logger.Warn("another worker's question to the reuse index could not be answered", "error", err)
			no = refusal{http.StatusServiceUnavailable, "the shard cannot answer; its own log says why"}
		}
		a.Metrics.answered(no.status)
		http.Error(w, no.text, no.status)
	})
	return mux, nil
}

// read reads a question.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, index.MaxAskBytes))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("a question has at most %d bytes", index.MaxAskBytes)}
	case err != nil:
		return nil, refusal{http.StatusBadRequest, "the question did not arrive"}
	}
	return body, nil
}

// answer answers one question.
func (a *Archive) answer(ctx context.Context, body []byte, work chan struct{}) ([]byte, error) {
	q, to, err := index.DecodeQuery(body)
	own := a.Index.Shard()
	switch {
	case err != nil:
		return nil, refusal{http.StatusBadRequest, err.Error()}
	case to != own:
		return nil, refusal{http.StatusConflict, fmt.Sprintf("this worker holds shard %s, not %s", own, to)}
	}
	ok, err := a.reached(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, refusal{http.StatusConflict, "the store of this worker has not reached the position that was asked about: is it the same store?"}
	}
	var part index.Part
	// Whoever asks waits, and can read the store meanwhile: no longer than for a shard that is just ready.
	err = a.level(ctx, q, min(a.Patience, a.Timeout/fillingShare), func() (err error) {
		select {
		case work <- struct{}{}:
			defer func() { <-work }()
		case <-ctx.Done():
			return ctx.Err()
		}
		part, err = a.Index.Part(ctx, q)
		return err
	})
	if errors.Is(err, errUnfilled) {
		return nil, refusal{http.StatusServiceUnavailable, "the shard is being filled"}
	} else if err != nil {
		return nil, err
	}
	return part.AppendBinary(nil)
}

// fillingShare is the part of the time for an answer that is spent on waiting for a shard to be filled.
const fillingShare = 20

// reached says whether the tenant's feed has come to the query's position: an index that believed a later one would pass over what comes
// until then.
func (a *Archive) reached(ctx context.Context, q index.Query) (bool, error) {
	a.mu.Lock()
	t := a.tenants[q.Tenant]
	a.mu.Unlock()
	if t != nil && t.isFilled() {
		if at, err := a.Index.UpTo(q.Tenant); err != nil || at >= q.AsOf {
			return err == nil, err
		}
	}
	at, err := a.Store.Position(ctx, q.Tenant)
	return q.AsOf > 0 && at >= q.AsOf, err
}
