package liveness

import (
	"image"
	"math"
	"slices"

	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// Skin is what became of looking for a change of the skin's colour in time: yes, no, or too little to say. No rate and no curve is kept or given.
type Skin string

// The answers.
const (
	SkinChanges  Skin = "yes"
	SkinDoesNot  Skin = "no"
	SkinTooShort Skin = "too_little"
)

const (
	skinLeast = 6.0  // seconds of a face that hardly pauses, below which nothing is said: four beats of a calm heart
	skinGap   = 0.4  // seconds that the face may be missing
	skinRate  = 10.0 // samples a second that the colours are brought to, as many as bursts have pictures
	skinSpan  = 1.6  // seconds over which colours are compared with their own mean: longer than a beat, shorter than a cloud
	// Below skinDark and above skinBurnt (0..255) a channel has no room to show a change: where light is missing, or burns it out, nothing is said.
	skinDark, skinBurnt = 1.0, 252.0
	// skinLo and skinHi are the beats a second that a heart has, skinMost what is searched beside them.
	skinLo, skinHi, skinMost = 0.75, 2.8, 4.5
	// skinShare is the part of the power up to skinMost that one beat and its double must hold. Noise alone reaches 0.35 over 6 to 24 s in one of a
	// hundred draws (TestSkinSaysNoToNoise); no recording with a measured pulse was at hand.
	skinShare = 0.45
)

// SkinOf asks whether the colour of the subject's cheeks and forehead changes as blood does that is pumped: green against red and blue, in a rhythm
// (the plane orthogonal to skin, Wang, den Brinker, Stuijk and de Haan 2017). The track must have been followed over the whole clip.
// Compression takes the change away, a screen shows it again, and a lamp that flickers imitates it: it is noted and decides nothing.
func SkinOf(clip *media.Clip, t *Track) (Skin, error) {
	var best, part []colour
	for _, m := range t.usable().Moments {
		c, ok, err := skinColour(&clip.Bursts[m.Burst].Frames[m.Frame], &m.Landmarks)
		if err != nil {
			return "", err
		}
		if !ok {
			continue
		}
		if len(part) > 0 && c.at-part[len(part)-1].at > skinGap {
			part = nil
		}
		if part = append(part, c); len(part) > len(best) {
			best = part
		}
	}
	return rhythm(best), nil
}

// colour is the mean colour of the skin at one time (seconds), blue, green and red, 0..255.
type colour struct{ at, b, g, r float64 }

// skinColour is the mean of three squares: both cheeks, and the forehead between the brows.
func skinColour(frame *media.Frame, l *[68]face.Point) (colour, bool, error) {
	side := int(0.3 * eyeDistance(l))
	if side < 4 {
		return colour{}, false, nil
	}
	half := func(a, b face.Point) image.Point { return image.Pt(int(a.X+b.X)/2, int(a.Y+b.Y)/2) }
	brow, eyes := half(l[21], l[22]), half(l[39], l[42])
	c := colour{at: frame.PTS.Seconds()}
	n := 0
	for _, p := range []image.Point{half(l[2], l[31]), half(l[14], l[35]), brow.Add(brow.Sub(eyes))} {
		r := image.Rectangle{p.Sub(image.Pt(side/2, side/2)), p.Add(image.Pt((side+1)/2, (side+1)/2))}
		if !r.In(image.Rect(0, 0, frame.Image.Cols(), frame.Image.Rows())) {
			continue
		}
		view, err := media.Crop(frame.Image, r, r.Dx(), r.Dy())
		if err != nil {
			return colour{}, false, err
		}
		for i := 0; i+2 < len(view.Pix); i += 3 {
			c.b, c.g, c.r = c.b+float64(view.Pix[i]), c.g+float64(view.Pix[i+1]), c.r+float64(view.Pix[i+2])
		}
		n += len(view.Pix) / 3
	}
	if n == 0 {
		return colour{}, false, nil
	}
	c.b, c.g, c.r = c.b/float64(n), c.g/float64(n), c.r/float64(n)
	return c, true, nil
}

// rhythm says whether the colours change in one.
func rhythm(c []colour) Skin {
	if len(c) < 2 || c[len(c)-1].at-c[0].at < skinLeast {
		return SkinTooShort
	}
	if slices.ContainsFunc(c, func(v colour) bool { return min(v.b, v.g, v.r) < skinDark || max(v.b, v.g, v.r) > skinBurnt }) {
		return SkinTooShort
	}
	even := resampled(c)
	pulse := make([]float64, len(even))
	span := int(skinSpan * skinRate)
	for from := 0; from+span <= len(even); from++ {
		addPart(pulse[from:from+span], even[from:from+span])
	}
	// The power of single frequencies; finer steps than the length gives cost nothing at this size.
	step := 0.25 / (float64(len(even)) / skinRate)
	var power []float64
	for f := skinLo / 2; f < skinMost; f += step {
		power = append(power, powerAt(pulse, f))
	}
	width := 1 / (float64(len(even)) / skinRate) // of a peak, on both sides
	all, peak := 0.0, 0.0
	at := func(k int) float64 { return skinLo/2 + float64(k)*step }
	for k, p := range power {
		all += p
		if f := at(k); f >= skinLo && f <= skinHi {
			sum := 0.0
			for j, q := range power {
				if g := at(j); math.Abs(g-f) <= width || math.Abs(g-2*f) <= width {
					sum += q
				}
			}
			peak = math.Max(peak, sum)
		}
	}
	switch {
	case all == 0:
		return SkinTooShort // colours that do not even carry noise were painted, or coded away
	case peak/all >= skinShare:
		return SkinChanges
	}
	return SkinDoesNot
}

// resampled are the colours at even steps, straight between the samples.
func resampled(c []colour) []colour {
	var out []colour
	j := 0
	for t := c[0].at; t <= c[len(c)-1].at; t += 1 / skinRate {
		for j < len(c)-2 && c[j+1].at < t {
			j++
		}
		k := 0.0
		if d := c[j+1].at - c[j].at; d > 0 {
			k = (t - c[j].at) / d
		}
		mix := func(a, b float64) float64 { return a + (b-a)*k }
		out = append(out, colour{t, mix(c[j].b, c[j+1].b), mix(c[j].g, c[j+1].g), mix(c[j].r, c[j+1].r)})
	}
	return out
}

// addPart adds what one stretch says of the pulse: two mixtures of the colours over their means, of which the second takes away what light does
// to all of them.
func addPart(pulse []float64, c []colour) {
	n := float64(len(c))
	var mean colour
	for _, v := range c {
		mean.b, mean.g, mean.r = mean.b+v.b/n, mean.g+v.g/n, mean.r+v.r/n
	}
	one, two := make([]float64, len(c)), make([]float64, len(c))
	for i, v := range c {
		b, g, r := v.b/mean.b, v.g/mean.g, v.r/mean.r
		one[i], two[i] = g-b, g+b-2*r
	}
	k := 0.0
	if d := deviation(two); d > 0 {
		k = deviation(one) / d
	}
	sum := 0.0
	for i := range one {
		one[i] += k * two[i]
		sum += one[i] / n
	}
	for i := range one {
		pulse[i] += one[i] - sum
	}
}

func deviation(v []float64) float64 {
	sum, sq := 0.0, 0.0
	for _, x := range v {
		sum, sq = sum+x, sq+x*x
	}
	n := float64(len(v))
	return math.Sqrt(math.Max(sq/n-sum/n*sum/n, 0))
}

// powerAt is the power of one frequency (per second) under a Hann window.
func powerAt(v []float64, f float64) float64 {
	re, im := 0.0, 0.0
	for i, x := range v {
		x *= 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(v)))
		s, c := math.Sincos(2 * math.Pi * f * float64(i) / skinRate)
		re, im = re+x*c, im+x*s
	}
	return re*re + im*im
}
