package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// keeper is a sink with its own memory.
type keeper struct{ pix [64 * 64 * 3]byte }

func (*keeper) Hello(Hello) error      { return nil }
func (*keeper) Info(Info) error        { return nil }
func (*keeper) Packets([]Packet) error { return nil }
func (*keeper) PCM([]float32) error    { return nil }

func (k *keeper) Still(h FrameHead, pix func([]byte) error) error {
	return pix(k.pix[:h.W*h.H*3])
}

func (k *keeper) Motion(h FrameHead, pix func([]byte) error) error {
	return pix(k.pix[:h.W*h.H])
}

func (k *keeper) Burst(h FrameHead, pix func([]byte) error) error {
	return k.Still(h, pix)
}

// longStream has n motion frames, as many bursts, and as many parts of sound.
func longStream(t testing.TB, n int) ([]byte, Bounds) {
	list := []record{helloRecord, infoRecord}
	for i := range n {
		at := int64(i)
		list = append(list, record{KindMotion, frame(at, 16, 9, 144)}, record{KindBurst, frame(at, 32, 18, 1728)}, record{KindPCM, binary.LittleEndian.AppendUint32(nil, 0)})
	}
	return streamOf(t, append(list, doneRecord)...), Bounds{StillSide: 64, MotionSide: 16, Motions: n, BurstSide: 32, Bursts: n, Bytes: 1 << 30, Samples: int64(n)}
}

func TestReadAllocatesLittlePerFrame(t *testing.T) {
	allocs := func(n int) float64 {
		raw, bounds := longStream(t, n)
		var k keeper
		return testing.AllocsPerRun(3, func() {
			if _, _, err := Read(bytes.NewReader(raw), bounds, &k); err != nil {
				t.Error(err)
			}
		})
	}
	perRecord := (allocs(400) - allocs(100)) / (3 * 300)
	require.LessOrEqual(t, perRecord, 1., "the function that hands out a frame's pixels, and nothing else")
}

func BenchmarkRead(b *testing.B) {
	raw, bounds := longStream(b, 200)
	var k keeper
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		_, _, err := Read(bytes.NewReader(raw), bounds, &k)
		require.NoError(b, err)
	}
}
