package scene

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"time"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Trial says what every reference and every name of a site makes of one photo, whether it is wanted now or not: for who sets a site up.
type Trial struct {
	Check      pipeline.Check   `json:"check"`
	Elements   []Seen           `json:"elements"`
	Against    []Contradiction  `json:"against,omitempty"`
	References []TriedReference `json:"references"`
	Names      []TriedName      `json:"names"`
	Words      []Word           `json:"words"`
	Objects    []Object         `json:"objects"`
}

// TriedReference is one reference tried on the photo.
type TriedReference struct {
	Number    int              `json:"number"` // of its outline in the picture
	Kind      Element          `json:"kind"`
	Name      string           `json:"name"`
	Negative  bool             `json:"negative,omitempty"`
	Now       bool             `json:"now"`     // it should be in view at the time
	Stable    int              `json:"stable"`  // its keypoints that are found again from further away
	Quality   Quality          `json:"quality"` // what that is worth
	Found     bool             `json:"found"`
	Differs   bool             `json:"differs,omitempty"` // its shape, with other content
	Inliers   int              `json:"inliers"`
	Threshold int              `json:"threshold"`
	Coverage  float64          `json:"coverage"`
	Agree     int              `json:"agree"` // parts with the same content
	Differ    int              `json:"differ"`
	Covered   int              `json:"covered"`
	Mirrored  bool             `json:"mirrored,omitempty"`
	Outline   []pipeline.Point `json:"outline,omitempty"`
}

// TriedName is one name looked for in what was read.
type TriedName struct {
	Name       string  `json:"name"`
	As         string  `json:"as,omitempty"` // its pinyin, where that came nearest
	Foreign    bool    `json:"foreign,omitempty"`
	Found      bool    `json:"found"`
	Doubtful   bool    `json:"doubtful,omitempty"`
	Read       string  `json:"read,omitempty"`
	Similarity float64 `json:"similarity"`
	Threshold  float64 `json:"threshold"`
}

// Quality says what a reference is worth.
type Quality string

// The qualities.
const (
	Good Quality = "good" // found again in most conditions
	Fair Quality = "fair" // found from near; another picture of it would help
)

// goodKeypoints is the number of stable keypoints from which a reference is good.
const goodKeypoints = 40

// Try looks at a photo as the check does, and beyond that at every reference and every name of the site, with everything that can be read.
func Try(ctx context.Context, m Models, photo *media.Clip, site *Site, at time.Time, cfg Config) (Trial, error) {
	check, res, err := Check(ctx, m, photo, site, at, cfg)
	if err != nil {
		return Trial{}, err
	}
	t := Trial{Check: check, Elements: res.Elements, Against: res.Against, References: []TriedReference{}, Names: []TriedName{}, Words: []Word{}, Objects: []Object{}}
	if check.Why == WhyNoFrames || check.Why == WhyNoSite {
		return t, nil
	}
	frame := photo.Frames[0]
	s := newSearch(m, site, at, cfg, true)
	defer s.close()
	if err := s.keyed(frame); err != nil {
		return Trial{}, err
	}
	for i := range site.refs {
		tried, err := s.tried(ctx, &site.refs[i])
		if err != nil {
			return Trial{}, err
		}
		tried.Number = i + 1
		t.References = append(t.References, tried)
	}
	full := &reader{models: m, limit: benchLines}
	for _, side := range []int{cfg.TextSide, cfg.TextSideFar} {
		if m == nil || side == 0 {
			continue
		}
		words, err := full.read(ctx, frame, side)
		if err != nil {
			return Trial{}, err
		}
		if len(words) > len(t.Words) {
			t.Words = words
		}
		t.Names = triedNames(site, cfg, words, t.Names)
	}
	if models, ok := m.(FeatureModels); ok {
		f, err := NewExtractor(models).Features(ctx, frame.Image, Want{Office: true, Scene: true})
		if err != nil {
			return Trial{}, err
		}
		t.Objects = append(t.Objects, f.Objects...)
	}
	return t, nil
}

