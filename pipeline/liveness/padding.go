package liveness

import (
	"fmt"
	"image"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

const (
	// padSame is by how many grey levels a colour channel may differ from a border's colour: what a coder leaves of one colour. A wall has shades.
	padSame = 5
	// padLeast is the least part of the picture's side that a border takes, padMost the most of it that two borders may take together.
	padLeast, padMost = 0.02, 0.7
	// padEdge is the part of the line next to a border that must be of another colour: a picture begins all along it at once, what stands before a
	// plain wall does not.
	padEdge = 0.7
	// padRing is the part of the picture's side beside a border that is left out, too: the coder's ripples, and pixels mixed of both.
	padRing = 0.006
	// padMoves is by how many pixels a border's depth may differ between frames.
	padMoves = 3
	// padFrames is how many sampled frames must show the same border.
	padFrames = 3
)

// unpadded is a clip without the borders of one colour that an app put around it (letterbox, pillarbox, a frame on all sides), with its faces and
// its track: such a border is an outline for every sign that looks for one, and no surroundings for the model. A border is parallel to the
// picture's sides, of one colour, the same in all frames, and ends along a whole line at once. The clip shares its pixels with the given one;
// the caller closes its frames with free. at is where its upper left corner lies in the frames; the clip comes back as it is without borders.
func unpadded(clip *media.Clip, found *face.Found, track *Track) (view *media.Clip, inside *face.Found, followed *Track, at image.Point, free func(), err error) {
	inner, ok, err := contentOf(clip)
	if err != nil || !ok {
		return clip, found, track, image.Point{}, func() {}, err
	}
	w, h := clip.Frames[0].Image.Cols(), clip.Frames[0].Image.Rows()
	v := *clip
	v.Frames = append([]media.Frame(nil), clip.Frames...)
	v.Bursts = make([]media.Burst, len(clip.Bursts))
	var cuts []gocv.Mat
	cut := func(f *media.Frame) {
		f.Image = f.Image.Region(scaled(inner, w, h, f.Image.Cols(), f.Image.Rows()))
		cuts = append(cuts, f.Image)
	}
	for i := range v.Frames {
		cut(&v.Frames[i])
	}
	for b := range clip.Bursts {
		v.Bursts[b].Frames = append([]media.Frame(nil), clip.Bursts[b].Frames...)
		for i := range v.Bursts[b].Frames {
			cut(&v.Bursts[b].Frames[i])
		}
	}
	in := face.Found{Tracks: found.Tracks, Frames: make([]face.FrameFaces, len(found.Frames))}
	for i, f := range found.Frames {
		f.W, f.H = inner.Dx(), inner.Dy()
		f.Faces = append([]face.Face(nil), f.Faces...)
		for k := range f.Faces {
			// A box that reaches over the border keeps a pixel at least, so that it stays a box.
			f.Faces[k].Box = within(f.Faces[k].Box.Sub(inner.Min), inner.Size())
			move(&f.Faces[k].Landmarks, inner.Min)
		}
		in.Frames[i] = f
	}
	part := scaled(inner, w, h, track.W, track.H)
	tr := Track{W: part.Dx(), H: part.Dy(), Frames: track.Frames, Moments: append([]Moment(nil), track.Moments...)}
	for i := range tr.Moments {
		tr.Moments[i].Box = tr.Moments[i].Box.Sub(part.Min)
		move(&tr.Moments[i].Landmarks, part.Min)
	}
	return &v, &in, &tr, inner.Min, func() {
		for i := range cuts {
			_ = cuts[i].Close()
		}
	}, nil
}

// scaled is a rectangle of a picture of w x h in one of toW x toH.
func scaled(r image.Rectangle, w, h, toW, toH int) image.Rectangle {
	return image.Rect((r.Min.X*toW+w-1)/w, (r.Min.Y*toH+h-1)/h, r.Max.X*toW/w, r.Max.Y*toH/h)
}

// within is the part of a rectangle that lies in a picture of the given size, one pixel of it at least.
func within(r image.Rectangle, size image.Point) image.Rectangle {
	if in := r.Intersect(image.Rectangle{Max: size}); !in.Empty() {
		return in
	}
	x, y := min(max(r.Min.X, 0), size.X-1), min(max(r.Min.Y, 0), size.Y-1)
	return image.Rect(x, y, x+1, y+1)
}

func move(l *[68]face.Point, by image.Point) {
	if *l == ([68]face.Point{}) { // not placed
		return
	}
	for i := range l {
		l[i].X -= float32(by.X)
		l[i].Y -= float32(by.Y)
	}
}

// shiftBoxes moves the boxes of findings back into the frames.
func shiftBoxes(findings []pipeline.Finding, by image.Point) {
	for i := range findings {
		for k := range findings[i].Evidence {
			if b := findings[i].Evidence[k].Box; b != nil {
				b.X, b.Y = b.X+by.X, b.Y+by.Y
			}
		}
	}
}

// contentOf is the part of the sampled frames without borders, in pixels; ok is false when there are none.
func contentOf(clip *media.Clip) (inner image.Rectangle, ok bool, err error) {
	if len(clip.Frames) == 0 {
		return image.Rectangle{}, false, nil
	}
	w, h := clip.Frames[0].Image.Cols(), clip.Frames[0].Image.Rows()
	all := image.Rect(0, 0, w, h)
	var depth [4]int // left, top, right, bottom
	for n, k := range spread(len(clip.Frames), padFrames) {
		m := clip.Frames[k].Image
		if m.Cols() != w || m.Rows() != h || m.Channels() != 3 {
			return all, false, nil
		}
		pix, err := m.DataPtrUint8()
		if err != nil {
			return all, false, fmt.Errorf("look for borders in frame %d: %w", clip.Frames[k].Index, err)
		}
		p := pixels{pix, w, h, m.Step()}
		now := p.borders()
		for side := range depth {
			if n > 0 && max(now[side]-depth[side], depth[side]-now[side]) > padMoves { // a thing before a plain wall, which moves
				now[side] = 0
			}
			if n == 0 || now[side] < depth[side] {
				depth[side] = now[side]
			}
		}
		if depth == [4]int{} {
			return all, false, nil
		}
	}
	for side, of := range [4]int{w, h, w, h} {
		switch {
		case depth[side] < int(padLeast*float64(of)):
			depth[side] = 0
		default:
			depth[side] += max(int(padRing*float64(of)+0.5), 1)
		}
	}
	if float64(depth[0]+depth[2]) > padMost*float64(w) || float64(depth[1]+depth[3]) > padMost*float64(h) || depth == [4]int{} {
		return all, false, nil
	}
	return image.Rect(depth[0], depth[1], w-depth[2], h-depth[3]), true, nil
}

// pixels is w x h x 3, BGR, rows step bytes apart.
type pixels struct {
	pix        []byte
	w, h, step int
}

// line is one line of pixels parallel to a side, depth pixels from it: the place of the first pixel, the distance of the next one, and how many.
func (p *pixels) line(side, depth int) (first, next, n int) {
	switch side {
	case 0:
		return 3 * depth, p.step, p.h
	case 1:
		return depth * p.step, 3, p.w
	case 2:
		return 3 * (p.w - 1 - depth), p.step, p.h
	}
	return (p.h - 1 - depth) * p.step, 3, p.w
}

// borders is how many lines from each side on (left, top, right, bottom) have one colour, 0 where what follows them does not begin along a whole
// line.
func (p *pixels) borders() (depth [4]int) {
	var colour [4][3]byte
	for side := range depth {
		first, _, _ := p.line(side, 0)
		colour[side] = [3]byte(p.pix[first : first+3])
		most := []int{p.w, p.h}[side%2]
		for depth[side] < most && p.unlike(side, depth[side], 0, 0, colour[side]) < padMarks {
			depth[side]++
		}
		if depth[side] == most { // a picture of one colour has none
			return [4]int{}
		}
	}
	out := depth
	for side, d := range depth {
		out[side] = 0
		for k := range padSoft {
			if d > 0 && p.unlike(side, d+k, depth[(side+1)%2], depth[(side+1)%2+2], colour[side]) >= padEdge {
				out[side] = d + k
				break
			}
		}
	}
	return out
}

const (
	// padMarks is the part of a line of a border that may be of another colour: a date or a mark of an app, a coder's ripples.
	padMarks = 0.02
	// padSoft is over how many lines a picture may begin: a coder's block, into which its ripples reach.
	padSoft = 10
)

// unlike is the share of a line, without so many pixels at its beginning and its end, that is of another colour; 0 of no pixels.
func (p *pixels) unlike(side, depth, skip, drop int, colour [3]byte) float64 {
	first, next, n := p.line(side, min(depth, []int{p.w, p.h}[side%2]-1))
	odd := 0
	for i := skip; i < n-drop; i++ {
		at := first + i*next
		for c := range 3 {
			if d := int(p.pix[at+c]) - int(colour[c]); d > padSame || d < -padSame {
				odd++
				break
			}
		}
	}
	return float64(odd) / float64(max(n-drop-skip, 1))
}
