package liveness

import (
	"context"
	"fmt"
	"image"
	"math"
	"sort"

	"onsite/models"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// Models is what liveness needs from the models. A *models.Set has it.
type Models interface {
	// InputSize is the picture size in pixels that a task's model takes.
	InputSize(task models.Task) (w, h int)
	// LiveScore is the probability (0..1) that the face in a BGR square of InputSize is a live person.
	LiveScore(ctx context.Context, im models.Image) (float32, error)
}

// vote is what the model says about one face of one frame.
type vote struct {
	frame  int // Frame.Index
	box    image.Rectangle
	live   float64 // 0..1
	light  float64 // mean grey of the face, 0..255
	view   float64 // side of what the model saw, in face heights
	spot   face.Spot
	weight float64 // 0..1: how much the model can know from this face
}

// ballot are the votes of one track.
type ballot struct {
	track int
	votes []vote
	seen  int     // faces of the track in the sampled frames, voting or not
	left  int     // faces that were not asked about, because no answer could have changed anything
	noise float64 // median of what the model saw in its votes, grey levels; measured where they hesitate, 0 elsewhere
	// balanced is what the score would be without the lamp's colour and brightness; asked where the votes hesitate, 0 elsewhere.
	balanced float64
	share    float64 // of the faces that weigh (ten at most) those that are asked about; 0: all
}

// weighed is of how many faces Config.MinWeight is the least weight.
const weighed = 10

// need is the least weight of the votes that says anything.
func (b *ballot) need(c *Config) float64 {
	if b.share == 0 {
		return c.MinWeight
	}
	return c.MinWeight * b.share
}

// weight is the sum of the votes' weights.
func (b *ballot) weight() float64 {
	sum := 0.0
	for i := range b.votes {
		sum += b.votes[i].weight
	}
	return sum
}

// score is the weighted median of the live scores: no single frame decides, and half of the weight must agree.
func (b *ballot) score() float64 {
	v := append([]vote(nil), b.votes...)
	sort.SliceStable(v, func(i, j int) bool { return v[i].live < v[j].live })
	half, sum := b.weight()/2, 0.0
	for i := range v {
		sum += v[i].weight
		if sum > half {
			return v[i].live
		}
		if sum == half && i+1 < len(v) {
			return (v[i].live + v[i+1].live) / 2
		}
	}
	return v[len(v)-1].live
}

// light is the weighted mean light of the faces.
func (b *ballot) light() float64 {
	sum, weight := 0.0, 0.0
	for i := range b.votes {
		sum += b.votes[i].weight * b.votes[i].light
		weight += b.votes[i].weight
	}
	return sum / weight
}

// tight tells whether every vote comes from a face that fills the picture.
func (b *ballot) tight(least float64) bool {
	for i := range b.votes {
		if b.votes[i].view >= least {
			return false
		}
	}
	return true
}

// worst gives up to n votes, the least live first.
func (b *ballot) worst(n int) []vote {
	v := append([]vote(nil), b.votes...)
	sort.SliceStable(v, func(i, j int) bool { return v[i].live < v[j].live })
	return v[:min(n, len(v))]
}

// poll asks the model about up to limit faces of a track, spread over the clip.
func poll(ctx context.Context, m Models, clip *media.Clip, found *face.Found, track, limit int, c *Config) (b ballot, err error) {
	b = ballot{track: track, seen: len(found.Tracks[track].Spots)}
	var fit []face.Spot
	for _, s := range found.Tracks[track].Spots {
		if f := found.At(s); f.Box.Dy() >= c.MinFace && f.Turn() <= c.MaxTurn {
			fit = append(fit, s)
		}
	}
	places := spread(len(fit), limit)
	if n := min(len(fit), weighed); len(places) < n {
		b.share = float64(len(places)) / float64(n)
	}
	order := halves(len(places))
	if !c.EarlyExit {
		sort.Ints(order)
	}
	for n, k := range order {
		if c.EarlyExit && clip.Info.Kind == media.Video && b.settled(len(order)-n, c) {
			b.left = len(order) - n
			break
		}
		s := fit[places[k]]
		var v vote
		v, err = ask(ctx, m, &clip.Frames[s.Frame], found.At(s), c)
		if err != nil {
			return ballot{}, fmt.Errorf("liveness of the face at %v in frame %d: %w", found.At(s).Box, clip.Frames[s.Frame].Index, err)
		}
		if v.spot = s; v.weight > 0 {
			b.votes = append(b.votes, v)
		}
	}
	b.byTime()
	if len(b.votes) > 0 && b.score() < c.Threshold+c.Near {
		if b.noise, err = b.noiseOf(clip, c); err != nil {
			return ballot{}, err
		}
		if b.balanced, err = b.balancedScore(ctx, m, clip, c); err != nil {
			return ballot{}, err
		}
	}
	return b, nil
}

// balancedScore asks about the same faces once more, each view with its colours made grey on the average and its face of about balancedLight: the
// model takes a lamp's or a camera's colour for an attack. Of three real attacks it rejects all the same.
func (b *ballot) balancedScore(ctx context.Context, m Models, clip *media.Clip, c *Config) (float64, error) {
	w, h := m.InputSize(models.Liveness)
	again := ballot{votes: append([]vote(nil), b.votes...)}
	for i := range again.votes {
		v := &again.votes[i]
		picture := clip.Frames[v.spot.Frame].Image
		crop, err := media.Crop(picture, square(v.box, c.Crop, picture.Cols(), picture.Rows()), w, h)
		if err != nil {
			return 0, err
		}
		live, err := m.LiveScore(ctx, balance(&crop))
		if err != nil {
			return 0, fmt.Errorf("liveness of the face at %v in frame %d, in balanced colours: %w", v.box, v.frame, err)
		}
		v.live = float64(live)
	}
	return again.score(), nil
}

// balancedLight is the mean grey of a face in a balanced view.
const balancedLight = 125

// balance gives a BGR crop with the same mean in its three colours (the grey world of Buchsbaum 1980) and a middle, the face, of about balancedLight.
func balance(im *models.Image) models.Image {
	out := models.Image{W: im.W, H: im.H, C: im.C, Pix: append([]byte(nil), im.Pix...)}
	var sum [3]float64
	for i, v := range im.Pix {
		sum[i%3] += float64(v)
	}
	grey := (sum[0] + sum[1] + sum[2]) / 3
	gain := balancedLight / math.Max(light(im), 1)
	var tone [3][256]byte
	for k := range tone {
		for v := range tone[k] {
			tone[k][v] = byte(min(float64(v)*gain*grey/math.Max(sum[k], 1), 255))
		}
	}
	for i, v := range out.Pix {
		out.Pix[i] = tone[i%3][v]
	}
	return out
}

// noiseOf is the median noise of what the model saw, grey levels.
func (b *ballot) noiseOf(clip *media.Clip, c *Config) (float64, error) {
	var all []float64
	for i := range b.votes {
		picture := clip.Frames[b.votes[i].spot.Frame].Image
		part := picture.Region(square(b.votes[i].box, c.Crop, picture.Cols(), picture.Rows()))
		grey, err := media.Gray(part)
		_ = part.Close()
		if err != nil {
			return 0, fmt.Errorf("noise of frame %d: %w", b.votes[i].frame, err)
		}
		all = append(all, noise(grey.ToBytes(), grey.Cols(), grey.Rows()))
		_ = grey.Close()
	}
	return quantile(all, 0.5), nil
}

// noise is the standard deviation of the noise of a grey picture of w x h pixels, grey levels (Immerkaer 1996), in the calmest third of its blocks of
// 8 x 8 pixels: texture is none.
func noise(g []byte, w, h int) float64 {
	const side = 8
	var blocks []float64
	for y0 := 1; y0+side < h; y0 += side {
		for x0 := 1; x0+side < w; x0 += side {
			sum := 0
			for y := y0; y < y0+side; y++ {
				up, at, low := g[(y-1)*w+x0-1:][:side+2], g[y*w+x0-1:][:side+2], g[(y+1)*w+x0-1:][:side+2]
				for k := 1; k <= side; k++ {
					v := int(up[k-1]) - 2*int(up[k]) + int(up[k+1]) - 2*int(at[k-1]) + 4*int(at[k]) - 2*int(at[k+1]) + int(low[k-1]) - 2*int(low[k]) + int(low[k+1])
					sum += max(v, -v)
				}
			}
			blocks = append(blocks, float64(sum)/(side*side)*math.Sqrt(math.Pi/2)/6)
		}
	}
	return quantile(blocks, 1.0/3)
}

// ask gives the model's vote on one face.
func ask(ctx context.Context, m Models, frame *media.Frame, f *face.Face, c *Config) (vote, error) {
	w, h := m.InputSize(models.Liveness)
	view := square(f.Box, c.Crop, frame.Image.Cols(), frame.Image.Rows())
	crop, err := media.Crop(frame.Image, view, w, h)
	if err != nil {
		return vote{}, err
	}
	live, err := m.LiveScore(ctx, crop)
	if err != nil {
		return vote{}, err
	}
	v := vote{frame: frame.Index, box: f.Box, live: float64(live), light: light(&crop), view: float64(view.Dx()) / float64(f.Box.Dy())}
	v.weight = face.Ramp(poorest, float64(f.Box.Dy()), float64(c.MinFace), float64(c.GoodFace)) *
		face.Ramp(poorest, v.light, c.DarkFace, c.GoodLight) *
		face.Ramp(poorest, -f.Turn(), -c.MaxTurn, -c.GoodTurn)
	return v, nil
}

// square is the model's view of a face: a square of scale face heights around the middle of the box, shifted inside the picture; as large
// as the picture's short side at most.
func square(box image.Rectangle, scale float64, w, h int) image.Rectangle {
	side := int(math.Round(scale * float64(box.Dy())))
	side = max(min(side, w, h), 1)
	c := box.Min.Add(box.Max)
	x := min(max((c.X-side)/2, 0), w-side)
	y := min(max((c.Y-side)/2, 0), h-side)
	return image.Rect(x, y, x+side, y+side)
}

// light is the mean grey of the middle quarter of a BGR crop: the face itself when the crop is twice its size.
func light(im *models.Image) float64 {
	sum, n := 0, 0
	for y := im.H / 4; y < im.H*3/4; y++ {
		row := im.Pix[(y*im.W+im.W/4)*3 : (y*im.W+im.W*3/4)*3]
		for i := 0; i+2 < len(row); i += 3 {
			sum += 29*int(row[i]) + 150*int(row[i+1]) + 77*int(row[i+2]) // ITU-R BT.601 in 256ths
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(sum) / 256 / float64(n)
}

// poorest is the least that one measure leaves of a vote's weight: a poor vote still counts when there is nothing better.
const poorest = 0.1

// spread picks up to k of n places, evenly, the first and the last among them.
func spread(n, k int) []int {
	if k >= n {
		k = n
	}
	out := make([]int, 0, max(k, 0))
	for i := range k {
		at := 0
		if k > 1 {
			at = i * (n - 1) / (k - 1)
		}
		out = append(out, at)
	}
	return out
}
