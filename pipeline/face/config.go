package face

import (
	"errors"
	"fmt"
)

// Config holds the numbers of the face check. Lengths are fractions of the frame's short side unless a name says pixels.
type Config struct {
	// Threshold is the score from which the person in front is the enrolled one; Reject the score below which it is somebody else.
	// Between them nothing is claimed (face_uncertain).
	Threshold float64
	Reject    float64
	// Near is the distance from Threshold or Reject within which another machine or decoder may decide otherwise.
	Near float64

	// MaxFrames bounds how many frames of a clip are embedded: they are most of the check's time.
	MaxFrames int
	// MinFrames is how many good frames a clip must have; a photo has one.
	MinFrames int

	// SeveralRatio: somebody whose face is at least this part of the subject's height in the frames where both are in view stands in
	// front too (0.6: at less than 1.7 times the distance from the camera). Then nobody can say whose clip it is: several_people.
	SeveralRatio float64
	// SeveralMin is the least height of such a face, a fraction of the frame's short side: smaller ones are background.
	SeveralMin float64
	// SeveralShare is the part of the subject's frames in which the other must be in view.
	SeveralShare float64

	// CertainFace is the detector's score from which a face is certain: without one, a photo is looked at again from farther away.
	CertainFace float64
	// SmallFace is the height of a face, a fraction of a tile's share of the frame's short side, from which tiles of that share are not looked at.
	SmallFace float64
	// Tiles are the widths of the tiles of the second pass, fractions of the picture's long side, tried in this order.
	Tiles []float64
	// Overlap is the IoU above which two boxes of different passes are one face.
	Overlap float64
	// MaxTiledFrames bounds in how many frames of a clip without any face the tiles are tried.
	MaxTiledFrames int

	// MinLandmark is the height in pixels of the smallest face that gets landmarks.
	MinLandmark int
	// Limits of the quality gate (Quality says the units), and the values from which a face counts fully.
	MinSize, GoodSize            int
	MinSharpness, GoodSharpness  float64
	MaxTurn, GoodTurn            float64 // degrees
	MaxResidual, GoodResidual    float64
	MinBrightness, MaxBrightness float64
	EnrollMinSize                int     // pixels: an enrolled photo is asked for more
	EnrollMaxTurn                float64 // degrees
	// Flip: faces are also embedded mirrored, and the mean taken, when at most this many frames are compared.
	Flip    int
	LinkIoU float64 // overlap of two boxes that are the same person one frame later
	LinkGap int     // frames that a person may be out of view and keep the track by place alone
}

// DefaultConfig is what the product uses.
func DefaultConfig() Config {
	return Config{
		Threshold: 0.31,
		Reject:    0.23,
		Near:      0.02,

		MaxFrames: 5,
		MinFrames: 2,

		SeveralRatio: 0.6,
		SeveralMin:   0.08,
		SeveralShare: 0.2,

		CertainFace:    0.9,
		SmallFace:      0.2,
		Tiles:          []float64{0.6, 0.35},
		Overlap:        0.4,
		MaxTiledFrames: 4,

		MinLandmark: 20,
		MinSize:     40, GoodSize: 112,
		MinSharpness: 20, GoodSharpness: 200,
		MaxTurn: 45, GoodTurn: 10,
		MaxResidual: 10, GoodResidual: 3,
		MinBrightness: 30, MaxBrightness: 230,
		EnrollMinSize: 60,
		EnrollMaxTurn: 35,
		Flip:          2,
		LinkIoU:       0.25,
		LinkGap:       3,
	}
}

// Validate reports every value that makes no sense, all at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, name, want string, have any) {
		if !ok {
			errs = append(errs, fmt.Errorf("face.%s is %v, want %s", name, have, want))
		}
	}
	bad(c.Threshold > -1 && c.Threshold < 1, "threshold", "a cosine between -1 and 1", c.Threshold)
	bad(c.Reject > -1 && c.Reject <= c.Threshold, "reject", "a cosine of at most the threshold", c.Reject)
	bad(c.Near >= 0 && c.Near < 0.5, "near", "0 to 0.5", c.Near)
	bad(c.MaxFrames >= 2, "max_frames", "at least 2", c.MaxFrames)
	bad(c.MinFrames >= 1 && c.MinFrames <= c.MaxFrames, "min_frames", "1 to max_frames", c.MinFrames)
	bad(c.SeveralRatio > 0 && c.SeveralRatio <= 1, "several_ratio", "above 0, at most 1", c.SeveralRatio)
	bad(c.SmallFace >= 0 && c.SmallFace <= 1, "small_face", "0 to 1", c.SmallFace)
	for _, t := range c.Tiles {
		bad(t >= 0.1 && t < 1, "tiles", "widths from 0.1 to below 1", t)
	}
	return errors.Join(errs...)
}
