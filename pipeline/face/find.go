package face

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sort"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/media"
)

// Matcher finds and compares faces. It is safe for concurrent use when its models are.
type Matcher struct {
	models Models
	config Config
	frame  frame // of the faces that the embedder takes
	plain  bool  // resize in one step, as the models were verified: for the bare figures only
}

// New makes a Matcher. The Config must be valid (Config.Validate).
func New(m Models, c Config) *Matcher { return &Matcher{models: m, config: c, frame: frameOf(m)} }

// Config gives the numbers that the Matcher works with.
func (m *Matcher) Config() Config { return m.config }

// Find looks for faces in every frame of a clip and follows them. In a photo tiles are looked at when the first pass finds no face or
// only small ones; in a clip only when no frame shows a face at all, and then in a few frames: a person who proves to be at work fills
// more of the picture than that, and time is short. Sweep finds the small faces of a frame that will be shown to people.
func (m *Matcher) Find(ctx context.Context, clip *media.Clip) (Found, error) {
	if clip == nil || len(clip.Frames) == 0 {
		return Found{}, errors.New("find faces: the clip has no frames")
	}
	photo := len(clip.Frames) == 1
	found := Found{Frames: make([]FrameFaces, len(clip.Frames))}
	p := pyramidOf(&clip.Frames[0])
	defer p.close()
	seen := 0
	for i := range clip.Frames {
		if err := m.look(ctx, p, &clip.Frames[i], &found.Frames[i], photo, !photo); err != nil {
			return Found{}, err
		}
		seen += len(found.Frames[i].Faces)
	}
	if seen == 0 && !photo {
		for _, i := range spread(len(clip.Frames), m.config.MaxTiledFrames) {
			if err := m.look(ctx, p, &clip.Frames[i], &found.Frames[i], true, true); err != nil {
				return Found{}, err
			}
		}
	}
	if err := m.link(ctx, clip, &found); err != nil {
		return Found{}, err
	}
	return found, nil
}

// Sweep looks again, in tiles, at the frame with the given index, and adds to Found the faces that Find had no reason to look for:
// people far away. Call it before a picture of the frame is written, so that Others blurs them too. The tracks do not change.
//
// Its 16 runs of the detector for a frame of 1280 x 720 are nearly all that a kept picture costs. Ten larger tiles that overlap less find 20 instead of 26
// of 27 faces drawn 24 pixels high, and 5 instead of 13 of those of 16; tiles that show what they showed in an earlier frame are 0 to 9 % of a clip
// from a hand and 20 to 33 % before a fixed camera; flat tiles are 2 %. So all tiles are looked at.
func (m *Matcher) Sweep(ctx context.Context, clip *media.Clip, found *Found, index int) error {
	for i := range clip.Frames {
		if clip.Frames[i].Index != index || i >= len(found.Frames) {
			continue
		}
		p := pyramidOf(&clip.Frames[i])
		defer p.close()
		var boxes []box
		for _, share := range m.config.Tiles {
			more, err := m.scanTiles(ctx, p, share)
			if err != nil {
				return fmt.Errorf("frame %d: %w", index, err)
			}
			boxes = append(boxes, more...)
		}
		frame := &found.Frames[i]
		for _, b := range merge(boxes, m.config.Overlap) {
			r := b.rect(frame.W, frame.H)
			if !known(frame.Faces, r, m.config.Overlap) && !ofHead(found.SubjectIn(i), r) {
				frame.Faces = append(frame.Faces, Face{Box: r, Score: b.score, Track: -1, Quality: Quality{Size: r.Dy(), Fault: FaultSmall}})
			}
		}
		return nil
	}
	return fmt.Errorf("look again for faces: the clip has no frame %d", index)
}

// known tells whether one of the faces covers the box.
func known(faces []Face, r image.Rectangle, overlap float64) bool {
	for i := range faces {
		both := faces[i].Box.Intersect(r)
		if iou(faces[i].Box, r) > overlap || float64(area(both)) > inside*float64(area(r)) {
			return true
		}
	}
	return false
}

// ofHead tells whether a box that only tiles show is an ear, the chin or the hair of the subject: at most half as high as the face, or two thirds,
// and with the middle in the ellipse that stands for the head: a third larger than the face's box (ears lie up to 0.13 of its width outside), or as
// large. What is farther away there is covered by the head. The corners of the box are not: whoever stands in them is blurred, with what they have
// of the subject.
func ofHead(subject *Face, r image.Rectangle) bool {
	if subject == nil || 3*r.Dy() > 2*subject.Box.Dy() {
		return false
	}
	b, wide, high := subject.Box, 1.0, 1.0
	if 2*r.Dy() <= b.Dy() {
		wide, high = 1.35, 1.3
	}
	x := float64(r.Min.X+r.Max.X-b.Min.X-b.Max.X) / (wide * float64(b.Dx()))
	y := float64(r.Min.Y+r.Max.Y-b.Min.Y-b.Max.Y) / (high * float64(b.Dy()))
	return x*x+y*y <= 1
}

