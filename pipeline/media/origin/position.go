package origin

import (
	"math"
	"strconv"
	"strings"
)

// Position reads a position as mp4 and mov write it (ISO 6709: +31.2353+121.4767/, +3114.118+12128.602/, with or without height): degrees,
// WGS 84. ok is false for anything else, and for 0, 0.
func Position(s string) (lat, lon float64, ok bool) {
	s = strings.TrimSuffix(strings.TrimSpace(s), "/")
	if i := strings.Index(s, "CRS"); i >= 0 {
		s = s[:i]
	}
	if len(s) > 64 {
		return 0, 0, false
	}
	var parts []string
	for len(s) > 0 {
		if s[0] != '+' && s[0] != '-' {
			return 0, 0, false
		}
		n := strings.IndexAny(s[1:], "+-")
		if n < 0 {
			n = len(s) - 1
		}
		parts = append(parts, s[:n+1])
		s = s[n+1:]
	}
	if len(parts) < 2 || len(parts) > 3 {
		return 0, 0, false
	}
	lat, ok1 := angle(parts[0], 2)
	lon, ok2 := angle(parts[1], 3)
	ok = ok1 && ok2 && math.Abs(lat) <= 90 && math.Abs(lon) <= 180 && (lat != 0 || lon != 0)
	return lat, lon, ok
}

// angle reads ±D.D, ±DDMM.M or ±DDMMSS.S with so many digits of whole degrees.
func angle(s string, digits int) (float64, bool) {
	sign := 1.0
	if s[0] == '-' {
		sign = -1
	}
	whole, fraction, dotted := strings.Cut(s[1:], ".")
	for _, c := range whole + fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	number := func(part string) float64 {
		if dotted {
			part += "." + fraction
		}
		v, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return math.NaN()
		}
		return v
	}
	var v float64
	switch len(whole) {
	case digits + 4:
		d, _ := strconv.ParseFloat(whole[:digits], 64)
		m, _ := strconv.ParseFloat(whole[digits:digits+2], 64)
		sec := number(whole[digits+2:])
		if m >= 60 || sec >= 60 {
			return 0, false
		}
		v = d + m/60 + sec/3600
	case digits + 2:
		d, _ := strconv.ParseFloat(whole[:digits], 64)
		m := number(whole[digits:])
		if m >= 60 {
			return 0, false
		}
		v = d + m/60
	default:
		if len(whole) == 0 || len(whole) > digits {
			return 0, false
		}
		v = number(whole)
	}
	return sign * v, !math.IsNaN(v)
}
