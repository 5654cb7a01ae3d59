package speech

import (
	"math"
	"slices"
	"time"
)

// The sound that is looked at.
const (
	Rate    = 16000                                 // samples a second, mono, -1..1
	Window  = 512                                   // samples of one answer of the voice model
	windowT = Window * time.Second / Rate           // 32 ms
	pad     = 30 * time.Millisecond                 // Silero's speech_pad_ms: a word begins a little before it is heard
	breath  = 100 * time.Millisecond                // Silero's min_silence_duration_ms: shorter silence does not end a segment
	word    = 250 * time.Millisecond                // Silero's min_speech_duration_ms: shorter sound is a click or a cough
	hang    = int((breath + windowT - 1) / windowT) // windows of silence that end a segment
)

// Segment is a part of a clip in which somebody speaks.
type Segment struct{ From, To time.Duration }

// Segments joins the voice model's answers (one per Window) to segments, by time: speech begins at enter and ends when the answers stay below
// leave (lower: hysteresis) for a tenth of a second; what lasts less than a quarter of a second is none. These are the rules and numbers of
// Silero's get_speech_timestamps.
func Segments(p []float32, enter, leave float32) []Segment {
	var out []Segment
	from, quiet := -1, 0
	end := func(to int) {
		s := Segment{From: time.Duration(from) * windowT, To: time.Duration(to) * windowT}
		if s.To-s.From >= word {
			out = append(out, s)
		}
		from, quiet = -1, 0
	}
	for i, v := range p {
		switch {
		case from < 0 && v >= enter:
			from = i
		case from >= 0 && v < leave:
			if quiet++; quiet >= hang {
				end(i - quiet + 1)
			}
		case from >= 0:
			quiet = 0
		}
	}
	if from >= 0 {
		end(len(p) - quiet)
	}
	return padded(out, time.Duration(len(p))*windowT)
}

// padded lets segments begin a little earlier and end a little later, and joins those that meet.
func padded(in []Segment, length time.Duration) []Segment {
	out := in[:0]
	for _, s := range in {
		s.From, s.To = max(0, s.From-pad), min(length, s.To+pad)
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = s.To
			continue
		}
		out = append(out, s)
	}
	return out
}

// Total is how long somebody speaks.
func Total(all []Segment) (sum time.Duration) {
	for _, s := range all {
		sum += s.To - s.From
	}
	return sum
}

// speaks says whether somebody speaks at a time.
func speaks(all []Segment, at time.Duration) bool {
	i, _ := slices.BinarySearchFunc(all, at, func(s Segment, at time.Duration) int {
		if s.To <= at {
			return -1
		}
		return 1
	})
	return i < len(all) && all[i].From <= at
}

// Level is what a sound is like before anybody listens to it.
type Level struct {
	PeakDB  float64 // highest sample, dB of full scale
	RMSDB   float64 // mean power, dB of full scale
	Clipped float64 // share of samples in runs at full scale
	Silent  bool    // there is a sound track, and nothing is on it
}

// The bounds of Level. A phone's quiet room lies at about -55 dB; below -60 dB at the loudest sample a microphone was muted or covered, or the
// track is empty. Runs of three samples at full scale are clipping; a single one can be a peak.
const (
	silentPeakDB = -60.0
	fullScale    = 0.985
	clippedRun   = 3
	floorDB      = -120.0
)

// Measure looks at a sound's level.
func Measure(pcm []float32) Level {
	var peak, power float64
	clipped, run := 0, 0
	for _, v := range pcm {
		x := math.Abs(float64(v))
		peak = max(peak, x)
		power += x * x
		if x < fullScale {
			run = 0
			continue
		}
		if run++; run == clippedRun {
			clipped += clippedRun
		} else if run > clippedRun {
			clipped++
		}
	}
	n := float64(max(len(pcm), 1))
	l := Level{PeakDB: decibel(peak), RMSDB: decibel(math.Sqrt(power / n)), Clipped: float64(clipped) / n}
	l.Silent = l.PeakDB < silentPeakDB
	return l
}

func decibel(v float64) float64 {
	if !(v > 0) {
		return floorDB
	}
	return max(floorDB, 20*math.Log10(v))
}
