package scene

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"gocv.io/x/gocv"
)

// Numbers of the comparison after registration. TestContentOnEval prints the tables they were chosen from.
const (
	patchSide = 192 // long side of the grey patch that is kept of a reference, pixels
	tileSide  = 16  // of the patch
	tileShift = 3   // a tile may lie so many pixels off: homographies of nine points are not exact at the edges
	// flatTile is the deviation (grey levels) below which a tile of the patch says nothing; freshTile that of a tile in the frame, as the
	// reference would show it, which counts as something new where the reference is flat.
	flatTile, freshTile = 10.0, 24.0
	// tileAgrees and tileDiffers are the correlations from which a tile shows the same, and up to which it shows something else: what
	// lies between says nothing. Other words correlate up to about .5 where each tile may search for its best place.
	tileAgrees, tileDiffers = 0.7, 0.5
	// covered is how far (grey levels) a tile's mean may lie from what the reference has there: beyond it somebody stands in front.
	covered = 36.0
	// smallestPatch is the long side in pixels of the frame below which a plane is too small to compare its content.
	smallestPatch = 56.0
	// fewestTiles is how many tiles must say something.
	fewestTiles = 6
)

// patch is a reference in grey, small: what the plane in a frame is compared with, tile by tile, after registration.
type patch struct {
	w, h  int
	scale float64 // pixels of the reference per pixel of the patch
	pix   []float32
}

// patchOf shrinks a crop (BGR or grey).
func patchOf(crop gocv.Mat) (patch, error) {
	grey, scale, err := greyAt(crop, patchSide)
	if err != nil {
		return patch{}, err
	}
	defer grey.Close()
	return patch{w: grey.Cols(), h: grey.Rows(), scale: scale, pix: floats(grey.ToBytes())}, nil
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b))
	for i, v := range b {
		out[i] = float32(v)
	}
	return out
}

// flipped is the patch seen in a mirror.
func (p patch) flipped() patch {
	out := p
	out.pix = make([]float32, len(p.pix))
	for y := range p.h {
		for x := range p.w {
			out.pix[y*p.w+x] = p.pix[y*p.w+p.w-1-x]
		}
	}
	return out
}

// content says how the inside of a plane agrees with the reference.
type content struct {
	Agree   int     // tiles that show the same
	Differ  int     // tiles that show something else on the same ground
	Covered int     // tiles that somebody or something hides, or that are washed out
	Mean    float64 // mean correlation of the tiles that could be compared
	tiles   []tile
	hom     [9]float64 // the plane that was compared
}

// tile is one square of the patch.
type tile struct {
	x, y   int // of its upper left corner, pixels of the patch
	dx, dy int // where it lies in the plane, off its place
	r      float64
	state  tileState
}

type tileState int

const (
	tileFlat tileState = iota // nothing to compare
	tileSame
	tileOther
	tileHidden
	tileOpen // neither
)

// share is the part of the comparable tiles that show something else.
func (c content) share() float64 {
	if c.Agree+c.Differ == 0 {
		return 0
	}
	return float64(c.Differ) / float64(c.Agree+c.Differ)
}

// enough tells whether the comparison says something at all.
func (c content) enough() bool { return c.Agree+c.Differ >= fewestTiles }