// tried is what one reference makes of the frame.
func (s *search) tried(ctx context.Context, r *reference) (TriedReference, error) {
	one := newSearch(s.models, s.site, s.at, s.cfg, true)
	one.keys = s.keys // not closed by one
	if err := one.try(r, 0); err != nil {
		return TriedReference{}, err
	}
	if err := one.closer(ctx); err != nil {
		return TriedReference{}, err
	}
	out := TriedReference{Kind: r.element, Name: r.name, Negative: r.neg, Now: r.wantedAt(s.at), Stable: r.stable, Quality: Fair, Threshold: s.cfg.Inliers}
	if r.stable >= goodKeypoints {
		out.Quality = Good
	}
	var best sight
	for _, b := range []sight{one.best[r.element], one.differs[r.element], one.outdated, one.foreign} {
		if b.ref == r && (best.ref == nil || b.found || b.differs) {
			best = b
		}
	}
	out.Found, out.Differs, out.Inliers, out.Coverage, out.Mirrored = best.found, best.differs, best.Inliers, best.Coverage, best.Mirrored
	out.Agree, out.Differ, out.Covered = best.content.Agree, best.content.Differ, best.content.Covered
	if best.Inliers >= fewestMatches {
		out.Outline = best.Outline
	}
	return out, nil
}

// triedNames compares all names with words, and keeps the better of this and what was there before.
func triedNames(site *Site, cfg Config, words []Word, before []TriedName) []TriedName {
	at := map[string]int{}
	for i, n := range before {
		at[n.Name] = i
	}
	out := before
	add := func(n signName, foreign bool) {
		n.similarity = cfg.SignSimilarity
		b := bestOf(n, words)
		t := TriedName{Name: n.raw, Foreign: foreign, Found: b.found, Doubtful: b.doubt, Read: b.read, Similarity: b.similarity, Threshold: 1 - float64(n.budget())/float64(edit*len(n.key))}
		if n.pinyin {
			t.As = string(n.key)
		}
		i, ok := at[n.raw]
		if !ok {
			at[n.raw] = len(out)
			out = append(out, t)
			return
		}
		if o := out[i]; (t.Found && !o.Found) || (t.Found == o.Found && t.Similarity > o.Similarity) {
			out[i] = t
		}
	}
	for _, n := range site.names {
		add(n, false)
	}
	for _, n := range site.foreign {
		add(n, true)
	}
	return out
}

// Picture draws the trial over the photo (BGR), at most 1600 pixels wide, as a PNG: references by their numbers, found ones in green, those of
// other places in red, near misses in yellow; words in blue.
func (t Trial) Picture(photo gocv.Mat) ([]byte, error) {
	const most = 1600.0
	k := math.Min(1, most/float64(max(photo.Cols(), photo.Rows())))
	out := gocv.NewMat()
	defer out.Close()
	if err := gocv.Resize(photo, &out, image.Pt(max(1, int(float64(photo.Cols())*k)), max(1, int(float64(photo.Rows())*k))), 0, 0, gocv.InterpolationArea); err != nil {
		return nil, fmt.Errorf("draw a trial: %w", err)
	}
	line := func(outline []pipeline.Point, c color.RGBA, label string) error {
		if len(outline) < 3 {
			return nil
		}
		points := make([]image.Point, len(outline))
		for i, p := range outline {
			points[i] = image.Pt(int(math.Max(-4*most, math.Min(4*most, p.X*k))), int(math.Max(-4*most, math.Min(4*most, p.Y*k))))
		}
		v := gocv.NewPointsVectorFromPoints([][]image.Point{points})
		defer v.Close()
		if err := gocv.Polylines(&out, v, true, color.RGBA{A: 255}, 5); err != nil {
			return err
		}
		if err := gocv.Polylines(&out, v, true, c, 2); err != nil || label == "" {
			return err
		}
		at := image.Pt(max(4, points[0].X+4), max(24, points[0].Y-6))
		if err := gocv.PutText(&out, label, at, gocv.FontHersheySimplex, .9, color.RGBA{A: 255}, 5); err != nil {
			return err
		}
		return gocv.PutText(&out, label, at, gocv.FontHersheySimplex, .9, c, 2)
	}
	for _, w := range t.Words {
		if err := line(w.Outline, color.RGBA{R: 90, G: 160, B: 255, A: 255}, ""); err != nil {
			return nil, fmt.Errorf("draw a word: %w", err)
		}
	}
	for _, r := range t.References {
		c := color.RGBA{R: 240, G: 200, B: 40, A: 255}
		switch {
		case r.Found && (r.Negative || !r.Now):
			c = color.RGBA{R: 240, G: 70, B: 60, A: 255}
		case r.Found:
			c = color.RGBA{R: 60, G: 210, B: 90, A: 255}
		}
		if err := line(r.Outline, c, fmt.Sprintf("#%d", r.Number)); err != nil {
			return nil, fmt.Errorf("draw reference %q: %w", r.Name, err)
		}
	}
	png, err := gocv.IMEncode(gocv.PNGFileExt, out)
	if err != nil {
		return nil, fmt.Errorf("write the picture of a trial: %w", err)
	}
	defer png.Close()
	return append([]byte(nil), png.GetBytes()...), nil
}
