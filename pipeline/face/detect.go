package face

import (
	"context"
	"fmt"
	"image"
	"math"
	"sort"

	"onsite/models"
)

// box is a detection in pixels of the frame, before rounding.
type box struct {
	x1, y1, x2, y2 float64
	score          float32
}

func (b box) height() float64 { return b.y2 - b.y1 }

func (b box) area() float64 { return math.Max(0, b.x2-b.x1) * math.Max(0, b.y2-b.y1) }

func (b box) rect(w, h int) image.Rectangle {
	r := image.Rect(int(math.Round(b.x1)), int(math.Round(b.y1)), int(math.Round(b.x2)), int(math.Round(b.y2)))
	return r.Intersect(image.Rect(0, 0, w, h))
}

// scan runs the detector on one part of the picture, stretched to the detector's input (as it was trained and verified), and gives boxes
// in pixels of the whole picture. The part may reach beyond the picture; there it is black. Boxes that touch a cut edge of the part are
// dropped: they are cut faces that another part sees whole.
func (m *Matcher) scan(ctx context.Context, p *pyramid, part image.Rectangle) ([]box, error) {
	w, h := m.models.InputSize(models.FaceDetect)
	whole := p.size()
	im, err := m.view(p, part, w, h)
	if err != nil {
		return nil, fmt.Errorf("look for faces: %w", err)
	}
	found, err := m.models.DetectFaces(ctx, im)
	if err != nil {
		return nil, fmt.Errorf("look for faces: %w", err)
	}
	kx, ky := float64(part.Dx()), float64(part.Dy())
	out := make([]box, 0, len(found))
	for _, f := range found {
		b := box{
			x1: float64(part.Min.X) + float64(f.X1)*kx, y1: float64(part.Min.Y) + float64(f.Y1)*ky,
			x2: float64(part.Min.X) + float64(f.X2)*kx, y2: float64(part.Min.Y) + float64(f.Y2)*ky,
			score: f.Score,
		}
		if b.rect(whole.Dx(), whole.Dy()).Empty() || cut(b, part, whole) {
			continue
		}
		out = append(out, b)
	}
	return out, nil
}

// cut tells whether a box touches an edge of the part that is not an edge of the picture.
func cut(b box, part, whole image.Rectangle) bool {
	const edge = 0.01 // of the part's side
	ex, ey := edge*float64(part.Dx()), edge*float64(part.Dy())
	return (part.Min.X > whole.Min.X && b.x1 < float64(part.Min.X)+ex) ||
		(part.Min.Y > whole.Min.Y && b.y1 < float64(part.Min.Y)+ey) ||
		(part.Max.X < whole.Max.X && b.x2 > float64(part.Max.X)-ex) ||
		(part.Max.Y < whole.Max.Y && b.y2 > float64(part.Max.Y)-ey)
}

// detect looks for faces in the whole picture. Thorough, it looks again where the first pass is not to be trusted: from farther away when
// nothing or nothing certain was found (a face that fills the picture is as foreign to the detector as a tiny one), and in tiles when all
// faces are small.
func (m *Matcher) detect(ctx context.Context, p *pyramid, thorough bool) ([]box, error) {
	whole := p.size()
	boxes, err := m.scan(ctx, p, whole)
	if err != nil || !thorough {
		return boxes, err
	}
	if !m.certain(boxes) {
		far, err := m.scan(ctx, p, whole.Inset(-min(whole.Dx(), whole.Dy())/2))
		if err != nil {
			return nil, err
		}
		boxes = merge(append(boxes, far...), m.config.Overlap)
	}
	for _, share := range m.config.Tiles {
		if m.large(boxes, whole, share) {
			break
		}
		found, err := m.scanTiles(ctx, p, share)
		if err != nil {
			return nil, err
		}
		boxes = merge(append(boxes, found...), m.config.Overlap)
	}
	return boxes, nil
}

// certain tells whether a box is one that the detector is sure of.
func (m *Matcher) certain(boxes []box) bool {
	for _, b := range boxes {
		if float64(b.score) >= m.config.CertainFace {
			return true
		}
	}
	return false
}

// large tells whether a face was found that tiles of the given share of the picture would not show better.
func (m *Matcher) large(boxes []box, whole image.Rectangle, share float64) bool {
	side := float64(min(whole.Dx(), whole.Dy()))
	for _, b := range boxes {
		if b.height() >= m.config.SmallFace*share*side {
			return true
		}
	}
	return false
}

func (m *Matcher) scanTiles(ctx context.Context, p *pyramid, share float64) ([]box, error) {
	var boxes []box
	for _, t := range tiles(p.picture.Cols(), p.picture.Rows(), share) {
		found, err := m.scan(ctx, p, t)
		if err != nil {
			return nil, err
		}
		boxes = append(boxes, found...)
	}
	return boxes, nil
}

// tiles covers a picture of w x h pixels with tiles of 4:3, the shape of the detector's input, that are share of the picture's long
// side wide and overlap by at least a quarter, so that a face of up to a quarter tile is whole in one of them.
func tiles(w, h int, share float64) []image.Rectangle {
	tw := math.Min(share*math.Max(float64(w), float64(h)), float64(w))
	th := math.Min(tw*3/4, float64(h))
	var out []image.Rectangle
	for _, y := range steps(h, th) {
		for _, x := range steps(w, tw) {
			out = append(out, image.Rect(x, y, x+int(tw), y+int(th)))
		}
	}
	return out
}

// steps places windows of the given size on a line, evenly, with at least a quarter of overlap.
func steps(length int, size float64) []int {
	n := 1
	if left := float64(length) - size; left > 0.5 {
		n += int(math.Ceil(left / (size * 0.75)))
	}
	out := make([]int, n)
	for i := range out {
		if n > 1 {
			out[i] = int(math.Round(float64(i) * (float64(length) - size) / float64(n-1)))
		}
	}
	return out
}

// merge keeps the better of two boxes that overlap by more than the given IoU, or of which one lies inside the other (tiles find the same
// face with slightly different boxes).
func merge(boxes []box, overlap float64) []box {
	sort.SliceStable(boxes, func(i, j int) bool { return boxes[i].score > boxes[j].score })
	var out []box
next:
	for _, b := range boxes {
		for _, k := range out {
			both := box{x1: math.Max(b.x1, k.x1), y1: math.Max(b.y1, k.y1), x2: math.Min(b.x2, k.x2), y2: math.Min(b.y2, k.y2)}
			inter := both.area()
			if both.x2 <= both.x1 || both.y2 <= both.y1 {
				continue
			}
			if inter/(b.area()+k.area()-inter) > overlap || inter/math.Min(b.area(), k.area()) > inside {
				continue next
			}
		}
		out = append(out, b)
	}
	return out
}

// inside is the part of the smaller box that must lie in the larger one for both to be the same face.
const inside = 0.7