// seenIn takes the plane out of a frame (BGR or grey) as the reference would show it, in the patch's size; blur is how many times smaller
// the frame shows it. It gives nil where the plane is too small in the frame, or mostly outside of it.
func (p patch) seenIn(frame gocv.Mat, hom [9]float64) (pix []float32, inside []bool, blur float64, err error) {
	w, h := float64(p.w)*p.scale, float64(p.h)*p.scale
	x1, y1, x2, y2 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	var corner [4][2]float64
	for i, c := range [4][2]float64{{0, 0}, {w, 0}, {w, h}, {0, h}} {
		x, y, _ := project(hom, c[0], c[1])
		corner[i] = [2]float64{x, y}
		x1, y1, x2, y2 = math.Min(x1, x), math.Min(y1, y), math.Max(x2, x), math.Max(y2, y)
	}
	side := func(a, b int) float64 {
		return math.Hypot(corner[a][0]-corner[b][0], corner[a][1]-corner[b][1])
	}
	across, down := (side(0, 1)+side(2, 3))/2, (side(1, 2)+side(3, 0))/2
	if math.Max(across, down) < smallestPatch {
		return nil, nil, 0, nil
	}
	box := image.Rect(int(math.Floor(x1))-2, int(math.Floor(y1))-2, int(math.Ceil(x2))+3, int(math.Ceil(y2))+3).Intersect(image.Rect(0, 0, frame.Cols(), frame.Rows()))
	if box.Dx() < tileSide || box.Dy() < tileSide {
		return nil, nil, 0, nil
	}
	part := frame.Region(box)
	defer part.Close()
	// Shrunk by area first where the frame shows it larger than the patch is: warping alone would skip pixels.
	shrink := math.Max(1, math.Max(across/float64(p.w), down/float64(p.h)))
	grey, back, err := greyAt(part, int(math.Ceil(float64(max(box.Dx(), box.Dy()))/shrink)))
	if err != nil {
		return nil, nil, 0, err
	}
	defer grey.Close()
	// From the patch to the shrunk part of the frame.
	m := gocv.NewMatWithSize(3, 3, gocv.MatTypeCV64F)
	defer m.Close()
	for i := range 3 {
		a := [3]float64{hom[i*3] * p.scale, hom[i*3+1] * p.scale, hom[i*3+2]}
		for j := range 3 {
			d := hom[6+j]
			if j < 2 {
				d *= p.scale
			}
			v := a[j]
			switch i {
			case 0:
				v = (a[j] - float64(box.Min.X)*d) / back
			case 1:
				v = (a[j] - float64(box.Min.Y)*d) / back
			}
			m.SetDoubleAt(i, j, v)
		}
	}
	out := gocv.NewMat()
	defer out.Close()
	const inverse = 16 // cv::WARP_INVERSE_MAP, which gocv does not name
	if err := gocv.WarpPerspectiveWithParams(grey, &out, m, image.Pt(p.w, p.h), gocv.InterpolationLinear|inverse, gocv.BorderReplicate, color.RGBA{}); err != nil {
		return nil, nil, 0, fmt.Errorf("bring a plane to %d x %d: %w", p.w, p.h, err)
	}
	inside = make([]bool, p.w*p.h)
	for y := range p.h {
		for x := range p.w {
			fx, fy, _ := project(hom, float64(x)*p.scale, float64(y)*p.scale)
			inside[y*p.w+x] = fx >= 1 && fy >= 1 && fx < float64(frame.Cols()-1) && fy < float64(frame.Rows()-1)
		}
	}
	blur = math.Max(1, math.Min(float64(p.w)/across, float64(p.h)/down))
	return floats(out.ToBytes()), inside, blur, nil
}

// soft blurs the patch as much as a frame does that shows it blur times smaller.
func (p patch) soft(blur float64) (patch, error) {
	if blur <= 1.05 {
		return p, nil
	}
	b := make([]byte, len(p.pix))
	for i, v := range p.pix {
		b[i] = byte(v + .5)
	}
	m, err := gocv.NewMatFromBytes(p.h, p.w, gocv.MatTypeCV8UC1, b)
	if err != nil {
		return p, fmt.Errorf("blur a patch: %w", err)
	}
	defer m.Close()
	sigma := 0.55 * math.Sqrt(blur*blur-1)
	if err := gocv.GaussianBlur(m, &m, image.Pt(0, 0), sigma, 0, gocv.BorderDefault); err != nil {
		return p, fmt.Errorf("blur a patch: %w", err)
	}
	out := p
	out.pix = floats(m.ToBytes())
	return out, nil
}

// compare correlates the patch with the plane as the frame shows it, tile by tile: zero-mean normalised correlation, each tile at its best
// place within a few pixels.
func (p patch) compare(pix []float32, inside []bool) content {
	type measured struct {
		tile
		meanR, devR, meanF, devF float64
		plain                    bool // the reference is flat here
	}
	var all []measured
	var gains, offsets []float64
	for y := 0; y+tileSide <= p.h; y += tileSide {
		for x := 0; x+tileSide <= p.w; x += tileSide {
			if !allInside(inside, p.w, x, y) {
				continue
			}
			m := measured{tile: tile{x: x, y: y}}
			m.meanR, m.devR = spread(p.pix, p.w, x, y)
			m.plain = m.devR < flatTile
			m.meanF, m.devF = spread(pix, p.w, x, y)
			if !m.plain {
				best := math.Inf(-1)
				for dy := -tileShift; dy <= tileShift; dy++ {
					for dx := -tileShift; dx <= tileShift; dx++ {
						fx, fy := x+dx, y+dy
						if fx < 0 || fy < 0 || fx+tileSide > p.w || fy+tileSide > p.h {
							continue
						}
						if r := correlation(p.pix, pix, p.w, x, y, fx, fy); r > best {
							best, m.dx, m.dy = r, dx, dy
						}
					}
				}
				if m.r = best; m.r >= tileAgrees {
					gains = append(gains, m.devF/m.devR)
				}
			}
			all = append(all, m)
		}
	}
	c := content{}
	gain := 1.0
	if len(gains) > 0 {
		gain = math.Max(.2, middle(gains))
	}
	for _, m := range all {
		if !m.plain && m.r >= tileAgrees {
			offsets = append(offsets, m.meanF-gain*m.meanR)
		}
	}
	offset := 0.0
	if len(offsets) > 0 {
		offset = middle(offsets)
	}
	sum, n := 0.0, 0
	for _, m := range all {
		away := math.Abs(m.meanF - gain*m.meanR - offset)
		switch {
		case m.plain && m.devF > freshTile*gain && m.devF > flatTile && away <= covered:
			m.state = tileOther
		case m.plain:
			m.state = tileFlat
		case m.r >= tileAgrees:
			m.state = tileSame
		case away > covered, m.devF < .4*gain*m.devR, m.devF < flatTile/3:
			m.state = tileHidden
		case m.r <= tileDiffers:
			m.state = tileOther
		default:
			m.state = tileOpen
		}
		switch m.state {
		case tileSame:
			c.Agree++
		case tileOther:
			c.Differ++
		case tileHidden:
			c.Covered++
		}
		if !m.plain && m.state != tileHidden {
			sum += m.r
			n++
		}
		c.tiles = append(c.tiles, m.tile)
	}
	if n > 0 {
		c.Mean = sum / float64(n)
	}
	return c
}

