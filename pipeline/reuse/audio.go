package reuse

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"
)

// The numbers of Haitsma and Kalker 2002 ("A Highly Robust Audio Fingerprinting System", ISMIR): frames of 0.37 s, 33 bands from 300 to
// 2,000 Hz, one bit per pair of neighbouring bands: did the difference of their energies grow since the frame before? Theirs is one
// sub-fingerprint in 11.6 ms; ours is one in 24 ms, which the long frames still hide and which halves bytes and work.
const (
	pcmRate    = 16000 // of media.Clip.PCM
	audioStep  = 3     // samples per sample that is looked at: 5,333 Hz hold 2,000 Hz with room for a short filter
	audioFrame = 2048  // samples of a frame after that: 384 ms
	audioBands = 33
	audioLow   = 300.0 // Hz
	audioHigh  = 2000.0

	audioHopSamples = 128 // after that
	audioHop        = audioHopSamples * audioStep * time.Second / pcmRate
)

// maxAudio bounds the sub-fingerprints: 60 s, as long as the motion.
const maxAudio = int(60 * time.Second / audioHop)

// What says nothing: sound of less than -66 dB of full scale in the bands, and sound of which less than a fiftieth changes from one frame
// to the next, such as mains hum or a test tone, whose bits are rounding and codec noise.
const (
	audioSilent = 5e-4 // root mean square of the sound in the bands, full scale is 1
	audioSteady = 0.02
)

// Audio is the fingerprint of the sound, after Haitsma and Kalker 2002. The sound itself cannot be made again from it, words neither.
// The zero value is no sound.
type Audio struct {
	Subs  []uint32 // sub-fingerprint i describes the sound from i x 24 ms on; 0 where nothing is heard
	Heard []bool   // as long: false where the sound is silent or hardly changes, and says nothing
}

// check says what cannot be stored; what is stored has one form.
func (a *Audio) check() error {
	if len(a.Subs) > maxAudio || len(a.Heard) != len(a.Subs) {
		return fmt.Errorf("sound of %d sub-fingerprints with %d marks, at most %d and as many are allowed", len(a.Subs), len(a.Heard), maxAudio)
	}
	if len(a.Subs) > 0 && !slices.Contains(a.Heard, true) {
		return errors.New("sound in which nothing is heard is no sound")
	}
	for i, heard := range a.Heard {
		if !heard && a.Subs[i] != 0 {
			return fmt.Errorf("sub-fingerprint %d is not zero though nothing is heard", i)
		}
	}
	return nil
}

// hear makes the fingerprint of mono sound at 16 kHz, -1..1; what lies behind 60 s is left out. Sound of less than half a second is none.
func hear(pcm []float32) Audio {
	s := soundPlan()
	in := decimate(pcm[:min(len(pcm), (maxAudio*audioHopSamples+audioFrame)*audioStep)], s.low)
	n := min(maxAudio, (len(in)-audioFrame)/audioHopSamples)
	if n < 1 {
		return Audio{}
	}
	fft := fourier.NewFFT(audioFrame) // holds its own work space, so it is not shared
	frame, spectrum := make([]float64, audioFrame), make([]complex128, audioFrame/2+1)
	var last, now [audioBands]float64
	a := Audio{Subs: make([]uint32, n), Heard: make([]bool, n)}
	some := false
	for i := range n + 1 {
		for j, x := range in[i*audioHopSamples : i*audioHopSamples+audioFrame] {
			frame[j] = float64(x) * s.window[j]
		}
		fft.Coefficients(spectrum, frame)
		var energy, change float64
		for b := range now {
			now[b] = 0
			for _, c := range spectrum[s.edge[b]:s.edge[b+1]] {
				now[b] += real(c)*real(c) + imag(c)*imag(c)
			}
			energy += now[b]
			change += math.Abs(now[b] - last[b])
		}
		if i > 0 && energy > s.silent && change > audioSteady*energy {
			var sub uint32
			for b := range audioBands - 1 {
				if now[b]-now[b+1] > last[b]-last[b+1] {
					sub |= 1 << b
				}
			}
			a.Subs[i-1], a.Heard[i-1], some = sub, true, true
		}
		last = now
	}
	if !some {
		return Audio{}
	}
	return a
}

