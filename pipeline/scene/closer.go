package scene

import (
	"fmt"
	"image"
	"math"
	"slices"

	"gocv.io/x/gocv"
)

// A reference that is small in the frame leaves a handful of matching points: too few to claim it, enough to say where to look again, in the
// frame's full resolution, enlarged and with its contrast evened out. There the wrong partners from the rest of the frame are gone, too.
const (
	closerLooks     = 5   // per check: each costs about as much as a third of a frame
	closerSide      = 420 // long side of the enlarged part, pixels
	closerKeypoints = 500
	closerMost      = 3.0 // how much a part is enlarged at most
	closerMargin    = 0.3 // of the part's size, on each side
	hintVotes       = 4   // matching points that must point to the same place
	hintTurn        = 30  // degrees that their turns may differ by
	hintScale       = 1.7 // how much their scales may differ
	hintReach       = 0.3 // of the reference's size that their places may differ by
)

// hint is a place in a frame where a reference may be.
type hint struct {
	ref      *reference
	frame    int
	mirrored bool
	box      image.Rectangle
	votes    int
}

// hintOf lets matching points vote for the middle of the reference, each by its own size and direction (as in Lowe 2004, section 7.3).
func hintOf(ref, frame *keypoints, pairs []pair, w, h float64) (box image.Rectangle, votes int) {
	type vote struct{ x, y, scale, turn float64 }
	all := make([]vote, len(pairs))
	for i, p := range pairs {
		s, t := float64(frame.size[p.t])/math.Max(1e-3, float64(ref.size[p.q])), float64(frame.turn[p.t]-ref.turn[p.q])*math.Pi/180
		dx, dy := w/2-float64(ref.at[p.q].X), h/2-float64(ref.at[p.q].Y)
		all[i] = vote{float64(frame.at[p.t].X) + s*(dx*math.Cos(t)-dy*math.Sin(t)), float64(frame.at[p.t].Y) + s*(dx*math.Sin(t)+dy*math.Cos(t)), s, t}
	}
	var best vote
	for _, a := range all {
		n := 0
		var sum vote
		for _, b := range all {
			r := a.scale / b.scale
			turn := math.Abs(math.Remainder(a.turn-b.turn, 2*math.Pi))
			if r < hintScale && r > 1/hintScale && turn < hintTurn*math.Pi/180 && math.Hypot(a.x-b.x, a.y-b.y) < hintReach*math.Max(w, h)*a.scale {
				n++
				sum.x, sum.y, sum.scale = sum.x+b.x, sum.y+b.y, sum.scale+b.scale
			}
		}
		if n > votes {
			votes, best = n, vote{sum.x / float64(n), sum.y / float64(n), sum.scale / float64(n), a.turn}
		}
	}
	// The reference may be turned: its diagonal bounds it.
	c, s := math.Abs(math.Cos(best.turn)), math.Abs(math.Sin(best.turn))
	bw, bh := (w*c+h*s)*best.scale*(1+2*closerMargin), (w*s+h*c)*best.scale*(1+2*closerMargin)
	return image.Rect(int(best.x-bw/2), int(best.y-bh/2), int(best.x+bw/2), int(best.y+bh/2)), votes
}

// closer looks for a reference again in a part of a frame (BGR). side is the long side at which the frame was searched first.
func closer(keys *keypoints, w, h float64, frame gocv.Mat, box image.Rectangle, side int) (match, error) {
	box = box.Intersect(image.Rect(0, 0, frame.Cols(), frame.Rows()))
	if box.Dx() < smallestCrop/2 || box.Dy() < smallestCrop/2 {
		return match{}, nil
	}
	before := math.Min(1, float64(side)/float64(max(frame.Cols(), frame.Rows())))
	k := math.Min(closerMost, closerSide/float64(max(box.Dx(), box.Dy())))
	if k < 1.2*before {
		return match{}, nil // it was seen as large already
	}
	part := frame.Region(box)
	defer part.Close()
	view := gocv.NewMat()
	defer view.Close()
	mode := gocv.InterpolationArea
	if k > 1 {
		mode = gocv.InterpolationCubic
	}
	size := image.Pt(max(8, int(float64(box.Dx())*k)), max(8, int(float64(box.Dy())*k)))
	if err := gocv.Resize(part, &view, size, 0, 0, mode); err != nil {
		return match{}, fmt.Errorf("enlarge a part of %d x %d: %w", box.Dx(), box.Dy(), err)
	}
	grey, _, err := greyAt(view, max(size.X, size.Y))
	if err != nil {
		return match{}, err
	}
	defer grey.Close()
	clahe := gocv.NewCLAHEWithParams(2, image.Pt(4, 4))
	defer clahe.Close()
	if err := clahe.Apply(grey, &grey); err != nil {
		return match{}, fmt.Errorf("even out the contrast of a part: %w", err)
	}
	seen, err := detect(grey, closerKeypoints, 1/k)
	if err != nil {
		return match{}, err
	}
	defer seen.close()
	for i := range seen.at {
		seen.at[i].X += float32(box.Min.X)
		seen.at[i].Y += float32(box.Min.Y)
	}
	return matchPlane(keys, &seen, w, h, reprojectionPixels/k), nil
}

// strongest sorts hints, the most votes first.
func strongest(h []hint) []hint {
	slices.SortStableFunc(h, func(a, b hint) int { return b.votes - a.votes })
	return h[:min(len(h), closerLooks)]
}
