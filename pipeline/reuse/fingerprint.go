package reuse

import (
	"encoding/hex"
	"fmt"
	"image"
	"math"
	"slices"
	"time"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline/media"
)

// Limits of a fingerprint; parsing refuses more.
const (
	maxStills      = 64  // hashed stills
	maxPointStills = 6   // stills whose SIFT points are kept (prototype: 8; each costs about 12 ms); see shown
	indexStills    = 3   // stills whose strongest points are in the index
	indexPoints    = 96  // of each
	coarseCells    = 8   // side of the coarse motion grid
	coarseStride   = 2   // frames of the track per frame of the coarse track: 5 per second
	bytesPerPoint  = 136 // see codec.go
)

// Still is one hashed picture of a clip.
type Still struct {
	PTS      time.Duration
	PDQ      [Forms]Bits256 // of the eight mirrored and rotated forms, order of PDQVariants
	Quality  int            // 0..100, PDQ's
	PHash64  uint64
	PHash256 Bits256
}

// Fingerprint is what is kept of a clip or photo to recognise it again. The zero value is no fingerprint. Its binary form is described in
// docs/fingerprint.md.
type Fingerprint struct {
	SHA256        string // of the file, 64 hex digits
	PacketsSHA256 string // of the coded packets; empty for photos
	Kind          media.Kind
	Width, Height int // display orientation
	Duration      time.Duration
	Stills        []Still
	Areas         []Area // parts of some of the stills, in their order
	Audio         Audio  // empty without sound
	Views         Views  // of the scene check, where it looked; Compute gives none

	index  []indexPoint // strongest points with their codes, for the first look at a whole history
	coarse track        // 8 x 8 at 5 per second, likewise
	points []byte       // section of SIFT points, decoded when needed
	motion []byte       // section of the 32 x 32 motion grid, decoded when needed

	// full is the decoder's motion at its own size. It is not kept: only the fingerprint of the submission itself has it, and registers
	// it to earlier clips. A parsed fingerprint falls back to its 32 x 32 grid, which is less exact for crops.
	full    track
	grid    track // what motion says, likewise
	picture grey  // of a photo, likewise: the points of earlier ones are looked for in it
}

// Bytes is about how much memory the fingerprint takes, for those who keep many.
func (f *Fingerprint) Bytes() int {
	const still, area, point, fixed = 8 + Forms*32 + 8 + 8 + 32, 56, 32, 512
	return fixed + len(f.Stills)*still + len(f.Areas)*area + len(f.Audio.Subs)*5 + f.Views.bytes() + len(f.index)*point + len(f.points) + len(f.motion) + 4*(len(f.coarse.v)+len(f.full.v)+len(f.grid.v)) + len(f.coarse.valid) + len(f.full.valid) + len(f.picture.pix)
}

// indexPoint is one point of the index.
type indexPoint struct {
	x, y, size, angle float32
	code              code
}

// pointStill is one still with its points.
type pointStill struct {
	pts    time.Duration
	points []Point
}

