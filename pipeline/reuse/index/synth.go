package index

import (
	"fmt"
	"iter"
	"math/rand/v2"
)

// Synthetic gives made-up clips with n hashes in all, of one seed always the same: for measuring, not for judging recall on pictures. They
// lie as those of an attendance archive do: people stand in the same places again and again. A place is seen by 1 to some thousand clips
// (Zipf); a clip's picture differs from its place's by 20 to 90 bits, and its 8 frames from each other by a few. One clip in 500 is
// another one's copy, re-encoded: up to 24 bits off.
func Synthetic(seed uint64, n int) iter.Seq[Clip] {
	return func(yield func(Clip) bool) {
		r := rand.New(rand.NewPCG(seed, 0x0451)) //nolint:gosec // made-up data
		const frames = 8
		places := max(1, n/frames/40)
		zipf := rand.NewZipf(r, 1.2, 8, uint64(places-1))
		centre := make([]Hash, places)
		for i := range centre {
			centre[i] = random(r)
		}
		var last []Frame
		for i := 0; i*frames < n; i++ {
			place := zipf.Uint64()
			base := centre[place]
			flip(r, &base, 20+r.IntN(71))
			copied := last != nil && r.IntN(500) == 0
			c := Clip{Job: fmt.Sprintf("%026d", i), Subject: fmt.Sprintf("s%d", place*3+uint64(r.IntN(3))), Site: fmt.Sprintf("p%d", place), Seq: int64(i + 1)}
			for k := range min(frames, n-i*frames) {
				h := base
				flip(r, &h, r.IntN(13))
				if copied {
					h = last[k].Hash
					flip(r, &h, r.IntN(25))
				}
				c.Frames = append(c.Frames, Frame{uint32(1000 * k), h})
			}
			if !copied && r.IntN(20) == 0 {
				last = c.Frames
			}
			if !yield(c) {
				return
			}
		}
	}
}

func random(r *rand.Rand) Hash { return Hash{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()} }

// flip changes about n bits.
func flip(r *rand.Rand, h *Hash, n int) {
	for range n {
		b := r.IntN(256)
		h[b>>6] ^= 1 << (b & 63)
	}
}
