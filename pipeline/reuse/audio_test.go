package reuse

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// babble is made-up speech: a voice with formants, syllables and pauses, different for every seed. Mono, 16 kHz.
//
//go:norace
func babble(seed uint64, seconds float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 5))
	out := make([]float32, int(seconds*pcmRate))
	base := 90 + 130*r.Float64()
	phase := 0.0
	for at := 0; at < len(out); {
		n := pcmRate/12 + r.IntN(pcmRate/5)
		pitch, slide := base*(0.8+0.4*r.Float64()), 0.3*(r.Float64()-0.5)
		f1, f2, loud := 300+600*r.Float64(), 900+1200*r.Float64(), 0.3*r.Float64()
		if r.IntN(6) == 0 {
			loud = 0
		}
		var gain []float64
		for hz := pitch; hz < 2200; hz += pitch {
			gain = append(gain, math.Exp(-math.Abs(hz-f1)/150)+0.6*math.Exp(-math.Abs(hz-f2)/200))
		}
		for i := range min(n, len(out)-at) {
			x := float64(i) / float64(n)
			phase += pitch * (1 + slide*x) / pcmRate
			var s float64
			for h, g := range gain {
				s += g * math.Sin(2*math.Pi*float64(h+1)*phase)
			}
			out[at+i] = float32(loud*math.Sin(math.Pi*x)*s/2 + 0.003*r.NormFloat64())
		}
		at += n
	}
	return out
}

// tune is made-up music: every seed plays other notes of one scale to the same beat.
//
//go:norace
func tune(seed uint64, seconds float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 6))
	out := make([]float32, int(seconds*pcmRate))
	for at := 0; at < len(out); at += pcmRate / 4 {
		for range 3 {
			hz := 220 * math.Pow(2, float64([]int{0, 2, 4, 7, 9, 12, 14, 16}[r.IntN(8)])/12)
			for i := range min(pcmRate, len(out)-at) {
				t := float64(i) / pcmRate
				out[at+i] += float32(0.1 * math.Exp(-4*t) * (math.Sin(2*math.Pi*hz*t) + 0.5*math.Sin(4*math.Pi*hz*t)))
			}
		}
	}
	return out
}

// noisy adds white noise at a distance of so many dB to the sound; silence becomes noise.
func noisy(pcm []float32, seed uint64, db float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	var power float64
	for _, x := range pcm {
		power += float64(x) * float64(x)
	}
	sigma := math.Sqrt(power/float64(len(pcm))) * math.Pow(10, -db/20)
	if power == 0 {
		sigma = 0.1
	}
	out := make([]float32, len(pcm))
	for i, x := range pcm {
		out[i] = x + float32(sigma*r.NormFloat64())
	}
	return out
}

