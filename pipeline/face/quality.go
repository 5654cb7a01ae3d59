package face

import (
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"
)

// Fault names what is wrong with a face that is not good enough to compare.
type Fault string

// The faults, in the order in which they are told when a face has several.
const (
	FaultNone       Fault = ""
	FaultSmall      Fault = "small"      // too few pixels
	FaultMisaligned Fault = "misaligned" // the landmarks do not form a face: covered, cut off, or not a face
	FaultTurned     Fault = "turned"     // yaw or pitch too far
	FaultBlurred    Fault = "blurred"
	FaultDark       Fault = "dark"
	FaultBright     Fault = "bright"
)

// Quality says how well a face can be compared. The light and the sharpness are measured on eyes, nose and mouth of the aligned 112 x 112 face,
// so that they mean the same at every size and do not see the picture's edge; they are zero for a face without landmarks.
type Quality struct {
	Size       int     // height of the box, pixels
	Sharpness  float64 // variance of the Laplacian (3 x 3) of the grey face
	Brightness float64 // mean grey of the face, 0..255
	Contrast   float64 // standard deviation of the grey
	Residual   float64 // RMS distance of the five aligned points from the template, pixels of 112; 1000 when they form no face
	Weight     float64 // 0..1: how much this face counts in a track's comparison; 0 with a fault
	Fault      Fault
}

// features is where the template has eyes, nose and mouth.
var features = image.Rect(26, 38, 86, 100)

// light measures sharpness, brightness and contrast of an aligned face (112 x 112, BGR, uint8).
func (q *Quality) light(aligned gocv.Mat) error {
	grey, lap := gocv.NewMat(), gocv.NewMat()
	defer grey.Close()
	defer lap.Close()
	mean, dev := gocv.NewMat(), gocv.NewMat()
	defer mean.Close()
	defer dev.Close()
	middle := aligned.Region(features)
	defer middle.Close()
	if err := gocv.CvtColor(middle, &grey, gocv.ColorBGRToGray); err != nil {
		return fmt.Errorf("grey of an aligned face: %w", err)
	}
	if err := gocv.MeanStdDev(grey, &mean, &dev); err != nil {
		return fmt.Errorf("light of an aligned face: %w", err)
	}
	q.Brightness, q.Contrast = mean.GetDoubleAt(0, 0), dev.GetDoubleAt(0, 0)
	if err := gocv.Laplacian(grey, &lap, gocv.MatTypeCV32F, 1, 1, 0, gocv.BorderDefault); err != nil {
		return fmt.Errorf("sharpness of an aligned face: %w", err)
	}
	if err := gocv.MeanStdDev(lap, &mean, &dev); err != nil {
		return fmt.Errorf("sharpness of an aligned face: %w", err)
	}
	d := dev.GetDoubleAt(0, 0)
	q.Sharpness = d * d
	return nil
}

// judge fills Weight and Fault of a face from what was measured.
func (c *Config) judge(f *Face) {
	q := &f.Quality
	q.Weight, q.Fault = 0, FaultNone
	turn := f.Turn()
	switch {
	case q.Size < c.MinSize:
		q.Fault = FaultSmall
	case !f.HasLandmarks() || q.Residual > c.MaxResidual:
		q.Fault = FaultMisaligned
	case turn > c.MaxTurn:
		q.Fault = FaultTurned
	case q.Sharpness < c.MinSharpness:
		q.Fault = FaultBlurred
	case q.Brightness < c.MinBrightness:
		q.Fault = FaultDark
	case q.Brightness > c.MaxBrightness:
		q.Fault = FaultBright
	default:
		// Each part goes from 0.3 at its limit to 1 where more of it no longer changes the comparison; the product is the weight.
		q.Weight = Ramp(poorest, float64(q.Size), float64(c.MinSize), float64(c.GoodSize)) *
			Ramp(poorest, q.Sharpness, c.MinSharpness, c.GoodSharpness) *
			Ramp(poorest, -turn, -c.MaxTurn, -c.GoodTurn) *
			Ramp(poorest, -q.Residual, -c.MaxResidual, -c.GoodResidual) *
			Ramp(poorest, math.Min(q.Brightness-c.MinBrightness, c.MaxBrightness-q.Brightness), 0, goodExposure)
	}
}

// goodExposure is how many grey levels inside the limits of brightness a face counts fully.
const goodExposure = 30

// Turn is how far the head looks away from the camera, degrees: the larger of yaw and pitch.
func (f *Face) Turn() float64 {
	return math.Max(math.Abs(float64(f.Pose.Yaw)), math.Abs(float64(f.Pose.Pitch)))
}

// poorest is the least that one measure leaves of a face's weight in the template.
const poorest = 0.3

// Ramp is floor at or below lo, 1 at or above hi, and straight between.
func Ramp(floor, x, lo, hi float64) float64 {
	if hi <= lo {
		return 1
	}
	return floor + (1-floor)*math.Max(0, math.Min(1, (x-lo)/(hi-lo)))
}
