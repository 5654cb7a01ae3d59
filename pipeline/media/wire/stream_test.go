package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// taker counts what the stream brings and how much memory it asks for.
type taker struct {
	hello          Hello
	info           Info
	packets        []Packet
	stills, motion []FrameHead
	burst          []FrameHead
	pcm            int
	bytes          int
}

func (k *taker) Hello(h Hello) error         { k.hello = h; return nil }
func (k *taker) Info(i Info) error           { k.info = i; return nil }
func (k *taker) Packets(p []Packet) error    { k.packets = p; return nil }
func (k *taker) PCM(samples []float32) error { k.pcm += len(samples); return nil }

func (k *taker) Still(h FrameHead, pix func([]byte) error) error {
	k.stills = append(k.stills, h)
	return k.pixels(h.W*h.H*3, pix)
}

func (k *taker) Motion(h FrameHead, pix func([]byte) error) error {
	k.motion = append(k.motion, h)
	return k.pixels(h.W*h.H, pix)
}

func (k *taker) Burst(h FrameHead, pix func([]byte) error) error {
	k.burst = append(k.burst, h)
	return k.pixels(h.W*h.H*3, pix)
}

func (k *taker) pixels(n int, pix func([]byte) error) error {
	k.bytes += n
	return pix(make([]byte, n))
}

var testBounds = Bounds{StillSide: 64, Stills: 3, MotionSide: 16, Motions: 5, BurstSide: 32, Bursts: 2, Bytes: 3000, Packets: 10, Samples: 100}

func frame(pts int64, w, h uint32, pixels int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(pts))
	b = binary.LittleEndian.AppendUint32(b, w)
	b = binary.LittleEndian.AppendUint32(b, h)
	b = binary.LittleEndian.AppendUint64(b, 1|200<<8|100<<16) // another scene; shares
	return append(b, make([]byte, pixels)...)
}

type record struct {
	kind    Kind
	payload []byte
}

func js(s string) []byte { return []byte(s) }

func streamOf(t testing.TB, records ...record) []byte {
	t.Helper()
	var b bytes.Buffer
	b.Write(Magic[:])
	for _, r := range records {
		require.NoError(t, writeRecord(&b, r.kind, r.payload))
	}
	return b.Bytes()
}

var (
	helloRecord = record{KindHello, js(`{"sandbox":["seccomp"],"libav":"x"}`)}
	infoRecord  = record{KindInfo, js(`{"codec":"h264","width":640,"height":480,"duration_us":1000000,"fps":25}`)}
	doneRecord  = record{KindDone, js(`{"decoded":1}`)}
)

func wholeStream(t testing.TB) []byte {
	var packets bytes.Buffer
	require.NoError(t, WritePackets(&packets, []Packet{{PTSUS: 5, Bytes: 7, Key: true}, {PTSUS: -3, Bytes: 9}}))
	pcm := make([]byte, 40)
	return streamOf(t, helloRecord, infoRecord, record{KindPackets, packets.Bytes()[8:]}, record{KindMotion, frame(0, 4, 3, 12)}, record{KindStill, frame(0, 8, 6, 144)},
		record{KindMotion, frame(100, 4, 3, 12)}, record{KindBurst, frame(100, 6, 4, 72)}, record{KindPCM, pcm}, doneRecord)
}

func TestRead(t *testing.T) {
	var k taker
	end, refusal, err := Read(bytes.NewReader(wholeStream(t)), testBounds, &k)
	require.NoError(t, err)
	require.Nil(t, refusal)
	require.Equal(t, 1, end.Decoded)
	require.Equal(t, []Packet{{5, 7, true}, {-3, 9, false}}, k.packets)
	require.Equal(t, []FrameHead{{PTSUS: 0, W: 8, H: 6, SceneChange: true, Earlier: 200, Later: 100}}, k.stills)
	require.Len(t, k.motion, 2)
	require.Equal(t, FrameHead{PTSUS: 100, W: 4, H: 3, SceneChange: true, Earlier: 200, Later: 100}, k.motion[1])
	require.Equal(t, []FrameHead{{PTSUS: 100, W: 6, H: 4, SceneChange: true, Earlier: 200, Later: 100}}, k.burst)
	require.Equal(t, 10, k.pcm)
	require.Equal(t, []string{"seccomp"}, k.hello.Sandbox)
}

func TestReadRefusalAndFault(t *testing.T) {
	_, refusal, err := Read(bytes.NewReader(streamOf(t, helloRecord, record{KindRefused, js(`{"rule":"too_long","value":"9"}`)})), testBounds, &taker{})
	require.NoError(t, err)
	require.Equal(t, &Refusal{Rule: "too_long", Value: "9"}, refusal)
	_, _, err = Read(bytes.NewReader(streamOf(t, record{KindBroken, js(`"no\nseccomp"`)})), testBounds, &taker{})
	require.EqualError(t, err, "no seccomp")
}

