package archive

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/reuse/index"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
	"onsite/workers"
	"onsite/workers/queue"
)

// BenchmarkLive measures how long after its job was finished a clip is in the index of a worker that nobody asks, with the sequencer's and
// the archive's usual times.
func BenchmarkLive(b *testing.B) {
	for name, bell := range map[string]results.Bell{"bell": new(queue.LocalBell), "poll": nil} {
		b.Run(name, func(b *testing.B) {
			s, err := database.Open(b.Context(), database.Options{SQLite: filepath.Join(b.TempDir(), "s.db")})
			require.NoError(b, err)
			defer s.Close()
			require.NoError(b, s.Migrate(b.Context()))
			tenant := storetest.NewTenant(b, s)
			x, err := index.Open("", index.Options{})
			require.NoError(b, err)
			defer x.Close()
			a := New(Options{Store: s, Index: x, Bell: bell})
			q := &workers.Sequencer{Store: s, Bell: bell, Name: "b"}
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			all.Go(func() { _ = a.Run(ctx) })
			all.Go(func() { _ = q.Run(ctx) })
			defer all.Wait()
			defer cancel()
			var took []time.Duration
			for i := range max(b.N, 20) {
				f := storetest.Ending(s, storetest.Claim(b, s, storetest.Accept(b, s, tenant, "e1").ID))
				f.Frames = []results.FrameHash{{Hash: [4]uint64{uint64(i)}}}
				require.NoError(b, s.Finish(b.Context(), f))
				began := time.Now()
				if bell != nil {
					bell.Ring(b.Context(), results.BellVerdict)
				}
				require.Eventually(b, func() bool {
					n, err := x.Stats(tenant)
					return err == nil && n.Clips > i
				}, soon, time.Millisecond)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-p50")
			b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-max")
		})
	}
}
