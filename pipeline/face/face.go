package face

import (
	"context"
	"image"
	"time"

	"onsite/models"
)

// Models is what face work needs from the models. A *models.Set has it.
type Models interface {
	// InputSize is the picture size in pixels that a task's model takes.
	InputSize(task models.Task) (w, h int)
	// DetectFaces finds faces in a BGR picture of InputSize; boxes are fractions of that picture, best score first, overlaps removed.
	DetectFaces(ctx context.Context, im models.Image) ([]models.Box, error)
	// Landmarks places the 68 points (iBUG order) in a grey picture of a square around a face, as fractions of that square.
	Landmarks(ctx context.Context, im models.Image) ([68]models.Point, error)
	// Embed turns a BGR picture of an aligned face into a unit vector.
	Embed(ctx context.Context, im models.Image) (models.Vector, error)
}

// Point is a position in pixels of a frame, x to the right, y down.
type Point struct{ X, Y float32 }

// Face is one face in one frame.
type Face struct {
	Box   image.Rectangle // pixels of the frame, inside it
	Score float32         // of the detector, 0..1
	// Landmarks are the 68 points in iBUG order, in pixels of the frame; the zero array when the face is too small for them (Config.MinLandmark), one of
	// many in the frame, or no face that they fit.
	Landmarks [68]Point
	// Pose in degrees, estimated from the landmarks alone: cheap, good enough to choose frames, no measurement (ask the pose model for one).
	Pose    models.Pose
	Quality Quality
	Track   int // index in Found.Tracks; -1: in no track

	vector models.Vector // when following needed it; memory only
	rough  bool          // the landmarks were placed once, which is enough to choose frames; embedding places them again
}

// HasLandmarks tells whether the landmarks were placed.
func (f *Face) HasLandmarks() bool { return f.Landmarks != [68]Point{} }

// FrameFaces are the faces of one frame of the clip, largest first.
type FrameFaces struct {
	Index int // of the frame in Clip.Frames (its place, which is also Frame.Index)
	PTS   time.Duration
	W, H  int // of the frame, pixels
	Faces []Face
}

// Track is one person followed over the frames.
type Track struct {
	Spots      []Spot  // by frame, at most one for each
	Prominence float64 // how much this is the person in front, see prominence; comparable within one clip
}

// Spot says where a track is in one frame: Found.Frames[Frame].Faces[Face].
type Spot struct{ Frame, Face int }

// Found are all faces of a clip.
type Found struct {
	Frames []FrameFaces // one for each frame of the clip, in order
	Tracks []Track      // by prominence, highest first
}

// Subject is the index of the track of the person in front, -1 when there is no face: the most prominent track, whoever it resembles.
// A track counts more the larger its face, the nearer to the middle and the longer it is in view.
func (f *Found) Subject() int {
	if len(f.Tracks) == 0 {
		return -1
	}
	return 0
}

// At gives the face of a spot.
func (f *Found) At(s Spot) *Face { return &f.Frames[s.Frame].Faces[s.Face] }

// SubjectIn gives the subject's face in the frame at the given place of Frames, nil when it is not in view.
func (f *Found) SubjectIn(frame int) *Face {
	subject := f.Subject()
	if subject < 0 || frame < 0 || frame >= len(f.Frames) {
		return nil
	}
	for i := range f.Frames[frame].Faces {
		if f.Frames[frame].Faces[i].Track == subject {
			return &f.Frames[frame].Faces[i]
		}
	}
	return nil
}

// Others gives the boxes of all faces in a frame that are not the subject's, each grown by a quarter so that nothing of a face is left:
// these are blurred in every picture that is written. Index is that of the frame. Small faces far away are among them only after Matcher.Sweep
// looked at the frame. When no subject can be told (several_people), call All instead.
func (f *Found) Others(index int) []image.Rectangle { return f.boxes(index, f.Subject()) }

// All gives the boxes of all faces in a frame, the subject's among them, grown like those of Others.
func (f *Found) All(index int) []image.Rectangle { return f.boxes(index, -1) }

func (f *Found) boxes(index, except int) []image.Rectangle {
	var out []image.Rectangle
	for i := range f.Frames {
		frame := &f.Frames[i]
		if frame.Index != index {
			continue
		}
		for _, face := range frame.Faces {
			if except >= 0 && face.Track == except {
				continue
			}
			grow := face.Box.Dy() / 4
			out = append(out, face.Box.Inset(-grow).Intersect(image.Rect(0, 0, frame.W, frame.H)))
		}
	}
	return out
}