// Compute makes the fingerprint of a decoded clip or photo. The same clip gives the same fingerprint.
func Compute(c *media.Clip) (Fingerprint, error) {
	if len(c.Frames) == 0 {
		return Fingerprint{}, fmt.Errorf("fingerprint %s %s: the clip has no stills", c.Info.Kind, short(c.Info.SHA256))
	}
	f := Fingerprint{SHA256: c.Info.SHA256, PacketsSHA256: c.Info.PacketsSHA256, Kind: c.Info.Kind, Width: c.Info.Width, Height: c.Info.Height, Duration: c.Info.Duration.Truncate(time.Millisecond)}
	how := clipLook
	if c.Info.Kind == media.Photo {
		how = photoLook
	}
	d := newDetector(how)
	defer d.Close()
	small := gocv.NewMat()
	defer small.Close()
	hashed, pointed := evenly(len(c.Frames), maxStills), evenly(len(c.Frames), maxPointStills)
	var stills []pointStill
	var seen []int // which of f.Stills these are; -1: none
	inAreas := evenly(len(hashed), areaStills)
	var planes []luma
	var planeOf []int
	known := kernels{}
	var kept, passing memory // brightness of the stills that have areas, and of the one at hand
	defer kept.free()
	for i, fr := range c.Frames {
		if !slices.Contains(hashed, i) && !slices.Contains(pointed, i) {
			continue
		}
		err := shrinkInto(&small, &c.Frames[i])
		if err == nil && slices.Contains(hashed, i) {
			var s Still
			var l luma
			area, mem := slices.Contains(inAreas, len(f.Stills)), &passing
			if area {
				mem = &kept
			}
			s, l, err = hashStill(mem, small, fr.PTS, known)
			if err == nil && area {
				// The plane of a very long strip has no height left: it has no areas either.
				if p := areaPlane(l); min(p.w, p.h) >= minHashSide && (len(planes) == 0 || p.w == planes[0].w && p.h == planes[0].h) {
					planes, planeOf = append(planes, p), append(planeOf, len(f.Stills))
				}
			}
			passing.free()
			f.Stills = append(f.Stills, s)
			if err == nil && f.Kind == media.Photo {
				f.picture, err = toGrey(small)
			}
		}
		k, here := slices.Index(pointed, i), -1
		if slices.Contains(hashed, i) {
			here = len(f.Stills) - 1
		}
		if err == nil && k >= 0 && (len(pointed) < maxPointStills || k%(maxPointStills/2) == 0 || k == maxPointStills-1 || !f.shown(here, seen)) {
			var p []Point
			p, err = d.points(small)
			stills, seen = append(stills, pointStill{fr.PTS, p}), append(seen, here)
		}
		if err != nil {
			return Fingerprint{}, fmt.Errorf("fingerprint still %d of %s: %w", i, short(c.Info.SHA256), err)
		}
	}
	f.Areas = hashAreas(planes, planeOf)
	f.points = encodePoints(stills)
	f.index = makeIndex(stills)
	f.Audio = hear(c.PCM)
	f.full = resampleMotion(c.Motion)
	if f.Kind == media.Photo {
		t, err := f.picture.frame()
		if err != nil {
			return Fingerprint{}, fmt.Errorf("fingerprint %s: %w", short(c.Info.SHA256), err)
		}
		m := newWarp(identity, t.w, t.h, cells)
		grid := m.apply(&t, 1)
		roundMotion(&grid)
		f.motion = encodeMotion(&grid)
	} else if f.full.n > 1 {
		m := newWarp(identity, f.full.w, f.full.h, cells)
		grid := m.apply(&f.full, 1)
		roundMotion(&grid)
		f.motion, f.grid = encodeMotion(&grid), grid
		f.coarse = makeCoarse(&grid)
	}
	return f, nil
}

// sameScene is the PDQ distance in bits up to which two stills of one clip show the same scene: unlike pictures lie about 128 apart, one
// pair in a hundred less than 104.
const sameScene = 50

// shown says whether a still shows the scene of one whose points are in hand; both are positions in Stills, -1 for one that is not there.
// Looking for points is the dearest part of a fingerprint, and a fixed background gives the same ones again and again. So where a clip has
// maxPointStills stills or more, the points of the first, the fourth and the last are looked for, and of the others where they show another
// scene (a cut, another room, a turn of the camera). Clips with fewer stills give the points of all.
func (f *Fingerprint) shown(still int, seen []int) bool {
	if still < 0 || f.Stills[still].Quality < minQuality {
		return false
	}
	return slices.ContainsFunc(seen, func(k int) bool {
		return k >= 0 && f.Stills[k].Quality >= minQuality && f.Stills[k].PDQ[AsIs].Distance(f.Stills[still].PDQ[AsIs]) <= sameScene
	})
}

// short is the beginning of a digest, for messages.
func short(sha string) string { return sha[:min(12, len(sha))] }

