package models

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/dsp/fourier"

	"onsite/models/manifest"
)

// The frames of Kaldi's filter bank, which most open speech models were trained on (feature-fbank.cc, feature-window.cc): 25 ms every 10 ms,
// pre-emphasis 0.97, Povey's window, power spectrum of 512 points. The edges are not cut off: the sound is mirrored there.
const (
	fbankFrame  = 400
	fbankShift  = 160
	fbankPoints = 512
	fbankPre    = 0.97
	fbankFloor  = 1.1920929e-07 // FLT_EPSILON: the log of silence is bounded
)

// mel is Kaldi's scale.
func mel(hz float64) float64 { return 1127 * math.Log1p(hz/700) }

// melPlan is the filters for one manifest's bins and bounds.
type melPlan struct {
	window  [fbankFrame]float64
	filters [][]float64 // per bin, weights from first on
	first   []int
}

type melKey struct {
	bins      int
	low, high float64
}

var melPlans sync.Map // melKey -> *melPlan

func melFilters(in manifest.Input) *melPlan {
	key := melKey{in.Bins, in.LowHz, in.HighHz}
	if p, ok := melPlans.Load(key); ok {
		return p.(*melPlan)
	}
	high := in.HighHz
	if high <= 0 { // Kaldi counts from the highest frequency down
		high += float64(in.Rate) / 2
	}
	p := &melPlan{filters: make([][]float64, in.Bins), first: make([]int, in.Bins)}
	for i := range p.window {
		p.window[i] = math.Pow(0.5-0.5*math.Cos(2*math.Pi*float64(i)/(fbankFrame-1)), 0.85)
	}
	low, step := mel(in.LowHz), (mel(high)-mel(in.LowHz))/float64(in.Bins+1)
	for b := range p.filters {
		left, centre, right := low+float64(b)*step, low+float64(b+1)*step, low+float64(b+2)*step
		p.first[b] = -1
		for k := range fbankPoints / 2 {
			m := mel(float64(k) * float64(in.Rate) / fbankPoints)
			if m <= left || m >= right {
				continue
			}
			if p.first[b] < 0 {
				p.first[b] = k
			}
			p.filters[b] = append(p.filters[b], min((m-left)/(centre-left), (right-m)/(right-centre)))
		}
		p.first[b] = max(p.first[b], 0)
	}
	got, _ := melPlans.LoadOrStore(key, p)
	return got.(*melPlan)
}

// fbank gives Kaldi's log-mel filter bank of a sound, [frames, bins] row by row, of samples times the manifest's scale.
func fbank(pcm []float32, in manifest.Input) ([]float32, int) {
	frames := (len(pcm) + fbankShift/2) / fbankShift
	if frames == 0 {
		return nil, 0
	}
	p := melFilters(in)
	out := make([]float32, frames*in.Bins)
	fft := fourier.NewFFT(fbankPoints)
	frame, spectrum, power := make([]float64, fbankPoints), make([]complex128, fbankPoints/2+1), make([]float64, fbankPoints/2)
	for f := range frames {
		at := f*fbankShift + fbankShift/2 - fbankFrame/2
		mean := 0.0
		for i := range fbankFrame {
			frame[i] = float64(pcm[mirrored(at+i, len(pcm))]) * in.Scale
			mean += frame[i] / fbankFrame
		}
		for i := range fbankFrame {
			frame[i] -= mean
		}
		for i := fbankFrame - 1; i > 0; i-- {
			frame[i] = (frame[i] - fbankPre*frame[i-1]) * p.window[i]
		}
		frame[0] *= (1 - fbankPre) * p.window[0]
		clear(frame[fbankFrame:])
		fft.Coefficients(spectrum, frame)
		for k := range power {
			power[k] = real(spectrum[k])*real(spectrum[k]) + imag(spectrum[k])*imag(spectrum[k])
		}
		for b, weights := range p.filters {
			sum := 0.0
			for k, w := range weights {
				sum += w * power[p.first[b]+k]
			}
			out[f*in.Bins+b] = float32(math.Log(max(sum, fbankFloor)))
		}
	}
	return out, frames
}

// mirrored is the place of a sample that may lie beyond the edges.
func mirrored(i, n int) int {
	for i < 0 || i >= n {
		if i < 0 {
			i = -i - 1
		} else {
			i = 2*n - 1 - i
		}
	}
	return i
}
