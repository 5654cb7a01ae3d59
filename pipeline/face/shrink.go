package face

import (
	"fmt"
	"image"
	"image/color"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/media"
)

// pyramid is a picture (BGR, uint8) with its halves. OpenCV averages 2 x 2 pixels several times faster than it shrinks by any other factor, so
// whatever a model looks at is taken from the nearest half that is not smaller than it. Halves of the whole picture are kept once made;
// while there are none, only the part that is asked for is halved. One pyramid can be used for many pictures (show), whose halves then share
// their memory. It must be closed; the pictures belong to the caller.
type pyramid struct {
	picture gocv.Mat
	halves  []gocv.Mat // of the whole picture: 1/2, 1/4, ...; those behind made are of an earlier one
	made    int
	lent    bool     // the first half is the frame's own, which stands in half
	half    gocv.Mat // of the frame, not to be closed
	out     gocv.Mat // what view stretches into
}

func newPyramid(picture gocv.Mat) *pyramid { return &pyramid{picture: picture, out: gocv.NewMat()} }

// pyramidOf is that of a frame, whose half it shares.
func pyramidOf(f *media.Frame) *pyramid {
	p := newPyramid(f.Image)
	p.show(f)
	return p
}

// show turns to another frame.
func (p *pyramid) show(f *media.Frame) {
	p.picture, p.made = f.Image, 0
	if p.half, p.lent = f.Half(); p.lent {
		p.made = 1
	}
}

// halved is the picture halved so many times, at least once, which must have been made.
func (p *pyramid) halved(times int) gocv.Mat {
	if times == 1 && p.lent {
		return p.half
	}
	return p.halves[times-1]
}

func (p *pyramid) close() {
	for i := range p.halves {
		_ = p.halves[i].Close()
	}
	p.halves, p.made = nil, 0
	_ = p.out.Close()
}

func (p *pyramid) size() image.Rectangle { return image.Rect(0, 0, p.picture.Cols(), p.picture.Rows()) }

// level is a part of a picture, halved. Its pixel (x, y) is the mean of the picture's 2^times x 2^times pixels from origin + 2^times (x, y) on.
type level struct {
	pix    gocv.Mat
	origin image.Point
	times  int
}

// at brings a position in pixels of the picture to pixels of the level; both count from the middle of the first pixel.
func (l *level) at(x, y float64) (float64, float64) {
	k := float64(int(1) << l.times)
	return (x-float64(l.origin.X)+0.5)/k - 0.5, (y-float64(l.origin.Y)+0.5)/k - 0.5
}

// part gives the rectangle r of the picture, halved so many times, and up to one pixel more on each side; the level must be closed. ok is
// false when nothing of r lies inside the picture.
func (p *pyramid) part(r image.Rectangle, times int) (l level, ok bool, err error) {
	k := 1 << times
	full := image.Rect(0, 0, p.picture.Cols()&^(k-1), p.picture.Rows()&^(k-1))
	in := image.Rect(r.Min.X&^(k-1), r.Min.Y&^(k-1), (r.Max.X+k-1)&^(k-1), (r.Max.Y+k-1)&^(k-1)).Intersect(full)
	if in.Empty() {
		return level{}, false, nil
	}
	l = level{origin: in.Min, times: times}
	if in == full {
		if err := p.halve(times); err != nil {
			return level{}, false, err
		}
	}
	switch {
	case times == 0:
		l.pix = p.picture.Region(in)
		return l, true, nil
	case times <= p.made:
		half := p.halved(times)
		l.pix = half.Region(image.Rect(in.Min.X/k, in.Min.Y/k, in.Max.X/k, in.Max.Y/k))
		return l, true, nil
	}
	l.pix = p.picture.Region(in)
	for range times {
		half := gocv.NewMat()
		err := halve(l.pix, &half)
		_ = l.pix.Close()
		l.pix = half
		if err != nil {
			_ = half.Close()
			return level{}, false, err
		}
	}
	return l, true, nil
}

