package media

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMutatedFiles changes a few bytes of good files, mostly in their headers: each must come out as a clip or as a refusal.
// ONSITE_MUTATIONS asks for more than the usual number.
func TestMutatedFiles(t *testing.T) {
	rounds := 4
	if s := os.Getenv("ONSITE_MUTATIONS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		rounds = n
	}
	d := newDecoder(t, nil)
	heic := heicOf(t, quarters(64, 48))
	for name, raw := range map[string][]byte{
		"mp4": clipMP4(t), "webm": clipWebM(t), "jpeg": jpegOf(t, quarters(320, 240)), "png": pngOf(t, quarters(320, 240)),
		"webp": webpWithEXIF(t, quarters(96, 64), nil), "heic": heic,
	} {
		r := rand.New(rand.NewPCG(7, 7))
		for round := range rounds {
			mutant := bytes.Clone(raw)
			reach := len(mutant)
			if round%2 == 0 {
				reach = min(reach, 3000)
			}
			for range 1 + r.IntN(8) {
				mutant[r.IntN(reach)] = byte(r.Uint32())
			}
			clip, err := d.Decode(context.Background(), file(t, name, mutant), DefaultRequest())
			if err == nil {
				clip.Close()
				continue
			}
			var refused *Refusal
			if !errors.As(err, &refused) {
				t.Errorf("%s, round %d: %v", name, round, err)
			} else if refused.Rule == "decoder_crashed" {
				t.Logf("%s, round %d: %v", name, round, err)
			}
		}
	}
	require.Empty(t, childrenOf(os.Getpid()))
}