// evenly gives at most k of the numbers 0..n-1, spread evenly with both ends in.
func evenly(n, k int) []int {
	if n <= k {
		out := make([]int, n)
		for i := range out {
			out[i] = i
		}
		return out
	}
	if k == 1 {
		return []int{n / 2}
	}
	out := make([]int, k)
	for i := range out {
		out[i] = (i*(n-1) + (k-1)/2) / (k - 1)
	}
	return out
}

// shrinkInto averages blocks of pixels, as many as leave the hashes and points what they need; small pictures are copied.
func shrinkInto(small *gocv.Mat, f *media.Frame) error {
	m := f.Image
	k := min(m.Cols(), m.Rows()) / hashKeepSide
	for k > 1 && max(m.Cols(), m.Rows())/k < pictureSide {
		k--
	}
	if k == 2 {
		if half, ok := f.Half(); ok {
			return half.CopyTo(small)
		}
	}
	if k <= 1 {
		return m.CopyTo(small)
	}
	if err := gocv.Resize(m, small, image.Pt(m.Cols()/k, m.Rows()/k), 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("shrink a %d x %d picture by %d: %w", m.Cols(), m.Rows(), k, err)
	}
	return nil
}

// hashStill computes all hashes of one still from one brightness plane in mem, and gives that too. known
// holds what the pictures of a clip have in common.
func hashStill(mem *memory, m gocv.Mat, pts time.Duration, known kernels) (Still, luma, error) {
	v, err := borrow(m)
	if err != nil {
		return Still{}, luma{}, err
	}
	l, err := toLuma(mem, v, hashKeepSide)
	if err != nil {
		return Still{}, luma{}, err
	}
	l.known = known
	s := Still{PTS: pts.Truncate(time.Millisecond), PHash64: phash(l, 8)[0], PHash256: phash(l, 16)}
	s.PDQ, s.Quality = pdqVariants(l)
	return s, l, nil
}

// borrow views a picture's bytes without a copy where they lie in one piece; the view lives as long as the picture.
func borrow(m gocv.Mat) (models.Image, error) {
	if m.Empty() || !m.IsContinuous() || m.Type() != gocv.MatTypeCV8UC3 && m.Type() != gocv.MatTypeCV8UC1 {
		return media.View(m)
	}
	p, err := m.DataPtrUint8()
	if err != nil {
		return models.Image{}, fmt.Errorf("view a %d x %d picture: %w", m.Cols(), m.Rows(), err)
	}
	return models.Image{Pix: p, W: m.Cols(), H: m.Rows(), C: m.Channels()}, nil
}

// makeIndex takes the strongest points of a few stills that lie evenly inside the clip.
func makeIndex(stills []pointStill) []indexPoint {
	var out []indexPoint
	for _, i := range middle(len(stills), indexStills) {
		strongest := stills[i].points[:min(indexPoints, len(stills[i].points))]
		for k, c := range codesOf(strongest) {
			p := &strongest[k]
			out = append(out, roundIndex(indexPoint{p.X, p.Y, p.Size, p.Angle, c}))
		}
	}
	return out
}

// middle gives at most k of 0..n-1, the middles of k equal parts.
func middle(n, k int) []int {
	k = min(n, k)
	out := make([]int, k)
	for i := range out {
		out[i] = (2*i + 1) * n / (2 * k)
	}
	return out
}

// makeCoarse pools the motion grid to 8 x 8 cells at 5 frames per second.
func makeCoarse(grid *track) track {
	a := grid.halve()
	b := a.halve()
	out := track{start: b.start, n: (b.n + coarseStride - 1) / coarseStride, w: coarseCells, h: coarseCells}
	out.valid = make([]bool, out.n)
	out.v = make([]float32, 0, out.n*coarseCells*coarseCells)
	for i := range out.n {
		out.valid[i] = b.valid[i*coarseStride]
		for _, x := range b.frame(i * coarseStride) {
			out.v = append(out.v, float32(math.Round(float64(x)*coarseUnit))/coarseUnit)
		}
	}
	return out
}

// hasSHA says whether a digest is known.
func hasSHA(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}
