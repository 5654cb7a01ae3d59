package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"onsite/pipeline/verify"
)

// Loaded is the latency where clips come at random (exponential gaps, a fixed seed) at a share of the throughput that was measured before. It
// counts from when a clip should have come, whether or not anybody was free to take it.
type Loaded struct {
	Share       float64 `json:"share"`
	ArrivalsPS  float64 `json:"arrivals_per_s"`
	Arrivals    int     `json:"arrivals"`
	P50MS       float64 `json:"p50_ms"`
	P95MS       float64 `json:"p95_ms"`
	P99MS       float64 `json:"p99_ms"`
	P99ToMedian float64 `json:"p99_to_median"`
}

// underLoad lets clips come at share of perS clips a second; o.Workers take them in turn.
func underLoad(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared, perS float64) (*Loaded, error) {
	if o.Load <= 0 || perS <= 0 {
		return nil, nil //nolint:nilnil // not asked for
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rate, n := o.Load*perS, max(o.Arrivals, 1)
	type arrival struct {
		j  *prepared
		at time.Time
	}
	queue := make(chan arrival, n) // never full: nobody waits to come
	var mu sync.Mutex
	var latency []float64
	var wait sync.WaitGroup
	for range max(1, o.Workers) {
		wait.Go(func() {
			for a := range queue {
				if ctx.Err() != nil {
					continue
				}
				if _, err := v.Run(ctx, a.j.job); err != nil {
					cancel(fmt.Errorf("bench: verify %s: %w", a.j.job.Media.Name(), err))
					continue
				}
				mu.Lock()
				latency = append(latency, ms(time.Since(a.at)))
				mu.Unlock()
			}
		})
	}
	r := rand.New(rand.NewPCG(7, 0)) //nolint:gosec // G404: arrivals, the same in every run
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; i < n && ctx.Err() == nil; i++ {
		due = due.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
			queue <- arrival{jobs[r.IntN(len(jobs))], due}
		case <-ctx.Done():
		}
	}
	close(queue)
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	l := &Loaded{Share: o.Load, ArrivalsPS: rate, Arrivals: len(latency), P50MS: quantile(latency, .5), P95MS: quantile(latency, .95), P99MS: quantile(latency, .99)}
	if l.P50MS > 0 {
		l.P99ToMedian = l.P99MS / l.P50MS
	}
	return l, nil
}
