package liveness

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
)

// sign is something about a clip that speaks for a picture of a person, as a number from 0 (nothing) to 1 (clearly). Its ranges come from what the
// cues mean and from a look at honest clips; how much each sign counts is fitted, beginning at prior: what the sign should be worth by what is
// known of real screens and prints, so that one that the suite at hand shows rarely is not forgotten. most bounds the signs that honest
// people have too, by their room and their lamp, and whatever the formulas of a generated suite would make of them.
type sign struct {
	name        string
	of          func(c cues) (value float64, ok bool)
	prior, most float64 // log odds
	source      string  // the sign that the same thing in an honest room gives too: both together are one; empty: its own name
	alone       float64 // log odds from which it is one of its own all the same; 0: never
}

// rising is a cue that speaks from the value lo on, and fully from hi on; with lo above hi, one that speaks the less the higher it is.
func rising(cue string, lo, hi float64) func(cues) (float64, bool) {
	return func(c cues) (float64, bool) {
		v, ok := c[cue]
		if !ok || math.IsNaN(v) {
			return 0, false
		}
		return math.Max(0, math.Min(1, (v-lo)/(hi-lo))), true
	}
}

// signs lists them. A sign that was not measured counts nothing.
var signs = []sign{
	{"still_face", stillFace, 2, 4.4, "", 0},                                        // registered to itself over seconds, only noise is left
	{"stiff_face", rising(cueDeform, 1.1, 0.55), 1.2, 4.4, "still_face", 2.5},       // the 68 points move as a plane does: so do those of somebody who keeps still, but for the last of it
	{"still_mouth", rising(cueMouth, 0.03, 0.008), 0.6, 0.8, "", 0},                 // ... and the lips
	{"still_eyes", rising(cueEyes, 0.03, 0.01), 0.6, 0.8, "", 0},                    // ... and the lids
	{"no_depth", rising(cueThird, 1.6, 1), 0, 0.5, "", 0},                           // a head that turns shows none
	{"never_blinks", neverBlinks, 0, 0.3, "", 0},                                    // in all bursts together: three seconds are short
	{"moves_with_background", rising(cueSlip, slipSpeaks, 5), 3, 4.4, "", 0},        // what is beside the head moves with it, against the room
	{"fine_pattern", rising(cuePattern, 1.65, 2.6), 3.5, 4.4, "", 0},                // moire, pixel grid
	{"fringes", rising(cueFringe, 1.5, 2), 3, 4.4, "fine_pattern", 0},               // ... in colour
	{"pattern_all_over", rising(cueWide, 1.05, 1.4), 3, 4.4, "fine_pattern", 0},     // ... in the whole picture, where 163 honest clips reach 1.04
	{"fringes_all_over", rising(cueStained, 0.95, 1.25), 3, 4.4, "fine_pattern", 0}, // ... and 0.92, one 1.09
	{"outline", rising(cueRim, rimSpeaks, 0.8), 3.2, 4.4, "", 0},                    // an edge all around
	{"bezel", bezelOf, 1, 2, "outline", 0},                                          // ... beside a dark strip
	{"screen_sides", rising(cueSides, 0.7, 0.85), 3.2, 4.4, "outline", 0},           // ... of a screen that nearly fills the picture
	{"grey_black", rising(cueBlack, 60, 85), 0.3, 0.5, "", 0},                       // nothing is dark: paper, a glowing screen
	{"dull_white", rising(cueWhite, 150, 120), 0.1, 0.3, "", 0},                     // nothing is bright
	{"burnt_out", rising(cueGlare, 0.02, 0.1), 0.1, 0.3, "", 0},                     // a lamp mirrored in glass
	{"sharp_all_over", rising(cueFocus, 0, 0.3), 0.1, 0.3, "", 0},                   // face and surroundings are in one plane of focus
}

// rimSpeaks and slipSpeaks are the values of these cues from which they say anything: of 161 honest clips six have an outline above .6, none above .66; of
// 134 photos none above .6, but for one with a border.
const rimSpeaks, slipSpeaks = 0.62, 2

// stillFace counts less where the 68 points move in themselves: a poor camera and a hard coder wipe out what a mouth and lids change, not that they do.
// Of 40 stills and prints whose face stays the same none deforms by more than 1.4; of 33 honest clips 29 by 1.2 and more. Half of it stays whatever
// the points do: a print that is bent, or tilted near the camera, deforms them as a face does, and with nothing else of it seen half is no doubt.
func stillFace(c cues) (float64, bool) {
	still, ok := rising(cueFlat, 1.6, 0.9)(c)
	if moving, known := rising(cueDeform, 1.5, 2.5)(c); known {
		still *= 1 - moving/2
	}
	return still, ok
}

func bezelOf(c cues) (float64, bool) {
	outline, ok := rising(cueRim, rimSpeaks, 0.8)(c)
	return outline * c[cueBezel], ok
}

func neverBlinks(c cues) (float64, bool) {
	v, ok := c[cueBlinks]
	if !ok || v > 0 {
		return 0, ok
	}
	return 1, true
}

// weights say how much each sign counts: the logarithm of the odds that it adds for an attack.
type weights struct {
	Fitted string             `json:"fitted"` // how and on what
	Bias   float64            `json:"bias"`   // log odds without any sign
	Signs  map[string]float64 `json:"signs"`
}

//go:embed weights.json
var weightsFile []byte

// fitted are the weights that the product uses.
var fitted = mustWeights(weightsFile)

func mustWeights(raw []byte) weights {
	w, err := readWeights(raw)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return w
}

func readWeights(raw []byte) (weights, error) {
	var w weights
	if err := json.Unmarshal(raw, &w); err != nil {
		return w, fmt.Errorf("read the weights of the liveness signs: %w", err)
	}
	known := map[string]bool{}
	for _, s := range signs {
		known[s.name] = true
	}
	for name, v := range w.Signs {
		if !known[name] || v < 0 || math.IsNaN(v) {
			return w, fmt.Errorf("read the weights of the liveness signs: %s has weight %g; known signs have weights of 0 and more", name, v)
		}
	}
	return w, nil
}

// alive is the probability (0..1, on the data that the weights were fitted to) that a clip with these cues shows a live person, and what each
// sign took from it, in log odds.
func (w *weights) alive(c cues) (p float64, took map[string]float64) {
	odds := w.Bias
	took = map[string]float64{}
	for _, s := range signs {
		if v, ok := s.of(c); ok && v*w.Signs[s.name] > 0 {
			took[s.name] = v * w.Signs[s.name]
			odds += took[s.name]
		}
	}
	return 1 / (1 + math.Exp(odds)), took
}

// substance is what a sign must take, in log odds, to be one of the two that a fail needs: about 2.7 times as likely an attack.
const substance = 1.0

// independent counts the signs of substance that do not come from the same thing.
func independent(took map[string]float64) int {
	seen := map[string]bool{}
	for _, s := range signs {
		if took[s.name] < substance {
			continue
		}
		if s.source != "" && (s.alone == 0 || took[s.name] < s.alone) {
			seen[s.source] = true
		} else {
			seen[s.name] = true
		}
	}
	return len(seen)
}

// WeightsDigest is the sha256 (hex) of the weights that the product uses, for whoever writes down what decided.
func WeightsDigest() string {
	sum := sha256.Sum256(weightsFile)
	return hex.EncodeToString(sum[:])
}
