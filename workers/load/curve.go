package load

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Curve is how many people come when: straight lines between points. The rates are relative; how many come in all is said apart.
type Curve []Point

// Point is a rate at a time of the morning.
type Point struct {
	At   time.Duration // since midnight
	Rate float64       // relative to the other points
}

// Bell is the usual morning: most come around a time, fewer before and after, in a normal distribution that is cut off at from and to.
func Bell(from, to, peak, sigma time.Duration) (Curve, error) {
	if from >= to || sigma <= 0 {
		return nil, fmt.Errorf("arrival curve: from %v to %v with a spread of %v: want from before to, and a spread above 0", from, to, sigma)
	}
	const steps = 200
	var c Curve
	for i := range steps + 1 {
		at := from + (to-from)*time.Duration(i)/steps
		z := (at - peak).Seconds() / sigma.Seconds()
		c = append(c, Point{At: at, Rate: math.Exp(-z * z / 2)})
	}
	return c, c.check()
}

// Flat is a constant rate for a time.
func Flat(length time.Duration) Curve {
	return Curve{{0, 1}, {length, 1}}
}

// maxPoints bounds a curve that is read: one point for each second of a day.
const maxPoints = 86_400

// ReadCurve reads lines "HH:MM[:SS],rate", as 08:55,120; a first line of words is left out. Rates may be in any unit.
func ReadCurve(r io.Reader) (Curve, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord, rows.Comment, rows.TrimLeadingSpace = 2, '#', true
	var c Curve
	for n := 1; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the arrival curve: %w; write lines like 08:55,120", err)
		}
		if n == 1 && !strings.ContainsAny(row[0], "0123456789") {
			continue
		}
		at, err := Clock(strings.TrimSpace(row[0]))
		if err != nil {
			return nil, fmt.Errorf("read the arrival curve: line %d: %w", n, err)
		}
		rate, err := strconv.ParseFloat(strings.TrimSpace(row[1]), 64)
		if err != nil {
			return nil, fmt.Errorf("read the arrival curve: line %d: %q is no number; write lines like 08:55,120", n, row[1])
		}
		if c = append(c, Point{at, rate}); len(c) > maxPoints {
			return nil, fmt.Errorf("read the arrival curve: more than %d lines", maxPoints)
		}
	}
	return c, c.check()
}

// Clock reads a time of day, 08:55 or 08:55:30.
func Clock(s string) (time.Duration, error) {
	for _, form := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.Sub(t.Truncate(24 * time.Hour)), nil
		}
	}
	return 0, fmt.Errorf("%q is no time of day; write 08:55 or 08:55:30", s)
}

func (c Curve) check() error {
	if len(c) < 2 {
		return errors.New("arrival curve: want two points at least")
	}
	area := 0.0
	for i, p := range c {
		if math.IsNaN(p.Rate) || p.Rate < 0 || p.Rate > 1e12 {
			return fmt.Errorf("arrival curve: the rate %g at %v is not between 0 and 1e12", p.Rate, p.At)
		}
		if i > 0 && p.At <= c[i-1].At {
			return fmt.Errorf("arrival curve: %v does not come after %v", p.At, c[i-1].At)
		}
		if i > 0 {
			area += (p.Rate + c[i-1].Rate) * (p.At - c[i-1].At).Seconds() / 2
		}
	}
	if area <= 0 {
		return errors.New("arrival curve: nobody comes: all rates are 0")
	}
	return nil
}

// Span is how long the morning is.
func (c Curve) Span() time.Duration { return c[len(c)-1].At - c[0].At }

// Peak is the highest rate when n people come, per second of the morning.
func (c Curve) Peak(n int) float64 {
	top, area := 0.0, 0.0
	for i, p := range c {
		top = max(top, p.Rate)
		if i > 0 {
			area += (p.Rate + c[i-1].Rate) * (p.At - c[i-1].At).Seconds() / 2
		}
	}
	return top / area * float64(n)
}

// Times draws when each of n people comes, sorted: a Poisson process of the curve's rate of which it is known that n came, in which bunches and
// gaps are as frequent as in life. The morning is played in the time over; the same seed gives the same morning.
func (c Curve) Times(n int, over time.Duration, seed uint64) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // arrivals, repeatable on purpose
	sums := make([]float64, len(c))
	for i := 1; i < len(c); i++ {
		sums[i] = sums[i-1] + (c[i].Rate+c[i-1].Rate)*(c[i].At-c[i-1].At).Seconds()/2
	}
	out := make([]time.Duration, n)
	for k := range out {
		u := rng.Float64() * sums[len(sums)-1]
		i, _ := slices.BinarySearch(sums, u)
		i = min(max(i, 1), len(c)-1)
		at := c[i-1].At.Seconds() + within(c[i-1].Rate, c[i].Rate, (c[i].At-c[i-1].At).Seconds(), u-sums[i-1])
		out[k] = time.Duration((at - c[0].At.Seconds()) / c.Span().Seconds() * float64(over))
	}
	slices.Sort(out)
	return out
}

// within gives where in a stretch, whose rate goes from a to b over a length, the area under the line reaches u.
func within(a, b, length, u float64) float64 {
	slope := (b - a) / length
	if math.Abs(slope) < 1e-12*max(a, b, 1e-300) || slope == 0 {
		return min(u/a, length)
	}
	return min(max((math.Sqrt(max(a*a+2*slope*u, 0))-a)/slope, 0), length)
}