// throughAAC encodes sound with AAC at 32 kbit/s and decodes it again.
func throughAAC(t *testing.T, pcm []float32) []float32 {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	dir := t.TempDir()
	in, coded, out := filepath.Join(dir, "in.raw"), filepath.Join(dir, "coded.m4a"), filepath.Join(dir, "out.raw")
	raw := make([]byte, 0, 4*len(pcm))
	for _, x := range pcm {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	require.NoError(t, os.WriteFile(in, raw, 0o600))
	for _, args := range [][]string{
		{"-f", "f32le", "-ar", "16000", "-ac", "1", "-i", in, "-c:a", "aac", "-b:a", "32k", coded},
		{"-i", coded, "-ac", "1", "-ar", "16000", "-f", "f32le", out},
	} {
		said, err := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", said)
	}
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	back := make([]float32, len(raw)/4)
	for i := range back {
		back[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return back
}

func TestTheSameSoundIsFoundUnraced(t *testing.T) {
	original := babble(1, 8)
	quiet := make([]float32, len(original))
	for i, x := range original {
		quiet[i] = x / 20
	}
	o := hear(original)
	for name, c := range map[string]struct {
		pcm     []float32
		offset  time.Duration
		seconds float64
	}{
		"as it is":             {original, 0, 6},
		"through AAC":          {throughAAC(t, original), 0, 6},
		"with noise at 10 dB":  {noisy(original, 3, 10), 0, 6},
		"quiet":                {quiet, 0, 6},
		"beginning cut off":    {original[2*pcmRate+150:], 2 * time.Second, 4},
		"between other sounds": {append(append(babble(8, 3), original[pcmRate:5*pcmRate]...), babble(9, 3)...), -2 * time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			q := hear(c.pcm)
			m := compareAudio(&q, &o)
			require.True(t, m.ok, "%+v", m)
			require.InDelta(t, c.offset.Seconds(), m.offset.Seconds(), 0.03)
			require.Greater(t, m.score, 0.5)
			require.LessOrEqual(t, m.score, 1.0)
			require.Greater(t, m.seconds, c.seconds-0.5)
			back := compareAudio(&o, &q)
			require.True(t, back.ok)
			require.InDelta(t, -m.offset.Seconds(), back.offset.Seconds(), 0.001)
		})
	}
}

func TestOtherSoundsAreNotTheSameUnraced(t *testing.T) {
	const sounds = 3
	var voices, music []Audio
	for i := range sounds {
		voices = append(voices, hear(babble(uint64(i+1), 8)))
		music = append(music, hear(tune(uint64(i+1), 8))) // one scale, one beat: alike, and not the same
	}
	for i := range sounds {
		for j := range i {
			require.False(t, compareAudio(&voices[i], &voices[j]).ok)
			require.False(t, compareAudio(&music[i], &music[j]).ok)
		}
		require.False(t, compareAudio(&voices[i], &music[i]).ok)
	}
	first, last := hear(tune(1, 16)[:8*pcmRate]), hear(tune(1, 16)[8*pcmRate:])
	require.False(t, compareAudio(&first, &last).ok, "two parts of one tune")
}

// What says nothing is no sound at all: two silent clips, or two clips of one humming fridge, have nothing in common.
func TestWhatSaysNothingIsNotHeard(t *testing.T) {
	hum := make([]float32, 5*pcmRate)
	for i := range hum {
		hum[i] = float32(0.2 * math.Sin(2*math.Pi*400*float64(i)/pcmRate))
	}
	hiss := babble(1, 5)
	for i := range hiss {
		hiss[i] *= 1e-4
	}
	for name, pcm := range map[string][]float32{"no sound": nil, "too short": babble(1, 0.3), "silence": make([]float32, 5*pcmRate), "hum": hum, "very quiet": hiss} {
		t.Run(name, func(t *testing.T) {
			a := hear(pcm)
			require.Zero(t, compareAudio(&a, &a))
			if name != "hum" { // it is heard for a moment, where it begins
				require.Equal(t, Audio{}, a)
			}
		})
	}
	half := append(make([]float32, 3*pcmRate), babble(1, 3)...)
	a := hear(half)
	require.NotContains(t, a.Heard[:100], true)
	require.Contains(t, a.Heard[120:], true)
	require.NoError(t, a.check())
}

func TestLongSoundIsBounded(t *testing.T) {
	a := hear(noisy(make([]float32, 75*pcmRate), 1, 0.1))
	require.Len(t, a.Subs, maxAudio)
	require.NoError(t, a.check())
	m := compareAudio(&a, &a)
	require.True(t, m.ok)
	require.Zero(t, m.offset)
	require.Greater(t, m.seconds, 45.0)
}

// The sound of a 15 s clip, and the comparison with another of that length.
func BenchmarkAudio15s(b *testing.B) {
	pcm, other := babble(1, 15), hear(babble(2, 15))
	began := cpu(b)
	for b.Loop() {
		a := hear(pcm)
		compareAudio(&a, &other)
	}
	reportCPU(b, began)
}