// halve makes the first halves of the whole picture, as far as they are not there.
func (p *pyramid) halve(times int) error {
	for ; p.made < times; p.made++ {
		last := p.picture
		if p.made > 0 {
			last = p.halved(p.made)
		}
		for p.made >= len(p.halves) {
			p.halves = append(p.halves, gocv.NewMat())
		}
		if err := halve(last, &p.halves[p.made]); err != nil {
			return err
		}
	}
	return nil
}

// halve shrinks a picture by two; an odd last row or column is left out.
func halve(m gocv.Mat, dst *gocv.Mat) error {
	w, h := m.Cols()/2, m.Rows()/2
	even := m.Region(image.Rect(0, 0, 2*w, 2*h))
	defer even.Close()
	if err := gocv.Resize(even, dst, image.Pt(w, h), 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("halve a picture of %d x %d pixels: %w", m.Cols(), m.Rows(), err)
	}
	return nil
}

// halvings is how often w x h pixels can be halved and still be at least tw x th.
func halvings(w, h, tw, th int) int {
	n := 0
	for w>>(n+1) >= tw && h>>(n+1) >= th {
		n++
	}
	return n
}

// view gives a byte view of the rectangle r of a picture, stretched to w x h pixels; parts outside the picture are black.
func (m *Matcher) view(p *pyramid, r image.Rectangle, w, h int) (models.Image, error) {
	if w < 1 || h < 1 {
		return models.Image{}, fmt.Errorf("stretch %v to %d x %d: the model's input size is not known; was the model opened?", r, w, h)
	}
	if m.plain || r.Empty() {
		return media.Crop(p.picture, r, w, h)
	}
	l, ok, err := p.part(r, halvings(r.Dx(), r.Dy(), w, h))
	if err != nil {
		return models.Image{}, err
	}
	if !ok {
		return models.Image{}, fmt.Errorf("crop %v of a %d x %d picture: the rectangle lies outside", r, p.picture.Cols(), p.picture.Rows())
	}
	defer l.pix.Close()
	k := 1 << l.times
	if r.Min == l.origin && r.Dx() == l.pix.Cols()*k && r.Dy() == l.pix.Rows()*k {
		if l.pix.Cols() == w && l.pix.Rows() == h {
			return media.View(l.pix)
		}
		if l.pix.Cols() >= 3*w || l.pix.Rows() >= 3*h || l.pix.Cols() < w { // bilinear sampling would skip pixels; enlarging is media's own
			return media.Resized(l.pix, w, h)
		}
		if err := gocv.Resize(l.pix, &p.out, image.Pt(w, h), 0, 0, gocv.InterpolationLinear); err != nil {
			return models.Image{}, fmt.Errorf("resize %v to %d x %d: %w", r, w, h, err)
		}
		return media.View(p.out)
	}
	// Its edges lie between pixels of the level, or outside of the picture.
	sx, sy := float64(r.Dx())/float64(w), float64(r.Dy())/float64(h)
	x0, y0 := l.at(float64(r.Min.X)+0.5*sx-0.5, float64(r.Min.Y)+0.5*sy-0.5)
	if err := warp(l.pix, [6]float64{sx / float64(k), 0, x0, 0, sy / float64(k), y0}, image.Pt(w, h), gocv.InterpolationLinear|inverseMap, &p.out); err != nil {
		return models.Image{}, fmt.Errorf("resize %v to %d x %d: %w", r, w, h, err)
	}
	return media.View(p.out)
}

// inverseMap is cv::WARP_INVERSE_MAP, which gocv does not name: the map leads from the result to the source.
const inverseMap = 16

// warp maps a picture by a 2 x 3 matrix into one of the given size; black outside.
func warp(src gocv.Mat, by [6]float64, size image.Point, flags gocv.InterpolationFlags, dst *gocv.Mat) error {
	m := gocv.NewMatWithSize(2, 3, gocv.MatTypeCV64F)
	defer m.Close()
	for i, v := range by {
		m.SetDoubleAt(i/3, i%3, v)
	}
	return gocv.WarpAffineWithParams(src, dst, m, size, flags, gocv.BorderConstant, color.RGBA{})
}
