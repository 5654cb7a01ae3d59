package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
)

// What a job pays for reading the 200 fingerprints of its site: the first one, and every other.
func BenchmarkHistory(b *testing.B) {
	w := newWorld(b)
	c, err := w.core.Verifier.Decode(b.Context(), pipeline.File(clip(b, "20", "15")))
	require.NoError(b, err)
	defer c.Close()
	print, err := reuse.Compute(c)
	require.NoError(b, err)
	raw, err := print.MarshalBinary()
	require.NoError(b, err)
	rows := make([]results.Print, 200)
	for i := range rows {
		put, err := w.vault.PutAll(b.Context(), "t", "ann", [][]byte{raw})
		require.NoError(b, err)
		rows[i] = results.Print{Job: verify.NewJob(), Tenant: "t", Subject: "ann", Format: reuse.FormatVersion, Key: put[0].Key}
	}
	read := func() {
		for _, row := range rows {
			_, err := w.core.fingerprint(b.Context(), row)
			require.NoError(b, err)
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			w.core.Forget("t", "ann")
			read()
		}
		b.ReportMetric(float64(w.core.prints.cost)/(1<<20), "MiB")
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			read()
		}
	})
}