// sound is what every sound is analysed with.
type sound struct {
	low    []float32 // low pass before every third sample is taken
	window []float64
	edge   [audioBands + 1]int // first bin of each band, and behind the last
	silent float64             // energy of audioSilent
}

var soundPlan = sync.OnceValue(func() *sound {
	s := &sound{low: make([]float32, 41), window: make([]float64, audioFrame)}
	// A windowed sinc (Hann) that passes 2,000 Hz and stops 3,333 Hz, which would fold down onto it.
	var sum float64
	mid := float64(len(s.low)-1) / 2
	for pass := range 2 {
		for i := range s.low {
			x := float64(i) - mid
			h := 1.0
			if x != 0 {
				w := 2 * math.Pi * 2667 / pcmRate * x
				h = math.Sin(w) / w
			}
			h *= 0.5 + 0.5*math.Cos(math.Pi*x/(mid+1))
			if pass == 0 {
				sum += h
			} else {
				s.low[i] = float32(h / sum)
			}
		}
	}
	var power float64
	for i := range s.window {
		s.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/audioFrame)
		power += s.window[i] * s.window[i]
	}
	for b := range s.edge {
		hz := audioLow * math.Pow(audioHigh/audioLow, float64(b)/audioBands)
		s.edge[b] = int(math.Round(hz * audioStep * audioFrame / pcmRate))
	}
	// Parseval: half of the spectrum holds half of the energy.
	s.silent = audioSilent * audioSilent * power * audioFrame / 2
	return s
})

// decimate takes every third sample of the filtered sound; what lies outside is silence.
func decimate(pcm, low []float32) []float32 {
	out := make([]float32, (len(pcm)+audioStep-1)/audioStep)
	half := len(low) / 2
	whole := func(i int) bool { return i*audioStep >= half && i*audioStep-half+len(low) <= len(pcm) }
	for i := 0; i < len(out); i++ {
		at := i*audioStep - half
		if i+3 < len(out) && whole(i) && whole(i+3) { // four at once: the sums of one alone would wait for each other
			p := pcm[at : at+3*audioStep+len(low)]
			a, b, c, d := p[:len(low)], p[audioStep:][:len(low)], p[2*audioStep:][:len(low)], p[3*audioStep:][:len(low)]
			var s0, s1, s2, s3 float32
			for k, w := range low {
				s0 += w * a[k]
				s1 += w * b[k]
				s2 += w * c[k]
				s3 += w * d[k]
			}
			out[i], out[i+1], out[i+2], out[i+3] = s0, s1, s2, s3
			i += 3
			continue
		}
		from, to := max(0, -at), min(len(low), len(pcm)-at)
		var s float32
		for k, w := range low[from:to] {
			s += w * pcm[at+from+k]
		}
		out[i] = s
	}
	return out
}

// audioMatch is what two sounds have in common.
type audioMatch struct {
	ok      bool          // the same recorded sound, for longer than chance allows
	score   float64       // 1: bit for bit; 0: as unlike as unrelated sounds, which differ in half of their bits
	offset  time.Duration // their time less ours, to about 24 ms
	seconds float64       // of heard sound that agrees at this offset
}

// Limits of agreement. Haitsma and Kalker call two pieces of 3.3 s the same from a bit error rate of 0.35 down; shorter pieces must agree
// better, as chance goes with the root of the length: (0.5 - 0.35) x sqrt(3.3 s). That holds for unlike sounds. Two parts of one song agree
// further (0.29), so the rate itself must be lower here: copies through codecs down to 12 kbit/s had 0.23. And music that keeps time
// agrees at many offsets, so the best one must stand out.
const (
	audioEvidence  = 0.27
	audioErrorRate = 0.25
	audioSecond    = 0.6 // evidence of any other offset at most, as a part of the best
	audioLeast     = 2.0 // seconds of heard sound in both, at least
)

// audioPeak is how far, in sub-fingerprints, the true offset still lifts its neighbours: the length of a frame.
const audioPeak = audioFrame / audioHopSamples

var audioWindows = []time.Duration{2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, time.Minute}

