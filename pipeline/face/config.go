package face

import (
	"errors"
	"fmt"

	"onsite/models"
	"onsite/models/manifest"
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
	// EarlyExit embeds FirstFrames first. Where the score and the agreement of these exceed Threshold by Sure, and nobody else stands in front,
	// the others are not embedded: somebody who is in view only in those is not seen.
	EarlyExit   bool
	FirstFrames int
	Sure        float64
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
//
// Threshold, on 122 photos of 26 identities (celebrities, actors, webcam stills), score of a photo against groups of 1 to 5 references,
// halves split by the hash of the identity's name, bootstrap over identities (1000 draws), `onsite bench face --calibrate`: at a false
// match rate of 1e-3 the half of 11 identities (6,539 different comparisons) gives a median of 0.273 and a 95 % interval of 0.206 to 0.333;
// the upper end was taken, rounded up. On the other half (15 identities, 1,773 same and 19,342 different comparisons): TAR 0.983, FMR 0. Over all
// photos: one reference TAR 0.975, FMR 1.4e-4; three references 0.990, 4.1e-4. The rate of 1e-3 itself lies at 0.294 with one reference
// (TAR 0.981; the bare models 0.956) and at 0.312 with three (0.993).
//
// Reject: 0.47 % of the different pairs score above it with one reference, 0.48 % with three. Of the same pairs 1.6 % score below it with one
// reference, 0.5 % with three and none with five, all of them with one photo in profile, which the quality gate keeps out of a comparison.
//
// What this data cannot show: a rate of 1e-3 is seven pairs of 7,063, which come from few people, so the true rate may be several times
// higher or lower; siblings, children, masks, years between the photos and, above all, Chinese faces are too few to say anything (the nearest
// different pairs are of the three Korean women and of men with glasses). There are no clips among it: that the score of a track
// behaves like that of a photo was only checked on 13 clips of 10 people against 25 strangers each (highest 0.273; expected for
// photos 0.28). A company should calibrate on its own people.
func DefaultConfig() Config {
	return Config{
		Threshold: 0.335,
		Reject:    0.25,
		Near:      0.02,

		// Five embeddings are most of the check's time; with twelve the scores of 15 clips changed by at most 0.025.
		MaxFrames: 5,
		MinFrames: 2,
		// Between three and five frames the score of no clip that was looked at moved by a third of Sure.
		FirstFrames: 3,
		Sure:        0.15,

		SeveralRatio: 0.6,
		SeveralMin:   0.08,
		SeveralShare: 0.2,

		CertainFace:    0.9,
		SmallFace:      0.2,
		Tiles:          []float64{0.6, 0.35},
		Overlap:        0.4,
		MaxTiledFrames: 4,

		// The same photos made worse, TAR at 0.31 against good references (0.972 untouched). Height 56 pixels 0.962, 40 0.965, 32 0.934,
		// 24 0.818; blur of 1 % of the height (median sharpness 87) 0.972, 1.5 % (41) 0.937, 2 % (21) 0.899, 3 % (11) 0.682; light x 0.3
		// (brightness 42) 0.969, x 0.2 (28) 0.909, x 0.1 (14) 0.544; x 2 (227) 0.858, x 3 (242) 0.594. FMR did not rise in any.
		MinLandmark: 20,
		MinSize:     40, GoodSize: 80,
		MinSharpness: 15, GoodSharpness: 90,
		MaxTurn: 40, GoodTurn: 15,
		MaxResidual: 8, GoodResidual: 4,
		MinBrightness: 25, MaxBrightness: 230,
		EnrollMinSize: 60,
		EnrollMaxTurn: 30,
		Flip:          2,
		LinkIoU:       0.25,
		LinkGap:       3,
	}
}

// ConfigFor is DefaultConfig with the numbers that belong to the models in use, as their manifests have them: the embedder's Threshold and
// Reject (Near and Sure grow with the distance between them), and the score from which the detector is certain. Scores of different embedders do not compare, so neither do their thresholds.
func ConfigFor(m Models) Config {
	c := DefaultConfig()
	set, ok := m.(interface {
		Threshold(task models.Task, name string) (float64, bool)
	})
	if !ok {
		return c
	}
	for _, n := range []struct {
		task models.Task
		name string
		into *float64
	}{
		{models.FaceEmbed, manifest.Accept, &c.Threshold}, {models.FaceEmbed, manifest.Reject, &c.Reject}, {models.FaceDetect, manifest.Certain, &c.CertainFace},
	} {
		if v, ok := set.Threshold(n.task, n.name); ok {
			*n.into = v
		}
	}
	// Near and Sure were chosen on the built-in embedder's scale of scores; the band between its two thresholds says how wide that is.
	if band := c.Threshold - c.Reject; band > 0 {
		d := DefaultConfig()
		scale := band / (d.Threshold - d.Reject)
		c.Near, c.Sure = min(c.Near*scale, 0.4), min(c.Sure*scale, 0.9)
	}
	return c
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
	bad(c.FirstFrames >= 3, "first_frames", "at least 3", c.FirstFrames)
	bad(c.Sure >= 0 && c.Sure < 1, "sure", "0 to below 1", c.Sure)
	bad(c.MinFrames >= 1 && c.MinFrames <= c.MaxFrames, "min_frames", "1 to max_frames", c.MinFrames)
	bad(c.SeveralRatio > 0 && c.SeveralRatio <= 1, "several_ratio", "above 0, at most 1", c.SeveralRatio)
	bad(c.SmallFace >= 0 && c.SmallFace <= 1, "small_face", "0 to 1", c.SmallFace)
	for _, t := range c.Tiles {
		bad(t >= 0.1 && t < 1, "tiles", "widths from 0.1 to below 1", t)
	}
	return errors.Join(errs...)
}
