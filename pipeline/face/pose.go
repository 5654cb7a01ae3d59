package face

import (
	"math"

	"onsite/models"
)

// poseFromLandmarks estimates where a head looks from the 68 points alone, in degrees with the signs of the pose model. It costs nothing and is only good
// enough to prefer frontal frames and to leave out turned ones.
func poseFromLandmarks(l *[68]Point) models.Pose {
	p := five(l)
	ex, ey := float64(p[1].X-p[0].X), float64(p[1].Y-p[0].Y)
	eyes := math.Hypot(ex, ey)
	if eyes == 0 {
		return models.Pose{}
	}
	cos, sin := ex/eyes, ey/eyes
	// In the head's own axes, from the middle of the eyes, in units of the distance of the eyes.
	turn := func(q Point) (x, y float64) {
		dx := float64(q.X) - float64(p[0].X+p[1].X)/2
		dy := float64(q.Y) - float64(p[0].Y+p[1].Y)/2
		return (dx*cos + dy*sin) / eyes, (-dx*sin + dy*cos) / eyes
	}
	nx, ny := turn(p[2])
	mx, my := turn(Point{(p[3].X + p[4].X) / 2, (p[3].Y + p[4].Y) / 2})
	pose := models.Pose{Roll: float32(math.Atan2(sin, cos) * 180 / math.Pi)}
	pose.Yaw = float32(clamp(yawBase+yawPerOffset*(nx-mx*noseShare), -90, 90))
	if my > 0 {
		pose.Pitch = float32(clamp(pitchBase+pitchPerShift*(ny/my-noseShare), -90, 90))
	}
	return pose
}

// Fitted to the pose model on 122 photos (yaw -60..60, pitch -27..6 degrees by the model): what is left is 3.6 degrees RMS in yaw, 5.0 in pitch.
const (
	noseShare     = 0.5 // of the way from the eyes to the mouth
	yawPerOffset  = -79.3
	yawBase       = -1.2
	pitchPerShift = -41.4
	pitchBase     = -4.9
)

func clamp(x, lo, hi float64) float64 { return math.Max(lo, math.Min(hi, x)) }
