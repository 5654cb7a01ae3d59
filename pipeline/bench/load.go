package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"onsite/pipeline/verify"
)

// Spacing says how clips come.
type Spacing string

// The spacings.
const (
	SpacingRandom Spacing = "random" // exponential gaps, as if people came independently of each other
	SpacingEven   Spacing = "even"   // equal gaps
)

// Loaded is the latency where clips come at a share of the throughput that was measured before: an open loop, so that a slow clip keeps no
// other from coming. It counts from when a clip should have come, whether or not anybody was free to take it. The gaps have a fixed seed.
type Loaded struct {
	Share       float64 `json:"share"`
	Spacing     Spacing `json:"spacing"`
	ArrivalsPS  float64 `json:"arrivals_per_s"`
	Arrivals    int     `json:"arrivals"`
	P50MS       float64 `json:"p50_ms"`
	P95MS       float64 `json:"p95_ms"`
	P99MS       float64 `json:"p99_ms"`
	P99ToMedian float64 `json:"p99_to_median"`
	ServiceMS   float64 `json:"service_ms"` // median time of a clip once somebody took it
	// Queue is the same arrivals at as many servers as there were workers, where each clip takes what it took here in the median: what queueing
	// alone makes of these times. What lies between it and the figures above is what the pipeline adds. Steady is the same for very many arrivals.
	Queue  Queue `json:"queue"`
	Steady Queue `json:"queue_steady"`
}

// Queue is what a simulated queue gives.
type Queue struct {
	P50MS       float64 `json:"p50_ms"`
	P99MS       float64 `json:"p99_ms"`
	P99ToMedian float64 `json:"p99_to_median"`
}

// arrival is a clip, and when it comes.
type arrival struct {
	clip int // which of the clips
	at   time.Duration
}

// arrivals plans n arrivals of clips, rate a second.
func arrivals(n, clips int, rate float64, s Spacing) []arrival {
	r := rand.New(rand.NewPCG(7, 0)) //nolint:gosec // G404: the same in every run
	out := make([]arrival, n)
	var at float64 // seconds
	for i := range out {
		gap := r.ExpFloat64() // drawn for both, so that the clips are the same
		if s == SpacingEven {
			gap = 1
		}
		at += gap / rate
		out[i] = arrival{r.IntN(clips), time.Duration(at * float64(time.Second))}
	}
	return out
}

// queue lets arrivals wait for the first free of some servers, in order, and gives the latencies in ms. service is what each clip takes.
func queue(list []arrival, servers int, service []time.Duration) []float64 {
	free := make([]time.Duration, max(servers, 1)) // when each is
	out := make([]float64, len(list))
	for i, a := range list {
		first := 0
		for k := range free {
			if free[k] < free[first] {
				first = k
			}
		}
		free[first] = max(free[first], a.at) + service[a.clip]
		out[i] = ms(free[first] - a.at)
	}
	return out
}

// queueOf gives the quantiles of a queue.
func queueOf(latency []float64) Queue {
	q := Queue{P50MS: quantile(latency, .5), P99MS: quantile(latency, .99)}
	q.P99ToMedian = ratio(q.P99MS, q.P50MS)
	return q
}

// steadyArrivals is how many arrivals give a steady queue's p99 within some percent.
const steadyArrivals = 200_000

// underLoad lets clips come at a share of perS clips a second; o.Workers take them in turn.
func underLoad(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared, perS float64) (*Loaded, error) {
	if o.Load <= 0 || perS <= 0 {
		return nil, nil //nolint:nilnil // not asked for
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rate, workers := o.Load*perS, max(1, o.Workers)
	list := arrivals(max(o.Arrivals, 1), len(jobs), rate, o.Spacing)
	came := make(chan arrival, len(list)) // never full: nobody waits to come
	var mu sync.Mutex
	var latency, all []float64
	service := newSeries(len(jobs))
	var wait sync.WaitGroup
	began := time.Now()
	for range workers {
		wait.Go(func() {
			for a := range came {
				if ctx.Err() != nil {
					continue
				}
				taken := time.Now()
				if _, err := v.Run(ctx, jobs[a.clip].job); err != nil {
					cancel(fmt.Errorf("bench: verify %s: %w", jobs[a.clip].job.Media.Name(), err))
					continue
				}
				mu.Lock()
				latency, all = append(latency, ms(time.Since(began)-a.at)), append(all, ms(time.Since(taken)))
				service.add(a.clip, ms(time.Since(taken)))
				mu.Unlock()
				o.ran.one()
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, a := range list {
		timer.Reset(time.Until(began.Add(a.at)))
		select {
		case <-timer.C:
			came <- a
		case <-ctx.Done():
		}
	}
	close(came)
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	each := make([]time.Duration, len(jobs))
	for i, list := range service {
		if len(list) == 0 { // none of this clip came
			list = all
		}
		each[i] = time.Duration(quantile(list, .5) * float64(time.Millisecond))
	}
	l := &Loaded{
		Share: o.Load, Spacing: o.Spacing, ArrivalsPS: rate, Arrivals: len(latency), P50MS: quantile(latency, .5), P95MS: quantile(latency, .95),
		P99MS: quantile(latency, .99), ServiceMS: quantile(all, .5), Queue: queueOf(queue(list, workers, each)),
		Steady: queueOf(queue(arrivals(steadyArrivals, len(jobs), rate, o.Spacing), workers, each)),
	}
	l.P99ToMedian = ratio(l.P99MS, l.P50MS)
	return l, nil
}

// ratio is a over b; 0 where there is no b.
func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}
