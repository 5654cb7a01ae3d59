package liveness

import (
	"errors"
	"fmt"
)

// Config holds the numbers of the liveness check. Lengths are pixels of the sampled frames, light is a mean grey 0..255.
type Config struct {
	// Threshold is the live score (0..1) of a track from which it counts as live. The model's own: 0.5 (see its manifest).
	Threshold float64
	// ClearSpoof is the stricter live score below which the model's votes alone fail: somebody beside the subject, since a poster or a
	// television in the room is nobody's fault; a photo's only face, since nothing else confirms its vote; and a clip's, between which and
	// Threshold a person is asked. Of 122 real photos 6 lie below 0.5 and 3 below 0.3, of 3 real attacks all below 0.13.
	ClearSpoof float64
	// SignsDoubt and SignsSpoof are the probabilities of a live person, by the signs together, below which nothing is claimed, and below which the
	// clip counts as a picture of a person. The lowest of 30 honest files of a generated suite (10 clips of 8 people, each scored with weights fitted
	// without its person) is 0.85; of 15 other honest clips one that was a GIF before, of a man who hardly moves, is 0.61.
	SignsDoubt, SignsSpoof float64
	// Near is the distance from a threshold within which another machine may decide otherwise.
	Near float64

	// Crop is the side of the square that the model sees, in face heights. The model was made for 2.0; at 2.7 it rejects twice the real faces.
	Crop float64
	// PhotoView is how many face heights of a photo the model must see before its no counts: of a face that fills the picture it does not
	// see what is around it. 5 of the 6 real photos that it rejects (of 122) show less.
	PhotoView float64
	// MinFace is the least height of a face that votes, GoodFace the height from which it votes fully.
	MinFace, GoodFace int
	// DarkFace is the light below which the model's errors sit: such a face votes little, and a clip of such faces is uncertain. GoodLight is
	// the light from which a face votes fully.
	DarkFace, GoodLight float64
	// NoisyView is the noise of what the model sees, grey levels, from which its no alone fails nobody. Of 33 honest clips that were made worse one is
	// rejected, at 2.0; of 33 imitated replays coded as a poor camera would none has more than 0.9.
	NoisyView float64
	// MaxTurn and GoodTurn are degrees by which a head may look away to vote at all, and to vote fully.
	MaxTurn, GoodTurn float64

	// MaxVotes bounds how many faces of the subject are looked at, MaxOthers those of everybody else: they are the check's time.
	MaxVotes, MaxOthers int
	// MinVotes and MinWeight are what a clip must hold before its faces say anything. MinWeight is of ten faces: of a longer track fewer are
	// asked (MaxVotes), each of which stands for others like it, and their sum need be as much less.
	MinVotes  int
	MinWeight float64
	// PhotoMinWeight is the same for the one face of a photo.
	PhotoMinWeight float64
	// EarlyExit stops asking about the subject's faces when no answer could change the outcome any more (ballot.settled).
	EarlyExit bool `json:",omitzero"`
	// Prominent is the part of the subject's height from which somebody else is looked at.
	Prominent float64
}

// DefaultConfig is what the product uses.
func DefaultConfig() Config {
	return Config{
		Threshold:  0.5,
		ClearSpoof: 0.2,
		SignsDoubt: 0.6,
		SignsSpoof: 0.4,
		Near:       0.05,

		Crop:      2.0,
		PhotoView: 1.5,
		MinFace:   40, GoodFace: 96,
		DarkFace: 45, GoodLight: 80,
		NoisyView: 1.5,
		MaxTurn:   60, GoodTurn: 25,

		MaxVotes:       5,
		MaxOthers:      6,
		MinVotes:       2,
		MinWeight:      0.8,
		PhotoMinWeight: 0.25,
		Prominent:      0.4,
	}
}

// Validate reports every value that makes no sense, all at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, name, want string, have any) {
		if !ok {
			errs = append(errs, fmt.Errorf("liveness.%s is %v, want %s", name, have, want))
		}
	}
	bad(c.Threshold > 0 && c.Threshold < 1, "threshold", "above 0, below 1", c.Threshold)
	bad(c.ClearSpoof > 0 && c.ClearSpoof <= c.Threshold, "clear_spoof", "above 0, at most the threshold", c.ClearSpoof)
	bad(c.SignsDoubt > 0 && c.SignsDoubt < 1, "signs_doubt", "above 0, below 1", c.SignsDoubt)
	bad(c.SignsSpoof >= 0 && c.SignsSpoof <= c.SignsDoubt, "signs_spoof", "0 to signs_doubt", c.SignsSpoof)
	bad(c.Near >= 0 && c.Near < 0.5, "near", "0 to 0.5", c.Near)
	bad(c.Crop >= 1 && c.Crop <= 4, "crop", "1 to 4", c.Crop)
	bad(c.PhotoView >= 0 && c.PhotoView <= c.Crop, "photo_view", "0 to crop", c.PhotoView)
	bad(c.MinFace > 0 && c.MinFace <= c.GoodFace, "min_face", "above 0, at most good_face", c.MinFace)
	bad(c.DarkFace >= 0 && c.DarkFace <= c.GoodLight, "dark_face", "0 to good_light", c.DarkFace)
	bad(c.NoisyView > 0, "noisy_view", "above 0", c.NoisyView)
	bad(c.MaxTurn > 0 && c.GoodTurn <= c.MaxTurn, "max_turn", "above 0, at least good_turn", c.MaxTurn)
	bad(c.MaxVotes >= 1 && c.MaxOthers >= 0, "max_votes", "at least 1", c.MaxVotes)
	bad(c.MinVotes >= 1 && c.MinVotes <= c.MaxVotes, "min_votes", "1 to max_votes", c.MinVotes)
	bad(c.Prominent > 0 && c.Prominent <= 1, "prominent", "above 0, at most 1", c.Prominent)
	return errors.Join(errs...)
}
