package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"onsite/pipeline/reuse/index"
	"onsite/results"
)

// partPath is where a worker answers for its shard.
const partPath = "/index/part"

// dialFor is how long a connection to another worker may take: they are in one network.
const dialFor = time.Second

// tries is how often a shard is asked: behind a URL there may be several workers, of which one is just going.
const tries = 2

// peer is a shard that other workers hold.
type peer struct {
	shard index.Shard
	url   string
	away  atomic.Bool // as the log says
	tried atomic.Bool // while it is away: somebody waits for its answer
}

// others are the peers of an index that is cut into shards.
func others(o Options) (all []*peer) {
	if o.Index == nil || o.Index.Shard().Whole() {
		return nil
	}
	own := o.Index.Shard()
	for k := 1; k <= own.N; k++ {
		if k == own.K {
			continue
		}
		p := &peer{shard: index.Shard{K: k, N: own.N}}
		if k <= len(o.Peers) {
			p.url = strings.TrimRight(o.Peers[k-1], "/") + partPath
		}
		all = append(all, p)
	}
	return all
}

// newClient makes what asks other workers. It follows no redirect and knows no proxy: the token is for the workers alone.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: dialFor}).DialContext, TLSHandshakeTimeout: dialFor,
			MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// gathered asks all shards at once and brings their parts together. The share of one that does not answer is read from the store.
func (a *Archive) gathered(ctx context.Context, q index.Query) (index.Result, error) {
	own := a.Index.Shard()
	parts := make([]index.Part, own.N)
	missing := make([]bool, own.N)
	if _, err := index.AppendQuery(nil, q, own); err != nil { // what is wrong with it is nobody's outage
		return index.Result{}, err
	}
	var failed error // of our own shard
	var all sync.WaitGroup
	for _, p := range a.peers {
		all.Go(func() {
			var err error
			parts[p.shard.K-1], err = a.ask(ctx, p, q)
			missing[p.shard.K-1] = err != nil
		})
	}
	failed = a.level(ctx, q, a.Patience, func() (err error) {
		parts[own.K-1], err = a.Index.Part(ctx, q)
		return err
	})
	if errors.Is(failed, errUnfilled) {
		missing[own.K-1], failed = true, nil
	}
	all.Wait()
	if failed != nil {
		return index.Result{}, failed
	}
	if err := ctx.Err(); err != nil {
		return index.Result{}, fmt.Errorf("look for hashes: %w", err)
	}
	if err := a.read(ctx, q, missing, parts); err != nil {
		return index.Result{}, err
	}
	return index.Merge(q, parts...)
}

// read reads the parts that are missing from the store's rows, all of them in one go.
func (a *Archive) read(ctx context.Context, q index.Query, missing []bool, parts []index.Part) error {
	scans := map[int]*index.Scan{}
	for n, m := range missing {
		if m {
			s, err := index.NewScan(q)
			if err != nil {
				return err
			}
			scans[n+1] = s
		}
	}
	if len(scans) == 0 {
		return nil
	}
	err := a.instead(ctx, a.tenant(q.Tenant), nil, func(ctx context.Context) error {
		return a.each(ctx, q.Tenant, rowsOf(q), func(rows []results.JobFrames) error {
			for _, c := range a.clips(rows) {
				if s := scans[index.ShardOf(c.Job, len(parts))]; s != nil {
					s.Clip(&c)
				}
			}
			return nil
		})
	})
	for k, s := range scans {
		parts[k-1] = s.Part(index.Shard{K: k, N: len(parts)})
	}
	return err
}

// ask asks another shard.
func (a *Archive) ask(ctx context.Context, p *peer, q index.Query) (index.Part, error) {
	if p.away.Load() { // one search at a time finds out whether it is back: the others would all wait for one that hangs
		if p.tried.Swap(true) {
			a.Metrics.asked(p.shard, false, 0)
			return index.Part{}, errors.New("it is away")
		}
		defer p.tried.Store(false)
	}
	began := time.Now()
	part, err := a.post(ctx, p, q)
	if ctx.Err() != nil { // whoever asked went away: that says nothing about the shard
		return part, err
	}
	a.Metrics.asked(p.shard, err == nil, time.Since(began))
	switch {
	case err != nil && !p.away.Swap(true):
		a.Logger.Warn("a shard of the reuse index does not answer: its share is read from the store until it does", "shard", p.shard.String(), "url", p.url, "error", err)
	case err == nil && p.away.Swap(false):
		a.Logger.Info("a shard of the reuse index answers again", "shard", p.shard.String())
	}
	return part, err
}

func (a *Archive) post(ctx context.Context, p *peer, q index.Query) (index.Part, error) {
	body, err := index.AppendQuery(nil, q, p.shard)
	if err != nil {
		return index.Part{}, err
	}
	if p.url == "" {
		return index.Part{}, errors.New("it has no URL")
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	var part index.Part
	for range tries {
		if part, err = a.postOnce(ctx, p, q, body); err == nil || ctx.Err() != nil {
			break
		}
	}
	return part, err
}

func (a *Archive) postOnce(ctx context.Context, p *peer, q index.Query, body []byte) (index.Part, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return index.Part{}, err
	}
	req.Header.Set("Authorization", "Bearer "+a.Token)
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := a.client.Do(req)
	if err != nil {
		return index.Part{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // a hint for the log, no more
		return index.Part{}, fmt.Errorf("status %d: %s", res.StatusCode, strings.Join(strings.Fields(string(text)), " "))
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, index.MaxPartBytes+1))
	if err != nil {
		return index.Part{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(raw) > index.MaxPartBytes {
		return index.Part{}, fmt.Errorf("the answer is larger than %d bytes", index.MaxPartBytes)
	}
	return index.DecodePart(raw, q, p.shard)
}
