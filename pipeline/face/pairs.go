package face

import (
	"context"
	"time"
)

// Pair is one photo compared with one other, as a product with one enrolled photo would.
type Pair struct {
	Probe, Reference                 string // files, relative to the folder's parent
	ProbeIdentity, ReferenceIdentity string
	HasFaces                         bool // in both; without, Score says nothing
	Score                            float64
	Brightness                       float64       // of the darker of the two faces, 0..255
	Spent                            time.Duration // on finding, aligning and embedding the probe
}

// Pairs measures a folder of photos, DIR/<identity>/*, and compares every two of them. Files that cannot be decoded are listed and left out.
func Pairs(ctx context.Context, dir string, c Config, progress func(done, total int), decode Decode, m Models) ([]Pair, []RefusedImage, error) {
	r := BenchResult{Refused: []RefusedImage{}}
	shots, err := shootAll(ctx, dir, BenchOptions{Config: c, Progress: progress}, decode, m, &r)
	if err != nil {
		return nil, nil, err
	}
	var out []Pair
	for i, a := range shots {
		for j := i + 1; j < len(shots); j++ {
			b := shots[j]
			p := Pair{Probe: a.file, Reference: b.file, ProbeIdentity: a.identity, ReferenceIdentity: b.identity, HasFaces: a.ok && b.ok, Brightness: min(a.brightness, b.brightness), Spent: a.spent}
			if p.Score, err = against(shots, i, []int{j}); err != nil {
				return nil, nil, err
			}
			out = append(out, p)
		}
	}
	return out, r.Refused, nil
}
