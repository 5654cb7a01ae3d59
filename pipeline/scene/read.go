package scene

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

const (
	readHeight = 48   // of the recogniser's input
	readWidth  = 1280 // longer lines are squeezed: 27 squares, more than any name
	// uprightRatio is height against width from which a rectangle holds vertical text (PP-OCR's own value).
	uprightRatio = 1.5
	// surely is the confidence from which no other way of reading the crop is tried: right readings of eval/signs lie above .8.
	surely = 0.8
	// triesMirrored bounds how many lines are read a second time, mirrored, when nothing in a frame reads well.
	triesMirrored = 6
)

// Word is one line of text that was read in a frame.
type Word struct {
	Frame      int              `json:"keyframe"` // index of the frame in the clip
	Text       string           `json:"text"`
	Confidence float64          `json:"confidence"`
	Mirrored   bool             `json:"mirrored,omitempty"` // the picture shows it mirrored
	Outline    []pipeline.Point `json:"outline"`            // pixels of the frame
	Box        pipeline.Box     `json:"box"`
	line       line
}

// turn is how a crop is brought upright before reading.
type turn int

const (
	level     turn = iota
	leftward       // rotated by 90 degrees counter-clockwise: text that runs down
	rightward      // clockwise: text that runs up
	stacked        // upright characters below each other, laid out beside each other
)

// reader reads the lines of frames.
type reader struct {
	models   Models
	names    []signName // what is looked for
	limit    int        // lines per frame
	mirrored bool       // known from the references or an earlier frame: the clip is mirrored
	straight bool       // known from the references: the clip is not mirrored
	small    bool       // only small text is looked for
	reads    int        // how often the recogniser ran
}

// found tells whether one of the names has been read: nothing more can be learned then.
func (r *reader) found(words []Word) bool {
	for _, n := range r.names {
		if bestOf(n, words).found {
			return true
		}
	}
	return false
}

// likely puts lines first that could hold one of the names, by their shape: a name of two letters is not in a line of thirty squares'
// width, nor a long one in a square. Within both groups the largest come first.
func (r *reader) likely(lines []line) []line {
	fits := func(l line) bool {
		ratio := math.Max(l.w, l.h) / math.Min(l.w, l.h)
		for _, n := range r.names {
			// A Chinese character is about a square, a letter about half of one.
			want := float64(len(n.key))
			if !n.han {
				want /= 2
			}
			if ratio > want*0.5 && ratio < want*2.5 {
				return true
			}
		}
		return len(r.names) == 0
	}
	out := make([]line, 0, len(lines))
	var rest []line
	for _, l := range lines {
		if fits(l) {
			out = append(out, l)
		} else {
			rest = append(rest, l)
		}
	}
	return append(out, rest...)
}

// read finds and reads the lines of one frame, at most r.limit of them. Empty readings are left out.
//
// Reading stops as soon as a name is found.
func (r *reader) read(ctx context.Context, frame media.Frame, side int) ([]Word, error) {
	lines, bends, err := findLines(ctx, r.models, frame.Image, side, r.small)
	if err != nil {
		return nil, err
	}
	lines = r.likely(lines)
	if len(lines) > r.limit {
		lines = lines[:r.limit]
	}
	words, err := r.readLines(ctx, frame, lines, r.mirrored)
	if err != nil || r.found(words) {
		return words, err
	}
	bent, err := r.readBends(ctx, frame, bends)
	if err != nil {
		return nil, err
	}
	words = append(words, bent...)
	if r.mirrored || r.straight || len(lines) == 0 || well(words) > 0 {
		return words, nil
	}
	// Nothing reads well: a mirrored selfie camera, or no text at all.
	flipped, err := r.readLines(ctx, frame, lines[:min(len(lines), triesMirrored)], true)
	if err != nil {
		return nil, err
	}
	if well(flipped) == 0 {
		return words, nil
	}
	r.mirrored = true
	if len(lines) > triesMirrored {
		rest, err := r.readLines(ctx, frame, lines[triesMirrored:], true)
		if err != nil {
			return nil, err
		}
		flipped = append(flipped, rest...)
	}
	return flipped, nil
}

// well counts the words that were surely read: mirrored text gives short strings by chance, hardly ever three sure characters.
func well(words []Word) int {
	n := 0
	for _, w := range words {
		if w.Confidence >= surely && len(key(w.Text)) >= 2 {
			n++
		}
	}
	return n
}

func (r *reader) readLines(ctx context.Context, frame media.Frame, lines []line, mirrored bool) ([]Word, error) {
	var out []Word
	for _, l := range lines {
		best, err := r.readLine(ctx, frame.Image, l, mirrored)
		if err != nil {
			return nil, fmt.Errorf("read text in frame %d: %w", frame.Index, err)
		}
		if len(key(best.Text)) == 0 {
			continue
		}
		o := l.outline()
		out = append(out, Word{Frame: frame.Index, Text: best.Text, Confidence: float64(best.Confidence), Mirrored: mirrored, Outline: o,
			Box: boundsOf(o, frame.Image.Cols(), frame.Image.Rows()), line: l})
		if r.found(out) {
			break
		}
	}
	return out, nil
}

