package scene

import (
	"context"
	"fmt"
	"image"
	"slices"

	"onsite/models"
)

// Where small text can be at all. The detector costs the same for a wall as for a page; most of a photo is walls, sky and people. Small text is
// brighter and darker by turns along a row, within a few pixels; outlines of things and soft folds are not. On 120 photos with a drawn sign 13 to
// 34 pixels high at 1920 (onsite's own drawing, see docs/benchmarks.md), of which 39 are read at TextSideFar only, all 39 lie in
// parts that are busy by these numbers, and so does a third of the pictures' area.
const (
	busyCell  = 16 // pixels of the detector's input
	busyStep  = 20 // grey levels between two pixels that are two apart
	busyReach = 10 // pixels between a step up and a step down that are one stroke or gap
	busyTurns = 8  // of steps, in a cell
	// busyTile is what parts are made of: the detector's grid, so that the parts need no scaling.
	busyTile = textGrid
	// partExtra is what one more part costs beside its pixels, in tiles: it lets the detector see what is around, and every part is a run of its own.
	partExtra = 4
	// partMost is the share of the picture from which the whole is looked at.
	partMost = 0.7
)

// busyParts are rectangles of a grey picture (w x h, multiples of busyTile) that cover all cells in which small text can be, with a tile
// around. They do not overlap, and their sides are multiples of busyTile. None: there is no such cell.
func busyParts(grey []byte, w, h int) []image.Rectangle {
	tw, th := w/busyTile, h/busyTile
	tiles := make([]bool, tw*th)
	cells := busyCells(grey, w, h)
	cw := (w + busyCell - 1) / busyCell
	for i, turns := range cells {
		x, y := i%cw, i/cw
		// Text is longer than a cell: one beside it must be busy, too.
		beside := x > 0 && cells[i-1] >= busyTurns || x+1 < cw && cells[i+1] >= busyTurns
		if turns < busyTurns || !beside {
			continue
		}
		for ty := max(0, (y-1)*busyCell/busyTile); ty <= min(th-1, ((y+2)*busyCell-1)/busyTile); ty++ {
			for tx := max(0, (x-2)*busyCell/busyTile); tx <= min(tw-1, ((x+3)*busyCell-1)/busyTile); tx++ {
				tiles[ty*tw+tx] = true
			}
		}
	}
	parts := tileParts(tiles, tw, th)
	area := 0
	for i, p := range parts {
		parts[i] = image.Rectangle{p.Min.Mul(busyTile), p.Max.Mul(busyTile)}
		area += p.Dx() * p.Dy()
	}
	if float64(area) > partMost*float64(tw*th) {
		return []image.Rectangle{image.Rect(0, 0, w, h)}
	}
	return parts
}

// busyCells counts in each cell how often a step follows one of the other direction.
func busyCells(grey []byte, w, h int) []int {
	cw := (w + busyCell - 1) / busyCell
	out := make([]int, cw*((h+busyCell-1)/busyCell))
	for y := range h {
		row, cells := grey[y*w:(y+1)*w], out[y/busyCell*cw:]
		before, last := 0, -busyReach
		for x := 2; x < w; x++ {
			d := int(row[x]) - int(row[x-2])
			if d < busyStep && d > -busyStep {
				continue
			}
			if d*before < 0 && x-last < busyReach {
				cells[x/busyCell]++
			}
			before, last = d, x
		}
	}
	return out
}

// tileParts covers the marked tiles of a grid with rectangles: one around each group of touching tiles, joined as long as that makes the
// detector's work less.
func tileParts(marked []bool, w, h int) []image.Rectangle {
	var parts []image.Rectangle
	seen := make([]bool, len(marked))
	for i := range marked {
		if !marked[i] || seen[i] {
			continue
		}
		seen[i] = true
		r := image.Rect(i%w, i/w, i%w+1, i/w+1)
		for todo := []int{i}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			x, y := at%w, at/w
			r = r.Union(image.Rect(x, y, x+1, y+1))
			for _, n := range [][2]int{{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}} {
				if k := n[1]*w + n[0]; n[0] >= 0 && n[0] < w && n[1] >= 0 && n[1] < h && marked[k] && !seen[k] {
					seen[k] = true
					todo = append(todo, k)
				}
			}
		}
		parts = append(parts, r)
	}
	cost := func(r image.Rectangle) int { return r.Dx()*r.Dy() + partExtra }
	for again := true; again; {
		again = false
		for a := 0; a < len(parts); a++ {
			for b := a + 1; b < len(parts); b++ {
				if u := parts[a].Union(parts[b]); parts[a].Overlaps(parts[b]) || cost(u) <= cost(parts[a])+cost(parts[b]) {
					parts[a], again = u, true
					parts = slices.Delete(parts, b, b+1)
					b--
				}
			}
		}
	}
	return parts
}

// busyMap is the text map of a BGR picture, whose sides are multiples of the detector's grid, where small text can be; 0 elsewhere.
func busyMap(ctx context.Context, m Models, in models.Image) (models.ProbMap, error) {
	grey := make([]byte, in.W*in.H)
	for i := range grey {
		b, g, r := in.Pix[3*i], in.Pix[3*i+1], in.Pix[3*i+2]
		grey[i] = byte((1868*int(b) + 9617*int(g) + 4899*int(r) + 1<<13) >> 14) // BT.601
	}
	parts := busyParts(grey, in.W, in.H)
	whole := image.Rect(0, 0, in.W, in.H)
	if len(parts) == 1 && parts[0] == whole {
		return m.TextMap(ctx, in)
	}
	out := models.ProbMap{P: make([]float32, in.W*in.H), W: in.W, H: in.H}
	for _, r := range parts {
		w, h := r.Dx(), r.Dy()
		part := models.Image{Pix: make([]byte, 0, 3*w*h), W: w, H: h, C: 3}
		for y := r.Min.Y; y < r.Max.Y; y++ {
			part.Pix = append(part.Pix, in.Pix[3*(y*in.W+r.Min.X):3*(y*in.W+r.Max.X)]...)
		}
		p, err := m.TextMap(ctx, part)
		if err != nil {
			return models.ProbMap{}, err
		}
		if p.W != w || p.H != h || len(p.P) != w*h {
			return models.ProbMap{}, fmt.Errorf("the map of a part of %d x %d has %d values for %d x %d", w, h, len(p.P), p.W, p.H)
		}
		for y := range h {
			copy(out.P[(r.Min.Y+y)*in.W+r.Min.X:], p.P[y*w:(y+1)*w])
		}
	}
	return out, nil
}
