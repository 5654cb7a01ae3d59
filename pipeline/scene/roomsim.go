package scene

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"gocv.io/x/gocv"
)

// revisitSeed starts the chances of simulated revisits: the same photos give the same pictures on every run.
const revisitSeed = 20261122

// revisitOf simulates another visit to the place that a photo (BGR) shows: another part of it (60 to 90 % of each side), seen from aside
// (corners moved by up to 8 %) with the camera turned by up to 8 degrees, darker (40 to 95 % of the light), another colour of light, a little
// blurred, and with somebody in front of it if person is set, who hides about a quarter. The pixels are those of the photo itself, which
// makes it easier than a real second visit: nothing has moved, nothing is new behind a corner.
func revisitOf(img gocv.Mat, r *rand.Rand, person bool) (gocv.Mat, error) {
	w, h := float64(img.Cols()), float64(img.Rows())
	share := func(low, high float64) float64 { return low + (high-low)*r.Float64() }
	cw, ch := w*share(.6, .9), h*share(.6, .9)
	ox, oy := share(0, 1)*(w-cw), share(0, 1)*(h-ch)
	turn := share(-8, 8) * math.Pi / 180
	corner := func(x, y float64) gocv.Point2f {
		x, y = x*cw/2*(1+share(-.16, .16)), y*ch/2*(1+share(-.16, .16))
		return gocv.Point2f{X: float32(ox + cw/2 + x*math.Cos(turn) - y*math.Sin(turn)), Y: float32(oy + ch/2 + x*math.Sin(turn) + y*math.Cos(turn))}
	}
	outW, outH := 640, int(math.Round(640*ch/cw))
	from := gocv.NewPoint2fVectorFromPoints([]gocv.Point2f{corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)})
	defer from.Close()
	to := gocv.NewPoint2fVectorFromPoints([]gocv.Point2f{{}, {X: float32(outW)}, {X: float32(outW), Y: float32(outH)}, {Y: float32(outH)}})
	defer to.Close()
	p := gocv.GetPerspectiveTransform2f(from, to)
	defer p.Close()
	out := gocv.NewMat()
	if err := gocv.WarpPerspectiveWithParams(img, &out, p, image.Pt(outW, outH), gocv.InterpolationLinear, gocv.BorderReflect, color.RGBA{}); err != nil {
		_ = out.Close()
		return gocv.Mat{}, fmt.Errorf("simulate a revisit: %w", err)
	}
	if person {
		if err := somebody(out, r); err != nil {
			_ = out.Close()
			return gocv.Mat{}, err
		}
	}
	light := share(.4, .95)
	pix, err := out.DataPtrUint8()
	if err != nil {
		_ = out.Close()
		return gocv.Mat{}, fmt.Errorf("simulate a revisit: %w", err)
	}
	var lut [3][256]byte
	for c := range lut {
		k := light * share(.92, 1.08)
		for v := range lut[c] {
			lut[c][v] = byte(math.Min(255, math.Round(float64(v)*k)))
		}
	}
	for i := range pix {
		pix[i] = lut[i%3][pix[i]]
	}
	if err := gocv.GaussianBlur(out, &out, image.Pt(0, 0), share(.5, 1.4), 0, gocv.BorderDefault); err != nil {
		_ = out.Close()
		return gocv.Mat{}, fmt.Errorf("simulate a revisit: %w", err)
	}
	return out, nil
}

// somebody draws a head and shoulders in plain colours, as large as a selfie shows them.
func somebody(m gocv.Mat, r *rand.Rand) error {
	w, h := float64(m.Cols()), float64(m.Rows())
	x, size := w*(.35+.3*r.Float64()), math.Min(w, h)*(.16+.08*r.Float64())
	grey := func(low int) uint8 { return uint8(low + r.IntN(60)) }
	skin, cloth := color.RGBA{R: grey(170), G: grey(120), B: grey(90), A: 255}, color.RGBA{R: grey(20), G: grey(20), B: grey(40), A: 255}
	y := h - 2.2*size
	if err := gocv.Ellipse(&m, image.Pt(int(x), int(h)), image.Pt(int(1.9*size), int(1.6*size)), 0, 0, 360, cloth, -1); err != nil {
		return fmt.Errorf("simulate a person: %w", err)
	}
	if err := gocv.Ellipse(&m, image.Pt(int(x), int(y)), image.Pt(int(.75*size), int(size)), 0, 0, 360, skin, -1); err != nil {
		return fmt.Errorf("simulate a person: %w", err)
	}
	return nil
}