// readBends reads along circles.
func (r *reader) readBends(ctx context.Context, frame media.Frame, bends []bend) ([]Word, error) {
	var out []Word
	for _, b := range bends {
		b = b.reach()
		crop, err := b.straight(frame.Image, r.mirrored)
		if err != nil {
			return nil, err
		}
		got, err := r.models.ReadText(ctx, crop)
		if err != nil {
			return nil, fmt.Errorf("read bent text in frame %d: %w", frame.Index, err)
		}
		r.reads++
		if len(key(got.Text)) == 0 {
			continue
		}
		o := b.outline()
		out = append(out, Word{Frame: frame.Index, Text: got.Text, Confidence: float64(got.Confidence), Mirrored: r.mirrored, Outline: o,
			Box: boundsOf(o, frame.Image.Cols(), frame.Image.Rows()), line: b.line()})
	}
	return out, nil
}

// readLine reads one rectangle in the ways that its shape allows, until one is sure.
func (r *reader) readLine(ctx context.Context, frame gocv.Mat, l line, mirrored bool) (models.Reading, error) {
	ways := []turn{level}
	if l.h >= uprightRatio*l.w {
		ways = []turn{stacked, leftward, rightward}
	}
	var best models.Reading
	for _, way := range ways {
		crop, err := upright(frame, l, way, mirrored)
		if err != nil {
			return models.Reading{}, err
		}
		got, err := r.models.ReadText(ctx, crop)
		if err != nil {
			return models.Reading{}, err
		}
		r.reads++
		if got.Confidence > best.Confidence {
			best = got
		}
		if best.Confidence >= surely && len(key(best.Text)) > 1 {
			break
		}
	}
	return best, nil
}

// upright cuts a rectangle out of a frame (BGR), turned level, 48 pixels high, at most readWidth wide.
func upright(frame gocv.Mat, l line, way turn, mirrored bool) (models.Image, error) {
	// First at the frame's own resolution (small ones enlarged at once), then shrunk by area: no aliasing on large signs.
	k := math.Max(1, readHeight/math.Max(1, math.Min(l.w, l.h)))
	w, h := max(1, int(math.Round(l.w*k))), max(1, int(math.Round(l.h*k)))
	o := l.outline()
	src := gocv.NewPoint2fVectorFromPoints(points(o[0], o[1], o[3]))
	defer src.Close()
	dst := gocv.NewPoint2fVectorFromPoints([]gocv.Point2f{{}, {X: float32(w)}, {Y: float32(h)}})
	defer dst.Close()
	m := gocv.GetAffineTransform2f(src, dst)
	defer m.Close()
	cut := gocv.NewMat()
	defer cut.Close()
	if err := gocv.WarpAffineWithParams(frame, &cut, m, image.Pt(w, h), gocv.InterpolationLinear, gocv.BorderReplicate, color.RGBA{}); err != nil {
		return models.Image{}, fmt.Errorf("cut out a line of %d x %d: %w", w, h, err)
	}
	if mirrored {
		if err := gocv.Flip(cut, &cut, 1); err != nil {
			return models.Image{}, fmt.Errorf("mirror a line: %w", err)
		}
	}
	switch way {
	case leftward, rightward:
		code := gocv.Rotate90CounterClockwise
		if way == rightward {
			code = gocv.Rotate90Clockwise
		}
		turned := gocv.NewMat()
		defer turned.Close()
		if err := gocv.Rotate(cut, &turned, code); err != nil {
			return models.Image{}, fmt.Errorf("turn a line: %w", err)
		}
		return media.Resized(turned, widthFor(turned.Cols(), turned.Rows()), readHeight)
	case stacked:
		flat, err := unstack(cut)
		if err != nil {
			return models.Image{}, err
		}
		defer flat.Close()
		return media.View(flat)
	default:
		return media.Resized(cut, widthFor(w, h), readHeight)
	}
}

// unstack lays characters that stand below each other out in a row of squares, 48 pixels high. The result must be closed.
func unstack(cut gocv.Mat) (gocv.Mat, error) {
	n := min(max(2, int(math.Round(float64(cut.Rows())/float64(cut.Cols())))), readWidth/readHeight)
	out := gocv.NewMatWithSize(readHeight, n*readHeight, gocv.MatTypeCV8UC3)
	for i := range n {
		part := cut.Region(image.Rect(0, i*cut.Rows()/n, cut.Cols(), max(i*cut.Rows()/n+1, (i+1)*cut.Rows()/n)))
		cell := out.Region(image.Rect(i*readHeight, 0, (i+1)*readHeight, readHeight))
		err := gocv.Resize(part, &cell, image.Pt(readHeight, readHeight), 0, 0, gocv.InterpolationArea)
		_ = part.Close()
		_ = cell.Close()
		if err != nil {
			_ = out.Close()
			return gocv.Mat{}, fmt.Errorf("lay out a vertical line: %w", err)
		}
	}
	return out, nil
}

func widthFor(w, h int) int {
	return min(readWidth, max(readHeight/2, int(math.Round(float64(w)*readHeight/float64(h)))))
}

func points(p ...pipeline.Point) []gocv.Point2f {
	out := make([]gocv.Point2f, len(p))
	for i, v := range p {
		out[i] = gocv.Point2f{X: float32(v.X), Y: float32(v.Y)}
	}
	return out
}
