package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"onsite/results"
)

// Idempotency is part of the input of operations that start a job.
type Idempotency struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$" doc:"a name of your own for this request: sent again with the same body it gives the same answer, with another body 422"`
}

// bodySum identifies what was sent under an idempotency key: the operation and its parts.
func bodySum(operation string, parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{operation}, parts...) {
		sum := sha256.Sum256([]byte(p))
		_, _ = h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// objectKey is the idempotency key of an object for which the client sent none, so that an object posted twice is one job. Names of ours
// cannot be a client's: theirs have no tilde.
func objectKey(src results.Source) string {
	return "~object~" + bodySum(opSubmit, src.Bucket, src.Key, cmp.Or(src.Version, src.ETag))
}

// reserveFor is how long an Idempotency-Key is kept from others while an upload streams in. It is renewed as long as we live: after a crash
// the client need not wait for longer than this.
const reserveFor = 30 * time.Second

// reservation is an idempotency key that is kept while an upload runs. The zero one keeps none.
type reservation struct {
	server      *Server
	ctx         context.Context
	tenant, key string
	stop        context.CancelFunc
	renewed     sync.WaitGroup
}

// reserve keeps an idempotency key until end. used says that a job was accepted under it before: the upload is read all the same, since the
// key with another body is a fault that must be told.
func (s *Server) reserve(ctx context.Context, key string) (r *reservation, used bool, err error) {
	r = &reservation{server: s, ctx: ctx, tenant: PrincipalOf(ctx).Tenant, key: key}
	if key == "" {
		return r, false, nil
	}
	earlier, err := s.Store.Reserve(ctx, r.tenant, key, s.Store.Now().Add(reserveFor))
	if err != nil {
		return nil, false, fmt.Errorf("reserve the idempotency key: %w", err)
	}
	if earlier != "" {
		return r, true, nil
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.renewed.Go(func() { r.renew(ctx) })
	return r, false, nil
}

func (r *reservation) renew(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(r.server.renewEvery, reserveFor/3))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// An upload whose key is not kept is still accepted once, by the key's own transaction at its end.
		if err := r.server.Store.Prolong(ctx, r.tenant, r.key, r.server.Store.Now().Add(reserveFor)); err != nil && !errors.Is(err, context.Canceled) {
			r.server.Log.WarnContext(ctx, "an idempotency key was not kept for longer", "request", RequestID(ctx), "error", err.Error())
		}
	}
}

// end stops renewing. A key that nothing was accepted under runs out by itself.
func (r *reservation) end() {
	if r.stop != nil {
		r.stop()
		r.renewed.Wait()
	}
}

// release gives the key back because nothing was accepted under it.
func (r *reservation) release() {
	if r.stop == nil {
		return
	}
	r.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), cleanTimeout)
	defer cancel()
	if err := r.server.Store.Unreserve(ctx, r.tenant, r.key); err != nil {
		r.server.Log.WarnContext(ctx, "an idempotency key stays reserved until its time is over", "request", RequestID(ctx), "error", err.Error())
	}
}
