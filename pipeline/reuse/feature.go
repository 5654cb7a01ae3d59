package reuse

import (
	"fmt"
	"image"
	"math"
	"math/bits"
	"sort"

	"gocv.io/x/gocv"
)

// pictureSide is the long side, in pixels, of the picture that all positions of points are in, and at which those of a photo are looked for
// (Onsite's prototype).
const pictureSide = 400

// maxPoints is how many SIFT points of one still are kept, the strongest first (prototype: 300).
const maxPoints = 300

// look is how points are looked for: the long side of the picture, in pixels, and SIFT's contrast threshold, which is lower than the usual
// 0.04 because rooms and webcams are flat (prototype).
type look struct {
	side     int
	contrast float64
}

var (
	photoLook = look{pictureSide, 0.015}

	// The motion decides about clips, and points only lay one over the other. At two thirds of the pixels, with a lower threshold for about as
	// many points, two of 1,890 copies less were found and nothing more was taken for one (docs/benchmarks.md).
	clipLook = look{320, 0.01}
)

// siftShift is where the corner of a picture lies before SIFT's first pixel, in pixels: half a pixel, less the quarter by which OpenCV before
// 4.8 puts all points too far to the right and down.
const siftShift = 0.25

// descriptorScale turns the 128 values of a RootSIFT descriptor (0..1, sum of squares 1) into bytes; values above 0.5 are cut.
const descriptorScale = 510

// Point is one SIFT point of a still: position in pixels at pictureSide, size as the diameter in the same pixels, angle in degrees
// (clockwise, y down), and the descriptor as bytes (RootSIFT: Arandjelović and Zisserman 2012, "Three things everyone should know").
type Point struct {
	X, Y, Size, Angle float32
	Desc              [128]uint8
}

// code is a descriptor in 128 bits: which of its values are above its median. Hamming distances of codes pick candidates; the
// descriptors decide.
type code [2]uint64

func (c code) distance(o code) int { return bits.OnesCount64(c[0]^o[0]) + bits.OnesCount64(c[1]^o[1]) }

// mirrored is the point as SIFT would see it in the picture mirrored left to right, expressed at its mirrored position in a picture w
// pixels wide. A mirror image turns the patch's axis across the main direction around, so the four rows of cells swap and every angle
// changes its sign; the descriptor itself need not be computed again.
func (p Point) mirrored(w float32) Point {
	m := Point{X: w - 1 - p.X, Y: p.Y, Size: p.Size, Angle: float32(math.Mod(float64(540-p.Angle), 360))}
	for row := range 4 {
		for col := range 4 {
			for o := range 8 {
				m.Desc[(row*4+col)*8+o] = p.Desc[((3-row)*4+col)*8+(8-o)%8]
			}
		}
	}
	return m
}

// detector finds SIFT points; it is not safe for concurrent use.
type detector struct {
	look look
	sift gocv.SIFT
	mask gocv.Mat
}

func newDetector(l look) *detector {
	n := maxPoints
	return &detector{look: l, sift: gocv.NewSIFTWithParams(&n, nil, &l.contrast, nil, nil), mask: gocv.NewMat()}
}

// Close frees the native parts.
func (d *detector) Close() {
	_ = d.sift.Close()
	_ = d.mask.Close()
}

// pictureSize is the size of a w x h picture whose long side is pictureSide.
func pictureSize(w, h int) (pw, ph int) { return sizeAt(w, h, pictureSide) }

// sizeAt is the size of a w x h picture whose long side is made side pixels long.
func sizeAt(w, h, side int) (sw, sh int) {
	s := float64(side) / float64(max(w, h))
	return max(1, int(math.Round(float64(w)*s))), max(1, int(math.Round(float64(h)*s)))
}

// points finds the points of a picture (H x W x 3 BGR or H x W x 1 grey, uint8), strongest first.
func (d *detector) points(m gocv.Mat) ([]Point, error) {
	w, h := sizeAt(m.Cols(), m.Rows(), d.look.side)
	pw, ph := pictureSize(m.Cols(), m.Rows())
	backX, backY := float64(pw)/float64(w), float64(ph)/float64(h)
	small, grey := gocv.NewMat(), gocv.NewMat()
	defer small.Close()
	defer grey.Close()
	mode := gocv.InterpolationArea
	if w > m.Cols() || h > m.Rows() {
		mode = gocv.InterpolationLinear
	}
	if err := gocv.Resize(m, &small, image.Pt(w, h), 0, 0, mode); err != nil {
		return nil, fmt.Errorf("look for points: resize a %d x %d picture to %d x %d: %w", m.Cols(), m.Rows(), w, h, err)
	}
	src := small
	if m.Channels() == 3 {
		if err := gocv.CvtColor(small, &grey, gocv.ColorBGRToGray); err != nil {
			return nil, fmt.Errorf("look for points: turn a picture grey: %w", err)
		}
		src = grey
	}
	keys, desc := d.sift.DetectAndCompute(src, d.mask)
	defer desc.Close()
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := desc.DataPtrFloat32()
	if err != nil {
		return nil, fmt.Errorf("look for points: read the descriptors: %w", err)
	}
	if len(values) != len(keys)*128 {
		return nil, fmt.Errorf("look for points: SIFT gave %d values for %d points", len(values), len(keys))
	}
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return stronger(keys[order[a]], keys[order[b]]) })
	out := make([]Point, 0, min(len(keys), maxPoints))
	for _, i := range order[:min(len(keys), maxPoints)] {
		k := keys[i]
		p := Point{X: float32((k.X+siftShift)*backX - siftShift), Y: float32((k.Y+siftShift)*backY - siftShift), Size: float32(k.Size * backX), Angle: float32(k.Angle)}
		rootSIFT(&p.Desc, values[i*128:(i+1)*128])
		out = append(out, p)
	}
	return out, nil
}

// stronger orders points by response, then by position, so that the order never depends on chance.
func stronger(a, b gocv.KeyPoint) bool {
	switch {
	case a.Response != b.Response:
		return a.Response > b.Response
	case a.X != b.X:
		return a.X < b.X
	case a.Y != b.Y:
		return a.Y < b.Y
	default:
		return a.Angle < b.Angle
	}
}

// rootSIFT writes sqrt(v / sum v) of a SIFT descriptor as bytes.
func rootSIFT(out *[128]uint8, v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x)
	}
	for i, x := range v {
		out[i] = uint8(min(255, math.Round(math.Sqrt(float64(x)/(sum+1e-6))*descriptorScale)))
	}
}

// cosine is the similarity of two descriptors, 0..1 (lengths are almost 1 by construction, so it is divided by the true ones only where
// bytes were cut).
func cosine(a, b *[128]uint8) float32 {
	var s int32
	for i := 0; i < 128; i += 4 {
		s += int32(a[i])*int32(b[i]) + int32(a[i+1])*int32(b[i+1]) + int32(a[i+2])*int32(b[i+2]) + int32(a[i+3])*int32(b[i+3])
	}
	return float32(s) / (descriptorScale * descriptorScale)
}