// look fills the faces of one frame: thorough looks in tiles, too; rough places landmarks once.
func (m *Matcher) look(ctx context.Context, p *pyramid, frame *media.Frame, out *FrameFaces, thorough, rough bool) error {
	p.show(frame)
	*out = FrameFaces{Index: frame.Index, PTS: frame.PTS, W: frame.Image.Cols(), H: frame.Image.Rows()}
	boxes, err := m.detect(ctx, p, thorough)
	if err != nil {
		return fmt.Errorf("frame %d: %w", frame.Index, err)
	}
	sort.SliceStable(boxes, func(i, j int) bool { return boxes[i].height() > boxes[j].height() })
	for i, b := range boxes {
		f := Face{Box: b.rect(out.W, out.H), Score: b.score, Track: -1}
		f.Quality.Size = f.Box.Dy()
		if i < maxExamined && f.Quality.Size >= m.config.MinLandmark {
			if err := m.examine(ctx, p, b, &f, rough); err != nil {
				return fmt.Errorf("frame %d: face at %v: %w", frame.Index, f.Box, err)
			}
		}
		m.config.judge(&f)
		if f.rough && f.Quality.Fault != FaultNone && f.Quality.Fault != FaultSmall {
			// No face is called too poor before its landmarks were placed as well as they can be.
			if f.Landmarks, err = m.placeAgain(ctx, p, f.Landmarks); err == nil {
				f.rough = false
				err = gauge(p, &f)
			}
			if err != nil {
				return fmt.Errorf("frame %d: face at %v: %w", frame.Index, f.Box, err)
			}
			m.config.judge(&f)
		}
		out.Faces = append(out.Faces, f)
	}
	return nil
}

// maxExamined is how many faces of a frame, the largest first, get landmarks and quality: whoever stands in front is among them.
const maxExamined = 4

// examine places the landmarks and measures pose (from the landmarks) and quality. In a photo they are placed twice, the second time on the
// square that the first ones say the aligned face fills, and the mean is taken: detections of small or turned faces sit badly. On 122 photos the
// distance of the same and the different pairs' means rose from 5.72 to 5.86 standard deviations. Of a clip's faces (rough) only those that
// are embedded, or would be called too poor, get the second look.
func (m *Matcher) examine(ctx context.Context, p *pyramid, b box, f *Face, rough bool) error {
	var err error
	if f.Landmarks, err = m.place(ctx, p, b); err == nil && !rough {
		f.Landmarks, err = m.placeAgain(ctx, p, f.Landmarks)
	}
	if err != nil {
		return err
	}
	f.rough = rough
	return gauge(p, f)
}

// gauge fills pose and quality of a face from its landmarks.
func gauge(p *pyramid, f *Face) error {
	if _, residual := fit(five(&f.Landmarks), template); residual < noFit {
		f.Quality.Residual = residual
	} else { // also when it is no number
		f.Quality.Residual = noFit
	}
	f.Pose = poseFromLandmarks(&f.Landmarks)
	aligned := gocv.NewMat()
	defer aligned.Close()
	if err := arcFace.align(p, &f.Landmarks, &aligned); errors.Is(err, errNotAFace) {
		f.Landmarks, f.Pose, f.Quality.Residual = [68]Point{}, models.Pose{}, noFit
		return nil
	} else if err != nil {
		return err
	}
	return f.Quality.light(aligned)
}

// noFit is the residual of landmarks that form no face.
const noFit = 1000.0

// place runs the landmark model on the square around a box, whose side is the box's height, and gives the points in pixels of the frame.
func (m *Matcher) place(ctx context.Context, p *pyramid, b box) ([68]Point, error) {
	cx, cy, side := (b.x1+b.x2)/2, (b.y1+b.y2)/2, b.height()
	square := image.Rect(round(cx-side/2), round(cy-side/2), round(cx+side/2), round(cy+side/2))
	w, h := m.models.InputSize(models.FaceLandmark)
	var out [68]Point
	im, err := m.view(p, square, w, h)
	if err != nil {
		return out, fmt.Errorf("place landmarks: %w", err)
	}
	points, err := m.models.Landmarks(ctx, grey(im))
	if err != nil {
		return out, fmt.Errorf("place landmarks: %w", err)
	}
	for i, p := range points {
		out[i] = Point{
			X: float32(square.Min.X) + p.X*float32(square.Dx()),
			Y: float32(square.Min.Y) + p.Y*float32(square.Dy()),
		}
	}
	return out, nil
}

// grey turns a BGR view grey (ITU-R BT.601 weights, as OpenCV).
func grey(im models.Image) models.Image {
	out := models.Image{Pix: make([]byte, im.W*im.H), W: im.W, H: im.H, C: 1}
	for i := range out.Pix {
		b, g, r := uint32(im.Pix[3*i]), uint32(im.Pix[3*i+1]), uint32(im.Pix[3*i+2])
		out.Pix[i] = byte((b*1868 + g*9617 + r*4899 + 1<<13) >> 14)
	}
	return out
}

// spread picks at most n of the numbers 0..length-1, evenly.
func spread(length, n int) []int {
	n = min(n, length)
	out := make([]int, n)
	for i := range out {
		out[i] = (2*i + 1) * length / (2 * n)
	}
	return out
}

func round(x float64) int {
	if x < 0 {
		return -int(-x + 0.5)
	}
	return int(x + 0.5)
}

func area(r image.Rectangle) int { return r.Dx() * r.Dy() }

// iou is the overlap of two boxes: common area over joint area.
func iou(a, b image.Rectangle) float64 {
	both := area(a.Intersect(b))
	if both == 0 {
		return 0
	}
	return float64(both) / float64(area(a)+area(b)-both)
}
