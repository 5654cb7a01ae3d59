package challenge

import (
	"math"
	"slices"
	"time"
)

// The bounds of movements, degrees and times. The pose by landmarks is good to about 4 degrees (yaw) and 5 (pitch) against the truth, and better
// against itself within one clip; people who look about without being asked stay below 15 degrees most of the time.
const (
	turnFar    = 18.0                    // from the usual direction: a turn
	turnSlight = 10.0                    // less than this is none
	turnFront  = 9.0                     // around the usual direction: the face looks ahead
	turnFrom   = 4 * time.Second         // a turn begins ahead at most so long before it is complete
	turnHeld   = 2                       // samples at turnFar, so that a single wrong one is no turn
	nodFar     = 9.0                     // down (or up) and back: a nod
	nodSlight  = 4.5                     // less than this is none
	nodBack    = 4.0                     // around the direction before it
	nodLength  = 2500 * time.Millisecond // from before it to after it
	eyesShut   = 0.35                    // by the eye model
	eyesOpen   = 0.6
	blinkMost  = 1200 * time.Millisecond // that the eyes stay shut
	blinkPair  = 2500 * time.Millisecond // from the first time shut to the second
	lost       = 350 * time.Millisecond  // between two samples: a longer gap is not looked into
	minCovered = 0.6                     // of the clip's length, before anything is called not done
)

// Bounds are the numbers by which tasks are judged, by name, for whoever writes down what decided.
func Bounds() map[string]float64 {
	return map[string]float64{
		"turn_far": turnFar, "turn_slight": turnSlight, "turn_front": turnFront, "turn_from": turnFrom.Seconds(), "turn_held": turnHeld,
		"nod_far": nodFar, "nod_slight": nodSlight, "nod_back": nodBack, "nod_length": nodLength.Seconds(),
		"eyes_shut": eyesShut, "eyes_open": eyesOpen, "blink_most": blinkMost.Seconds(), "blink_pair": blinkPair.Seconds(),
		"lost": lost.Seconds(), "covered": minCovered, "spoken": minSpoken.Seconds(),
		"code_wrong": codeWrong, "code_near": codeNear, "other_frames": otherFrames, "repeats": allowedRepeats,
	}
}

// event is one movement that was found.
type event struct {
	from, to time.Duration
	degrees  float64
}

// direction is where the head usually points in a clip.
type direction struct{ yaw, pitch float64 }

// base is the median direction: whoever turns comes back.
func base(poses []Pose) direction {
	var yaw, pitch []float64
	for _, p := range poses {
		yaw, pitch = append(yaw, p.Yaw), append(pitch, p.Pitch)
	}
	return direction{median(yaw), median(pitch)}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// since gives the poses from a time on.
func since(poses []Pose, at time.Duration) []Pose {
	i, _ := slices.BinarySearchFunc(poses, at, func(p Pose, at time.Duration) int { return int(p.At - at) })
	return poses[i:]
}

// covered is for how long the head is followed without gaps.
func covered(poses []Pose) float64 {
	var sum time.Duration
	for i := 1; i < len(poses); i++ {
		if gap := poses[i].At - poses[i-1].At; gap <= lost {
			sum += gap
		}
	}
	return float64(sum)
}

// turn looks for a turn to the side of sign: from ahead to turnFar, held for two samples. The problem is "" when it is there.
func turn(poses []Pose, b direction, sign float64) (event, string) {
	best, other := 0.0, 0.0
	ahead, held := time.Duration(-1), 0
	var e event
	for i, p := range poses {
		d := sign * (p.Yaw - b.yaw)
		if i > 0 && p.At-poses[i-1].At > lost {
			held = 0
		}
		best, other = math.Max(best, d), math.Max(other, -d)
		switch {
		case math.Abs(d) <= turnFront:
			if held >= turnHeld {
				e.to = p.At
				return e, ""
			}
			ahead, held = p.At, 0
		case d >= turnFar && ahead >= 0 && p.At-ahead <= turnFrom:
			if held++; held == 1 {
				e = event{from: ahead, to: p.At, degrees: d}
			}
			e.to, e.degrees = p.At, math.Max(e.degrees, d)
		}
	}
	switch {
	case held >= turnHeld: // the clip ends before the head is back
		e.degrees = math.Round(e.degrees)
		return e, ""
	case best >= turnSlight:
		return event{degrees: math.Round(best)}, "slight"
	case other >= turnFar:
		return event{degrees: math.Round(-other)}, "other_side"
	}
	return event{degrees: math.Round(best)}, "not_seen"
}

// nod looks for pitch that leaves its direction by nodFar and comes back within nodLength, while the head does not turn as far.
func nod(poses []Pose, b direction) (event, string) {
	far := 0.0
	for i, start := range poses {
		far = math.Max(far, math.Abs(start.Pitch-b.pitch))
		if math.Abs(start.Pitch-b.pitch) > nodSlight+nodBack { // a nod begins near the usual direction
			continue
		}
		peak, turned := 0.0, 0.0
		for j := i + 1; j < len(poses) && poses[j].At-start.At <= nodLength && poses[j].At-poses[j-1].At <= lost; j++ {
			d := math.Abs(poses[j].Pitch - start.Pitch)
			peak, turned = math.Max(peak, d), math.Max(turned, math.Abs(poses[j].Yaw-start.Yaw))
			if peak >= nodFar && d <= nodBack && turned <= peak {
				return event{from: start.At, to: poses[j].At, degrees: math.Round(peak)}, ""
			}
		}
	}
	if far >= nodSlight {
		return event{degrees: math.Round(far)}, "slight"
	}
	return event{degrees: math.Round(far)}, "not_seen"
}

// blinks looks for eyes that are shut twice within blinkPair, open before, between and after. People blink four times in 15 s, seldom
// twice within so short a time.
func blinks(poses []Pose) (event, string) {
	var shut []event
	from, open := time.Duration(-1), false
	dense := 0
	for i, p := range poses {
		if i > 0 && p.At-poses[i-1].At > lost {
			from, open = -1, false
		} else if i > 0 && p.At-poses[i-1].At <= 150*time.Millisecond {
			dense++
		}
		switch {
		case p.Eyes >= eyesOpen:
			if from >= 0 && p.At-from <= blinkMost {
				shut = append(shut, event{from: from, to: p.At})
			}
			from, open = -1, true
		case p.Eyes <= eyesShut && open && from < 0:
			from = p.At
		}
	}
	for i := 1; i < len(shut); i++ {
		if shut[i].from-shut[i-1].from <= blinkPair {
			return event{from: shut[i-1].from, to: shut[i].to}, ""
		}
	}
	switch {
	case len(shut) > 0:
		return shut[0], "one_blink"
	case dense < len(poses)*3/4: // a blink of a fifth of a second falls between samples
		return event{}, "little_seen"
	}
	return event{}, "not_seen"
}
