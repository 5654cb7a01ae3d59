package liveness

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mat"

	"onsite/pipeline/face"
)

// blinks counts how often the eyes close and open again: the eye model falls below blinkClosed, and the height of the eyes to blinkDrop of what it
// is in the burst. Both must say so: the model alone fails on glasses, the landmarks alone on a nod.
func (t *Track) blinks() int {
	count := 0
	for _, b := range t.bursts() {
		var ratios []float64
		for _, m := range b {
			ratios = append(ratios, m.EyeRatio)
		}
		usual := quantile(ratios, 0.6)
		closed := false
		for _, m := range b {
			shut := m.EyesOpen < blinkClosed && m.EyeRatio < blinkDrop*usual
			if shut && !closed {
				count++
			}
			closed = shut
		}
	}
	return count
}

const blinkClosed, blinkDrop = 0.4, 0.8

// bursts are the moments of each burst.
func (t *Track) bursts() [][]Moment {
	var out [][]Moment
	for i := range t.Moments {
		if i == 0 || t.Moments[i].Burst != t.Moments[i-1].Burst {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], t.Moments[i])
	}
	return out
}

// spreadOf is the range between the 10th and the 90th of 100 values of a measure over the track.
func (t *Track) spreadOf(of func(*Moment) float64) float64 {
	var v []float64
	for i := range t.Moments {
		v = append(v, of(&t.Moments[i]))
	}
	if len(v) == 0 {
		return 0
	}
	return quantile(v, 0.9) - quantile(v, 0.1)
}

// stiff are points that the muscles of the face hardly move: nose and corners of the eyes, and the temples' ends of the jaw.
var stiff = []int{0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45}

// motion3D is what the landmarks say about the face as a body that moves.
type motion3D struct {
	// third is how much of the movement of the stiff points a plane cannot make, as RMS over the distance of the eyes: under an affine camera the
	// tracks of a plane's points have rank 2 and those of a body that turns rank 3 (Tomasi and Kanade 1992).
	third float64
	// noise is what a body cannot make either, and what the landmarks jitter.
	noise float64
	// deform is how much all 68 points move beyond an affine map: mouth, lids and brows, over the distance of the eyes.
	deform float64
}

// body measures it; ok is false with fewer than 8 moments.
func (t *Track) body() (motion3D, bool) {
	n := len(t.Moments)
	if n < 8 {
		return motion3D{}, false
	}
	var eyes []float64
	for i := range t.Moments {
		eyes = append(eyes, eyeDistance(&t.Moments[i].Landmarks))
	}
	if quantile(eyes, 0) < leastEyes || quantile(eyes, 0.5) < 8 {
		return motion3D{}, false
	}
	// Every frame at the same size of the face, so that a step towards the camera is none.
	w := mat.NewDense(2*n, len(stiff), nil)
	for i := range t.Moments {
		var mx, my float64
		for _, p := range stiff {
			mx += float64(t.Moments[i].Landmarks[p].X) / float64(len(stiff))
			my += float64(t.Moments[i].Landmarks[p].Y) / float64(len(stiff))
		}
		for k, p := range stiff {
			w.Set(2*i, k, (float64(t.Moments[i].Landmarks[p].X)-mx)/eyes[i])
			w.Set(2*i+1, k, (float64(t.Moments[i].Landmarks[p].Y)-my)/eyes[i])
		}
	}
	var svd mat.SVD
	if !svd.Factorize(w, mat.SVDNone) {
		return motion3D{}, false
	}
	v := svd.Values(nil)
	size := math.Sqrt(float64(2 * n * len(stiff)))
	out := motion3D{third: v[2] / size}
	for _, s := range v[3:] {
		out.noise += s * s
	}
	out.noise = math.Sqrt(out.noise) / size
	out.deform = t.deform(eyes)
	return out, true
}

// deform is the RMS of what is left of the 68 points after the mean shape was fitted to each moment by an affine map.
func (t *Track) deform(eyes []float64) float64 {
	n := len(t.Moments)
	var shape [68]face.Point
	for i := range t.Moments {
		for k, p := range t.Moments[i].normal(eyes[i]) {
			shape[k].X += p.X / float32(n)
			shape[k].Y += p.Y / float32(n)
		}
	}
	src := mat.NewDense(68, 3, nil)
	for k, p := range shape {
		src.SetRow(k, []float64{float64(p.X), float64(p.Y), 1})
	}
	var qr mat.QR
	qr.Factorize(src)
	sum := 0.0
	for i := range t.Moments {
		dst := mat.NewDense(68, 2, nil)
		for k, p := range t.Moments[i].normal(eyes[i]) {
			dst.SetRow(k, []float64{float64(p.X), float64(p.Y)})
		}
		var x, fit mat.Dense
		if qr.SolveTo(&x, false, dst) != nil {
			continue
		}
		fit.Mul(src, &x)
		fit.Sub(&fit, dst)
		for _, v := range fit.RawMatrix().Data {
			sum += v * v
		}
	}
	return math.Sqrt(sum / float64(68*n))
}

// normal are the landmarks from the middle of the eyes, in distances of the eyes.
func (m *Moment) normal(eyes float64) [68]face.Point {
	var x, y float64
	for i := 36; i < 48; i++ {
		x += float64(m.Landmarks[i].X) / 12
		y += float64(m.Landmarks[i].Y) / 12
	}
	var out [68]face.Point
	for i, p := range m.Landmarks {
		out[i] = face.Point{X: float32((float64(p.X) - x) / eyes), Y: float32((float64(p.Y) - y) / eyes)}
	}
	return out
}

// quantile gives the value below which the share q of the values lies (nearest rank); 0 for none.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return s[int(q*float64(len(s)-1)+0.5)]
}
