package speech

import (
	"math"
	"slices"
	"time"

	"onsite/pipeline"
)

// Mouth is the opening of the subject's mouth at one time: the gap between the inner lips over the distance of the eyes.
type Mouth struct {
	At   time.Duration
	Open float64
}

// LipsConfig are the bounds of what is said of lips and voice.
type LipsConfig struct {
	// Still is the movement (Lips.Upper) below which a mouth counts as not moving.
	Still float64
	// Moving is the movement from which a mouth counts as speaking.
	Moving float64
	// MinVoice is how long a voice must be heard while the mouth is seen, before anything is claimed.
	MinVoice time.Duration
}

// DefaultLipsConfig has bounds that were read off eleven clips of seven people: of four who keep silent Lips.Upper was 0.004 to 0.009 (the noise of
// the landmarks), of the man who talks 0.014 and 0.030, of people who make faces 0.055 to 0.087. So few say where the bounds may lie, not how
// often they are wrong.
func DefaultLipsConfig() LipsConfig {
	return LipsConfig{Still: 0.009, Moving: 0.02, MinVoice: 3 * time.Second}
}

// Lips is what a mouth does while a voice is heard.
type Lips struct {
	Outcome pipeline.Outcome // fail: a voice, and a mouth that keeps still; pass: it moves with the voice; uncertain: neither can be said
	Why     string           // of uncertain: little_voice, little_mouth, unclear
	Seen    time.Duration    // voice that was heard while the mouth was seen
	Voice   float64          // median movement while the voice is heard: standard deviation of the opening within about a second
	Upper   float64          // movement that four fifths of the voice stay below
	Silence float64          // median movement while no voice is heard; 0 where that is not seen
	// R is the correlation of movement and voice over time, and Low..High its bounds of 95 %, from as many independent points as there are
	// seconds. Where the voice never stops, or never begins, there is none: all three are 0.
	R, Low, High float64
}

// The codes of Lips.Why.
const (
	LittleVoice = "little_voice"
	LittleMouth = "little_mouth"
	Unclear     = "unclear"
)

const (
	mouthSpan  = 450 * time.Millisecond // to either side: the window of one movement
	mouthLost  = 350 * time.Millisecond // between two samples: a longer gap ends what is followed
	mouthLeast = 5                      // samples within a window
)

// FollowLips compares a mouth with the voice. It fails only where a voice is heard for MinVoice while the mouth is seen, and keeps still for
// four fifths of that; a mouth that moves with the pauses of the voice, or clearly moves while it is heard, passes. Somebody else may speak
// beside the camera: what it finds is for a person to look at.
func FollowLips(mouth []Mouth, voice []Segment, c LipsConfig) Lips {
	type point struct {
		move  float64
		voice bool
		span  time.Duration // that it stands for
	}
	var points []point
	for i, m := range mouth {
		var near []float64
		for j := i; j >= 0 && m.At-mouth[j].At <= mouthSpan && (j == i || mouth[j+1].At-mouth[j].At <= mouthLost); j-- {
			near = append(near, mouth[j].Open)
		}
		for j := i + 1; j < len(mouth) && mouth[j].At-m.At <= mouthSpan && mouth[j].At-mouth[j-1].At <= mouthLost; j++ {
			near = append(near, mouth[j].Open)
		}
		if len(near) < mouthLeast {
			continue
		}
		p := point{move: deviation(near), voice: speaks(voice, m.At)}
		if i+1 < len(mouth) {
			p.span = min(mouth[i+1].At-m.At, mouthLost)
		}
		points = append(points, p)
	}
	var out Lips
	var loud, quiet []float64
	var seen time.Duration
	for _, p := range points {
		seen += p.span
		if p.voice {
			loud = append(loud, p.move)
			out.Seen += p.span
		} else {
			quiet = append(quiet, p.move)
		}
	}
	out.Voice, out.Upper, out.Silence = quantile(loud, 0.5), quantile(loud, 0.8), quantile(quiet, 0.5)
	if len(quiet) > 0 && len(loud) > 0 {
		x, y := make([]float64, len(points)), make([]float64, len(points))
		for i, p := range points {
			y[i] = p.move
			if p.voice {
				x[i] = 1
			}
		}
		out.R, out.Low, out.High = correlation(x, y, seen.Seconds())
	}
	out.Outcome, out.Why = out.judge(Total(voice), c)
	return out
}

func (l *Lips) judge(spoken time.Duration, c LipsConfig) (pipeline.Outcome, string) {
	switch {
	case spoken < c.MinVoice:
		return pipeline.Uncertain, LittleVoice
	case l.Seen < c.MinVoice:
		return pipeline.Uncertain, LittleMouth
	case l.Upper < c.Still:
		return pipeline.Fail, ""
	case l.Upper >= c.Moving && l.High >= 0, l.Upper >= c.Still && l.Low > 0:
		return pipeline.Pass, ""
	}
	return pipeline.Uncertain, Unclear
}

// deviation is the standard deviation.
func deviation(v []float64) float64 {
	var sum, squares float64
	for _, x := range v {
		sum += x
	}
	mean := sum / float64(len(v))
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt(squares / float64(len(v)))
}

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[int(q*float64(len(s)-1))]
}

// correlation is Pearson's, with the bounds of 95 % by Fisher's transform for n independent points: samples a tenth of a second apart are not.
func correlation(x, y []float64, n float64) (r, low, high float64) {
	var mx, my float64
	for i := range x {
		mx, my = mx+x[i], my+y[i]
	}
	mx, my = mx/float64(len(x)), my/float64(len(x))
	var xy, xx, yy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xy, xx, yy = xy+dx*dy, xx+dx*dx, yy+dy*dy
	}
	if !(xx > 0 && yy > 0) {
		return 0, 0, 0
	}
	r = xy / math.Sqrt(xx*yy)
	if n <= 4 { // Fisher's variance is 1/(n-3): nothing is bounded
		return r, -1, 1
	}
	z, e := math.Atanh(max(-0.999, min(0.999, r))), 1.96/math.Sqrt(n-3)
	return r, math.Tanh(z - e), math.Tanh(z + e)
}
