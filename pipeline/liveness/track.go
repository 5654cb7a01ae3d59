package liveness

import (
	"context"
	"fmt"
	"image"
	"math"
	"time"

	"onsite/models"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// Track is the subject's face over the burst frames of a clip, for everything that needs time. It stays in memory.
type Track struct {
	W, H    int      // of the burst frames, pixels
	Moments []Moment // by time
	Frames  int      // burst frames that were looked at, with or without the face
}

// Moment is the subject's face in one burst frame.
type Moment struct {
	PTS   time.Duration
	Burst int             // index in Clip.Bursts
	Frame int             // index in Clip.Bursts[Burst].Frames
	Box   image.Rectangle // the square that the aligned face fills, pixels of the burst frame
	// Landmarks are the 68 points in iBUG order, pixels of the burst frame.
	Landmarks [68]face.Point
	// Yaw, Pitch and Roll in degrees, signs as the pose model has them: yaw is positive when the nose points to the left side of the picture,
	// pitch when it points up, roll when the head is tilted clockwise as seen in the picture. By the landmarks they are good to about 4 degrees
	// (yaw) and 5 (pitch); differences within one clip are better.
	Yaw, Pitch, Roll float64
	// Mouth is the opening between the inner lips over the distance of the eyes: about 0 to 0.05 closed, 0.2 when speaking, above 0.4 wide open.
	Mouth float64
	// EyesOpen is 0 (closed) to 1 (open) by the eye model, the mean of both eyes.
	EyesOpen float64
	// EyeRatio is the height of the eyes over their width (Soukupová and Čech 2016), the mean of both: it falls by half in a blink.
	EyeRatio float64
}

// EyeModels is what following a face needs from the models, beside those that find it. A *models.Set has it.
type EyeModels interface {
	face.Models
	// EyeOpen is the probability (0..1) that the eye in a grey square of InputSize is open.
	EyeOpen(ctx context.Context, im models.Image) (float32, error)
}

// Follow places the subject's landmarks in every burst frame. A burst begins where the nearest sampled frame has the face; where it is not there, or
// was lost, it is looked for, at most every few frames. An empty Track means that there are no bursts or nobody in them.
func Follow(ctx context.Context, m EyeModels, clip *media.Clip, found face.Found) (Track, error) {
	var t Track
	if found.Subject() < 0 {
		return t, nil
	}
	matcher := face.New(m, face.ConfigFor(m))
	for b := range clip.Bursts {
		var around image.Rectangle
		tried := -relook
		for i := range clip.Bursts[b].Frames {
			frame := &clip.Bursts[b].Frames[i]
			t.W, t.H = frame.Image.Cols(), frame.Image.Rows()
			t.Frames++
			if around.Empty() {
				if i-tried < relook {
					continue
				}
				tried = i
				var err error
				if around, err = lookFor(ctx, matcher, frame, &found, t.W); err != nil {
					return Track{}, fmt.Errorf("follow the face at %v: %w", frame.PTS, err)
				}
				if around.Empty() {
					continue
				}
			}
			moment, ok, err := see(ctx, m, matcher, frame, around)
			if err != nil {
				return Track{}, fmt.Errorf("follow the face at %v: %w", frame.PTS, err)
			}
			if !ok {
				around = image.Rectangle{}
				continue
			}
			moment.Burst, moment.Frame = b, i
			t.Moments = append(t.Moments, moment)
			around = moment.Box
		}
	}
	return t, nil
}

// handover is how far in time the sampled frame may be from which a face is taken over, handoverMove how far in faces it may have moved since:
// the landmarks are placed in the old box and must agree with it. That spares the detector, which is most of what following costs.
const (
	handover     = 700 * time.Millisecond
	handoverMove = 0.35
)

// lookFor gives the subject's box in a burst frame: the one of the nearest sampled frame, moved to where the landmarks are, or what the detector
// finds; empty when the face is not there.
func lookFor(ctx context.Context, matcher *face.Matcher, frame *media.Frame, found *face.Found, w int) (image.Rectangle, error) {
	near, gap := sampledBox(found, frame.PTS, w)
	if !near.Empty() && gap <= handover {
		f, ok, err := matcher.Trace(ctx, frame.Image, near)
		if err != nil {
			return image.Rectangle{}, err
		}
		if ok && handedOver(near, f.Box) {
			return f.Box, nil
		}
	}
	boxes, err := matcher.Boxes(ctx, frame.Image)
	if err != nil {
		return image.Rectangle{}, err
	}
	return subjectOf(boxes, near), nil
}

// handedOver says that two boxes are of about the same place and size.
func handedOver(a, b image.Rectangle) bool {
	move, size := apart(a, b)
	return move < handoverMove && size < 0.3
}

// apart is the distance of two boxes' middles in heights of the second, and how much they differ in size, natural logarithm.
func apart(a, b image.Rectangle) (move, size float64) {
	c, d := a.Min.Add(a.Max), b.Min.Add(b.Max)
	return math.Hypot(float64(c.X-d.X)/2, float64(c.Y-d.Y)/2) / float64(b.Dy()), math.Abs(math.Log(float64(a.Dy()) / float64(b.Dy())))
}

// relook is after how many frames a face that was lost is looked for again.
const relook = 3

// sampledBox is where the subject is in the sampled frame nearest in time, in pixels of a picture w wide, and how far away in time that is; empty
// when it is in none.
func sampledBox(found *face.Found, at time.Duration, w int) (near image.Rectangle, away time.Duration) {
	away = time.Duration(math.MaxInt64)
	for i := range found.Frames {
		f := found.SubjectIn(i)
		if gap := (found.Frames[i].PTS - at).Abs(); f != nil && gap < away && found.Frames[i].W > 0 {
			away = gap
			k := float64(w) / float64(found.Frames[i].W)
			near = image.Rect(int(float64(f.Box.Min.X)*k), int(float64(f.Box.Min.Y)*k), int(float64(f.Box.Max.X)*k), int(float64(f.Box.Max.Y)*k))
		}
	}
	return near, away
}

// subjectOf chooses, of the faces of a burst frame, the subject's: the one nearest to where it was, of about the same size; empty when there is
// none.
func subjectOf(boxes []image.Rectangle, near image.Rectangle) image.Rectangle {
	var out image.Rectangle
	least := math.Inf(1)
	for _, b := range boxes {
		if near.Empty() || b.Empty() {
			continue
		}
		away, size := apart(b, near)
		if score := away + size; away < 2 && size < math.Ln2 && score < least {
			least, out = score, b
		}
	}
	return out
}

// see measures one face near a box of a burst frame; ok is false when it is not there.
func see(ctx context.Context, m EyeModels, matcher *face.Matcher, frame *media.Frame, around image.Rectangle) (Moment, bool, error) {
	f, ok, err := matcher.Trace(ctx, frame.Image, around)
	if err != nil || !ok {
		return Moment{}, false, err
	}
	l := &f.Landmarks
	out := Moment{
		PTS: frame.PTS, Box: f.Box, Landmarks: *l,
		Yaw: float64(f.Pose.Yaw), Pitch: float64(f.Pose.Pitch), Roll: float64(f.Pose.Roll),
		EyeRatio: (lidRatio(l, 36) + lidRatio(l, 42)) / 2,
	}
	if eyes := eyeDistance(l); eyes > 0 {
		out.Mouth = (dist(l[61], l[67]) + dist(l[62], l[66]) + dist(l[63], l[65])) / 3 / eyes
	}
	w, h := m.InputSize(models.EyeState)
	for _, first := range []int{36, 42} {
		view := eyeSquare(l, first)
		if !view.Overlaps(image.Rect(0, 0, frame.Image.Cols(), frame.Image.Rows())) {
			return Moment{}, false, nil
		}
		crop, err := media.Crop(frame.Image, view, w, h)
		if err != nil {
			return Moment{}, false, err
		}
		open, err := m.EyeOpen(ctx, crop)
		if err != nil {
			return Moment{}, false, err
		}
		out.EyesOpen += float64(open) / 2
	}
	return out, true, nil
}

// eyeCrop is the side of the square that the eye model sees, in widths of the eye (facts of the model: 1.6).
const eyeCrop = 1.6

// eyeSquare is the model's view of the eye whose six points begin at the given one.
func eyeSquare(l *[68]face.Point, first int) image.Rectangle {
	var x, y float64
	for _, p := range l[first : first+6] {
		x += float64(p.X) / 6
		y += float64(p.Y) / 6
	}
	half := max(int(math.Round(eyeCrop*dist(l[first], l[first+3])/2)), 2)
	c := image.Pt(int(math.Round(x)), int(math.Round(y)))
	return image.Rectangle{c.Sub(image.Pt(half, half)), c.Add(image.Pt(half, half))}
}

// lidRatio is the height of the eye over its width.
func lidRatio(l *[68]face.Point, first int) float64 {
	w := dist(l[first], l[first+3])
	if w == 0 {
		return 0
	}
	return (dist(l[first+1], l[first+5]) + dist(l[first+2], l[first+4])) / 2 / w
}

// eyeDistance is the distance between the middles of the eyes, pixels.
func eyeDistance(l *[68]face.Point) float64 {
	var a, b face.Point
	for i := range 6 {
		a.X, a.Y = a.X+l[36+i].X/6, a.Y+l[36+i].Y/6
		b.X, b.Y = b.X+l[42+i].X/6, b.Y+l[42+i].Y/6
	}
	return dist(a, b)
}

func dist(a, b face.Point) float64 { return math.Hypot(float64(a.X-b.X), float64(a.Y-b.Y)) }