func TestReadRefusesBrokenStreams(t *testing.T) {
	motion := func(pts int64, w, h uint32, n int) record { return record{KindMotion, frame(pts, w, h, n)} }
	burst := func(pts int64, w, h uint32, n int) record { return record{KindBurst, frame(pts, w, h, n)} }
	still := func(pts int64, w, h uint32, n int) record { return record{KindStill, frame(pts, w, h, n)} }
	for name, list := range map[string][]record{
		"no greeting":          {infoRecord, doneRecord},
		"two greetings":        {helloRecord, helloRecord},
		"frame before headers": {helloRecord, still(0, 8, 6, 144)},
		"headers twice":        {helloRecord, infoRecord, infoRecord},
		"negative size":        {helloRecord, {KindInfo, js(`{"width":-1,"height":5}`)}},
		"giant size":           {helloRecord, {KindInfo, js(`{"width":100000,"height":5}`)}},
		"not JSON":             {helloRecord, {KindInfo, js(`{`)}},
		"too wide":             {helloRecord, infoRecord, still(0, 65, 1, 195)},
		"size against length":  {helloRecord, infoRecord, still(0, 8, 6, 143)},
		"empty frame":          {helloRecord, infoRecord, still(0, 0, 6, 0)},
		"overflowing size":     {helloRecord, infoRecord, still(0, 1<<31, 1<<31, 0)},
		"short frame":          {helloRecord, infoRecord, {KindStill, make([]byte, 10)}},
		"time stands still":    {helloRecord, infoRecord, motion(5, 4, 3, 12), motion(5, 4, 3, 12)},
		"motion of two sizes":  {helloRecord, infoRecord, motion(5, 4, 3, 12), motion(6, 3, 4, 12)},
		"burst of two sizes":   {helloRecord, infoRecord, burst(5, 4, 3, 36), burst(6, 3, 4, 36)},
		"burst stands still":   {helloRecord, infoRecord, burst(5, 4, 3, 36), burst(5, 4, 3, 36)},
		"burst too wide":       {helloRecord, infoRecord, burst(5, 33, 1, 99)},
		"too many burst":       {helloRecord, infoRecord, burst(1, 1, 1, 3), burst(2, 1, 1, 3), burst(3, 1, 1, 3)},
		"too many stills":      {helloRecord, infoRecord, still(1, 1, 1, 3), still(2, 1, 1, 3), still(3, 1, 1, 3), still(4, 1, 1, 3)},
		"too many motions":     {helloRecord, infoRecord, motion(1, 1, 1, 1), motion(2, 1, 1, 1), motion(3, 1, 1, 1), motion(4, 1, 1, 1), motion(5, 1, 1, 1), motion(6, 1, 1, 1)},
		"too many pixels":      {helloRecord, infoRecord, still(1, 20, 20, 1200), still(2, 20, 20, 1200), still(3, 20, 20, 1200)},
		"pixels of both kinds": {helloRecord, infoRecord, still(1, 30, 30, 2700), motion(1, 16, 16, 256), motion(2, 16, 16, 256)},
		"pixels of bursts":     {helloRecord, infoRecord, burst(1, 32, 16, 1536), burst(2, 32, 16, 1536)},
		"too many packets":     {helloRecord, infoRecord, {KindPackets, make([]byte, 16*11)}},
		"odd packets":          {helloRecord, infoRecord, {KindPackets, make([]byte, 17)}},
		"packets twice":        {helloRecord, infoRecord, {KindPackets, nil}, {KindPackets, nil}},
		"too much sound":       {helloRecord, infoRecord, {KindPCM, make([]byte, 404)}},
		"odd sound":            {helloRecord, infoRecord, {KindPCM, make([]byte, 5)}},
		"unknown record":       {helloRecord, infoRecord, {99, nil}},
		"no end":               {helloRecord, infoRecord},
		"done before headers":  {helloRecord, doneRecord},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "no end" { // only the fault itself is left to be found
				list = append(list, doneRecord)
			}
			end, refusal, err := Read(bytes.NewReader(streamOf(t, list...)), testBounds, &taker{})
			require.ErrorIs(t, err, ErrProtocol)
			require.Nil(t, end)
			require.Nil(t, refusal)
		})
	}
}

func TestReadOfEveryCut(t *testing.T) {
	whole := wholeStream(t)
	for n := range whole {
		_, _, err := Read(bytes.NewReader(whole[:n]), testBounds, &taker{})
		require.ErrorIs(t, err, ErrProtocol, "cut at %d", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(wholeStream(f))
	f.Add(streamOf(f, helloRecord, record{KindRefused, js(`{"rule":"x"}`)}))
	f.Add(streamOf(f, record{KindBroken, js(`"x"`)}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var k taker
		end, refusal, err := Read(bytes.NewReader(raw), testBounds, &k)
		answers := 0
		for _, there := range []bool{end != nil, refusal != nil, err != nil} {
			if there {
				answers++
			}
		}
		require.Equal(t, 1, answers)
		require.LessOrEqual(t, len(k.stills), testBounds.Stills)
		require.LessOrEqual(t, len(k.motion), testBounds.Motions)
		require.LessOrEqual(t, len(k.burst), testBounds.Bursts)
		require.LessOrEqual(t, len(k.packets), testBounds.Packets)
		require.LessOrEqual(t, k.pcm, int(testBounds.Samples))
		require.LessOrEqual(t, int64(k.bytes), testBounds.Bytes)
	})
}