// contentOf compares a found plane with its reference. Where tiles do not agree, the plane is laid anew through those that do: a homography
// of nine points may be off by more than tiles can search.
func contentOf(p patch, frame gocv.Mat, hom [9]float64) (content, error) {
	c, err := p.against(frame, hom)
	if err != nil {
		return content{}, err
	}
	for range 2 {
		if c.Differ+c.Covered == 0 {
			break
		}
		finer, ok := p.relaid(c, hom)
		if !ok {
			break
		}
		next, err := p.against(frame, finer)
		if err != nil {
			return content{}, err
		}
		if next.Agree <= c.Agree {
			break
		}
		c, hom = next, finer
	}
	c.hom = hom
	return c, nil
}

// against compares the patch with one plane of a frame.
func (p patch) against(frame gocv.Mat, hom [9]float64) (content, error) {
	pix, inside, blur, err := p.seenIn(frame, hom)
	if err != nil || pix == nil {
		return content{}, err
	}
	soft, err := p.soft(blur)
	if err != nil {
		return content{}, err
	}
	return soft.compare(pix, inside), nil
}

// relaid fits the plane to where its agreeing tiles were found.
func (p patch) relaid(c content, hom [9]float64) ([9]float64, bool) {
	const good = 0.55
	var from, to []gocv.Point2f
	for _, t := range c.tiles {
		if t.state == tileFlat || t.r < good {
			continue
		}
		x, y := (float64(t.x)+tileSide/2)*p.scale, (float64(t.y)+tileSide/2)*p.scale
		u, v, _ := project(hom, x+float64(t.dx)*p.scale, y+float64(t.dy)*p.scale)
		from, to = append(from, gocv.Point2f{X: float32(x), Y: float32(y)}), append(to, gocv.Point2f{X: float32(u), Y: float32(v)})
	}
	if len(from) < fewestTiles {
		return hom, false
	}
	x0, y0, _ := project(hom, 0, 0)
	x1, y1, _ := project(hom, float64(p.w)*p.scale, float64(p.h)*p.scale)
	pixel := math.Hypot(x1-x0, y1-y0) / math.Hypot(float64(p.w), float64(p.h)) // of the frame, per pixel of the patch
	finer, _, ok := planeThrough(from, to, 1.5*pixel)
	if !ok {
		return hom, false
	}
	_, ok = plausible(finer, float64(p.w)*p.scale, float64(p.h)*p.scale)
	return finer, ok
}

func allInside(inside []bool, w, x, y int) bool {
	for v := y; v < y+tileSide; v += tileSide - 1 {
		for u := x; u < x+tileSide; u += tileSide - 1 {
			if !inside[v*w+u] {
				return false
			}
		}
	}
	return true
}

// spread is the mean and the deviation of a tile.
func spread(pix []float32, w, x, y int) (mean, dev float64) {
	var s, q float64
	for v := y; v < y+tileSide; v++ {
		for _, f := range pix[v*w+x : v*w+x+tileSide] {
			s += float64(f)
			q += float64(f) * float64(f)
		}
	}
	const n = tileSide * tileSide
	mean = s / n
	return mean, math.Sqrt(math.Max(0, q/n-mean*mean))
}

// correlation of the tile of a at x, y with that of b at u, v, -1..1; 0 where one is flat.
func correlation(a, b []float32, w, x, y, u, v int) float64 {
	var sa, sb, qa, qb, ab float64
	for i := range tileSide {
		ra, rb := a[(y+i)*w+x:(y+i)*w+x+tileSide], b[(v+i)*w+u:(v+i)*w+u+tileSide]
		for j, f := range ra {
			g := rb[j]
			sa += float64(f)
			sb += float64(g)
			qa += float64(f * f)
			qb += float64(g * g)
			ab += float64(f * g)
		}
	}
	const n = tileSide * tileSide
	va, vb := qa-sa*sa/n, qb-sb*sb/n
	if va < n || vb < n {
		return 0
	}
	return (ab - sa*sb/n) / math.Sqrt(va*vb)
}

// middle is the median; it sorts.
func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