// compareAudio looks for the offset at which the sounds agree best, over the whole overlap and over windows of it, at the same speed only:
// a sound that runs 2 % faster already has other bits. It says that the same sound is in both, not that the pictures are: a radio plays
// the same song on two days. The work is bounded by 60 s against 60 s (about 30 ms).
func compareAudio(q, o *Audio) audioMatch {
	const stride = 4 // window positions: every 0.1 s
	var best struct {
		evidence, rate float64
		offset         int
	}
	n := min(len(q.Subs), len(o.Subs))
	byOffset := make([]float64, len(q.Subs)+len(o.Subs))  // evidence of every offset
	errs, pairs := make([]int32, n+1), make([]int32, n+1) // sums of wrong bits and of compared sub-fingerprints
	for offset := -len(q.Subs) + 1; offset < len(o.Subs); offset++ {
		from, to := overlap(q, o, offset)
		if float64(to-from)*audioHop.Seconds() < audioLeast {
			continue
		}
		audioSums(q, o, offset, from, to, errs, pairs)
		for k, w := range audioWindows {
			size := int(w / audioHop)
			if size > to-from {
				if k > 0 && int(audioWindows[k-1]/audioHop) > to-from {
					break
				}
				size = to - from
			}
			for at := 0; at+size <= to-from; at += stride {
				e, p := errs[at+size]-errs[at], pairs[at+size]-pairs[at]
				seconds := float64(p) * audioHop.Seconds()
				if seconds < audioLeast {
					continue
				}
				rate := float64(e) / float64(32*p)
				evidence := (0.5 - rate) * math.Sqrt(seconds)
				byOffset[offset+len(q.Subs)] = max(byOffset[offset+len(q.Subs)], evidence)
				if evidence > best.evidence {
					best.evidence, best.rate, best.offset = evidence, rate, offset
				}
			}
		}
	}
	if best.evidence == 0 {
		return audioMatch{}
	}
	m := audioMatch{score: max(0, 1-2*best.rate), offset: time.Duration(best.offset) * audioHop}
	second := 0.0 // of the offsets that are no neighbours of the best
	for i, e := range byOffset {
		if away := i - len(q.Subs) - best.offset; away < -audioPeak || away > audioPeak {
			second = max(second, e)
		}
	}
	m.ok = best.evidence >= audioEvidence && best.rate <= audioErrorRate && second <= audioSecond*best.evidence
	if m.ok {
		m.seconds = agreed(q, o, best.offset, errs, pairs)
	}
	return m
}

// overlap is the part of q that lies over o.
func overlap(q, o *Audio, offset int) (from, to int) {
	return max(0, -offset), min(len(q.Subs), len(o.Subs)-offset)
}

// audioSums fills the running sums over the overlap.
func audioSums(q, o *Audio, offset, from, to int, errs, pairs []int32) {
	var e, p int32
	for i := from; i < to; i++ {
		if q.Heard[i] && o.Heard[i+offset] {
			e += int32(bits.OnesCount32(q.Subs[i] ^ o.Subs[i+offset]))
			p++
		}
		errs[i-from+1], pairs[i-from+1] = e, p
	}
}

// agreed gives the seconds of heard sound in the windows of about 1 s whose bits agree at the offset.
func agreed(q, o *Audio, offset int, errs, pairs []int32) float64 {
	const size = int(time.Second / audioHop)
	from, to := overlap(q, o, offset)
	audioSums(q, o, offset, from, to, errs, pairs)
	var heard int32
	for at := 0; at < to-from; at += size {
		end := min(at+size, to-from)
		if e, p := errs[end]-errs[at], pairs[end]-pairs[at]; float64(e) <= audioErrorRate*float64(32*p) {
			heard += p
		}
	}
	return float64(heard) * audioHop.Seconds()
}

func encodeAudio(a *Audio) []byte {
	b := order.AppendUint16(nil, uint16(len(a.Subs)))
	b = append(b, packMarks(a.Heard)...)
	for i, s := range a.Subs {
		if a.Heard[i] {
			b = order.AppendUint32(b, s)
		}
	}
	return b
}

func readAudio(outer *reader, b []byte) Audio {
	r := reader{b: b, err: outer.err}
	var a Audio
	if n := r.count(maxAudio); n > 0 {
		a.Heard = r.marks(n)
		a.Subs = make([]uint32, len(a.Heard))
		for i, heard := range a.Heard {
			if heard {
				a.Subs[i] = r.u32()
			}
		}
	}
	r.end()
	outer.err = r.err
	return a
}
