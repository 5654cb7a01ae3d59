package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// turned adds a rotation property (irot, quarter turns against the clock) to a HEIC with one picture as heif-enc writes it.
func turned(t testing.TB, raw []byte, quarters byte) []byte {
	t.Helper()
	out := bytes.Clone(raw)
	at := func(box string) int {
		i := bytes.Index(out, []byte(box))
		require.Positive(t, i, box)
		return i
	}
	grow := func(i, by int) {
		binary.BigEndian.PutUint32(out[i:], binary.BigEndian.Uint32(out[i:])+uint32(by))
	}
	for box, by := range map[string]int{"meta": 10, "iprp": 10, "ipco": 9, "ipma": 1} {
		grow(at(box)-4, by)
	}
	grow(at("iloc")+4+12, 10) // the picture's data moves
	count := at("ipma") + 4 + 4 + 4 + 2
	require.Equal(t, byte(3), out[count])
	out[count]++
	end, ipma := count+1+3, at("ipma")-4
	irot := append([]byte("\x00\x00\x00\x09irot"), quarters)
	return bytes.Join([][]byte{out[:ipma], irot, out[ipma:end], {0x84}, out[end:]}, nil)
}

func TestHEICRotation(t *testing.T) {
	for orientation, quarterTurns := range map[int]byte{1: 0, 3: 2, 6: 3, 8: 1} {
		t.Run(fmt.Sprint(orientation), func(t *testing.T) {
			raw := turned(t, heicOf(t, stored(quarters(320, 240), orientation)), quarterTurns)
			clip := decoded(t, file(t, "photo.heic", raw), DefaultRequest())
			require.Equal(t, []int{320, 240}, []int{clip.Info.Width, clip.Info.Height})
			requireQuarters(t, clip.Frames[0].Image, 12)
		})
	}
}

func TestBadHEIC(t *testing.T) {
	raw := heicOf(t, quarters(320, 240))
	huge := bytes.Clone(raw)
	copy(huge[bytes.Index(huge, []byte("ispe"))+8:], []byte{0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0}) // 100,000 x 100,000
	for name, c := range map[string]struct {
		raw  []byte
		rule string
	}{
		"cut":         {raw[:len(raw)-200], "media_truncated"},
		"huge header": {huge, "too_many_pixels"},
		"broken head": {patched(t, raw, "iloc", 0, bytes.Repeat([]byte{0xff}, 20)), "media_damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newDecoder(t, nil).Decode(t.Context(), file(t, "photo.heic", c.raw), DefaultRequest())
			var refused *Refusal
			require.ErrorAs(t, err, &refused)
			t.Log(err)
			require.Equal(t, c.rule, refused.Rule)
		})
	}
}
