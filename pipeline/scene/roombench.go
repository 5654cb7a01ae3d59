package scene

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
)

// PlaceOptions says what `onsite bench place` compares.
type PlaceOptions struct {
	// Others is a folder of photos of other places, each a place of its own; empty: none. Photos that are in the data, too, are left out.
	Others string
	// Sources is a CSV file (file, source): photos of Others from one source may show one place and are not compared with each other.
	Sources string
	// Revisits is how many photos also get simulated revisits.
	Revisits int
	// Progress hears how far it is; nil: nobody.
	Progress func(done, all int)
}

// referencesPerPlace is how many photos of a place stand for it at most, as a site would have.
const referencesPerPlace = 5

// PlaceTable is how well photos find their place. A number is nil where there is too little to say it.
type PlaceTable struct {
	Places      int         `json:"places"`  // with a photo of their own to find, or to be mistaken for
	Queries     int         `json:"queries"` // photos whose place has other photos
	Strangers   int         `json:"strangers"`
	TPR         *float64    `json:"tpr_at_fmr_1e-2"`
	Top1        *float64    `json:"top1"`
	AUC         *float64    `json:"auc"`
	AUCInterval *[2]float64 `json:"auc_ci95"` // queries drawn with replacement; null without strangers
	// At the threshold of the scene check:
	Threshold      float64  `json:"threshold"`
	TPRAtThreshold *float64 `json:"tpr_at_threshold"`
	FMRAtThreshold *float64 `json:"fmr_at_threshold"`
}

// PlaceBench is the table of `onsite bench place`: real photos at the top, simulated revisits apart, with an empty room and with somebody
// in front.
type PlaceBench struct {
	PlaceTable
	Photos          int        `json:"photos"`
	Others          int        `json:"others"` // photos of other places
	Simulated       PlaceTable `json:"simulated"`
	SimulatedPerson PlaceTable `json:"simulated_person"`
}

// placePhoto is one photo with its vector.
type placePhoto struct {
	path, place, source string
	vector              models.Vector
	empty, person       *models.Vector // of simulated revisits
}

// placeTrial is one query: its score with its own place, if that has other photos, and with every other place.
type placeTrial struct {
	same   *float64
	others []float64
}

// BenchPlace compares each photo of DIR/<place>/*.jpg with the other photos of its place and with all other places, by the room matcher of
// the scene check with the built-in background.
func BenchPlace(ctx context.Context, dir string, o PlaceOptions, decode Decode, m FeatureModels) (PlaceBench, error) {
	photos, err := placePhotos(dir, o)
	if err != nil {
		return PlaceBench{}, err
	}
	if err := lookAtPlaces(ctx, photos, o, decode, m); err != nil {
		return PlaceBench{}, err
	}
	b, err := BuiltinBackground()
	if err != nil {
		return PlaceBench{}, err
	}
	groups := map[string][]placePhoto{}
	var out PlaceBench
	for _, p := range photos {
		groups[p.place] = append(groups[p.place], p)
		if p.source != "" {
			out.Others++
		} else {
			out.Photos++
		}
	}
	whole := map[string]*roomMatcher{}
	for name, g := range groups {
		if whole[name], err = matcherOf(g, b); err != nil {
			return PlaceBench{}, err
		}
	}
	score := func(p placePhoto, v models.Vector, own *roomMatcher) (placeTrial, error) {
		var t placeTrial
		if own != nil {
			s, _, err := own.score(v)
			if err != nil {
				return t, err
			}
			t.same = &s
		}
		for name, k := range whole {
			if name == p.place || (p.source != "" && groups[name][0].source == p.source) {
				continue
			}
			s, _, err := k.score(v)
			if err != nil {
				return t, err
			}
			t.others = append(t.others, s)
		}
		sort.Float64s(t.others) // the order of a map must not matter
		return t, nil
	}
	var real, empty, person []placeTrial
	for _, p := range photos {
		if err := ctx.Err(); err != nil {
			return PlaceBench{}, err
		}
		rest := slices.DeleteFunc(slices.Clone(groups[p.place]), func(q placePhoto) bool { return q.path == p.path })
		var own *roomMatcher
		if len(rest) > 0 {
			if own, err = matcherOf(rest, b); err != nil {
				return PlaceBench{}, err
			}
		}
		if own != nil || p.source != "" { // strangers are only interesting where some place can be found
			t, err := score(p, p.vector, own)
			if err != nil {
				return PlaceBench{}, err
			}
			if own == nil { // a stranger looks only at places that have several photos
				t.others = t.others[:0]
				for name, k := range whole {
					if len(groups[name]) > 1 {
						s, _, err := k.score(p.vector)
						if err != nil {
							return PlaceBench{}, err
						}
						t.others = append(t.others, s)
					}
				}
				sort.Float64s(t.others)
			}
			real = append(real, t)
		}
		single, err := matcherOf([]placePhoto{p}, b)
		if err != nil {
			return PlaceBench{}, err
		}
		for _, sim := range []struct {
			v  *models.Vector
			to *[]placeTrial
		}{{p.empty, &empty}, {p.person, &person}} {
			if sim.v == nil {
				continue
			}
			t, err := score(p, *sim.v, single)
			if err != nil {
				return PlaceBench{}, err
			}
			*sim.to = append(*sim.to, t)
		}
	}
	out.PlaceTable, out.Simulated, out.SimulatedPerson = placeTable(real, len(groups)), placeTable(empty, len(groups)), placeTable(person, len(groups))
	return out, nil
}

func matcherOf(photos []placePhoto, b Background) (*roomMatcher, error) {
	var v []models.Vector
	for _, p := range photos[:min(len(photos), referencesPerPlace)] {
		v = append(v, p.vector)
	}
	return newRoomMatcher(v, nil, b)
}

// isPhoto tells whether a file is one that the benchmark reads.
func isPhoto(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".webp":
		return true
	}
	return false
}

// eachPhoto gives every photo below a folder with its path from there; known says that a photo with the same bytes came before.
func eachPhoto(root string, seen map[[32]byte]bool, add func(path, rel string, known bool)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isPhoto(d.Name()) {
			return err
		}
		raw, err := pipeline.ReadFile(path, 64<<20)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(raw)
		add(path, filepath.ToSlash(rel), seen[sum])
		seen[sum] = true
		return nil
	})
}

// placePhotos lists the photos: those of the data by their folder, those of other places each on its own.
func placePhotos(dir string, o PlaceOptions) ([]placePhoto, error) {
	var out []placePhoto
	seen := map[[32]byte]bool{}
	want := pipeline.Text{EN: "give a folder with a folder of photos for each place: DIR/<place>/*.jpg", ZH: "请指定每个地点一个照片文件夹的目录：DIR/<地点>/*.jpg"}
	if err := eachPhoto(dir, seen, func(path, rel string, _ bool) {
		if place, _, ok := strings.Cut(rel, "/"); ok {
			out = append(out, placePhoto{path: path, place: place})
		}
	}); err != nil {
		return nil, &pipeline.DataError{Path: dir, Err: err, Want: want}
	}
	if len(out) == 0 {
		return nil, &pipeline.DataError{Path: dir, Wrong: pipeline.Text{EN: "it holds no photos", ZH: "其中没有照片"}, Want: want}
	}
	if o.Others == "" {
		return out, nil
	}
	sources, err := sourcesOf(o.Sources)
	if err != nil {
		return nil, err
	}
	parent := filepath.Base(filepath.Clean(o.Others))
	err = eachPhoto(o.Others, seen, func(path, rel string, known bool) {
		if known {
			return
		}
		p := placePhoto{path: path, place: "other: " + rel, source: rel}
		if s := sources[parent+"/"+rel]; s != "" {
			p.source = s
		}
		out = append(out, p)
	})
	if err != nil {
		return nil, &pipeline.DataError{Path: o.Others, Err: err, Want: pipeline.Text{EN: "give a folder with photos of other places", ZH: "请指定存放其他地点照片的文件夹"}}
	}
	return out, nil
}

// sourcesOf reads which file comes from where.
func sourcesOf(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	rows, err := pipeline.ReadTable(path, "file", "source")
	if err != nil {
		return nil, fmt.Errorf("read the sources of the photos: %w", err)
	}
	out := map[string]string{}
	for _, r := range rows {
		out[r.Get("file")] = r.Get("source")
	}
	return out, nil
}

// lookAtPlaces makes the vectors: of each photo, and of simulated revisits of some, evenly chosen.
func lookAtPlaces(ctx context.Context, photos []placePhoto, o PlaceOptions, decode Decode, m FeatureModels) error {
	each := 0
	if o.Revisits > 0 {
		each = max(1, len(photos)/o.Revisits)
	}
	r := rand.New(rand.NewPCG(revisitSeed, 1)) //nolint:gosec // a measurement that gives the same answer every time, no secret
	for i := range photos {
		if err := lookAtPlace(ctx, &photos[i], r, each > 0 && i%each == 0, decode, m); err != nil {
			return fmt.Errorf("look at %s: %w", photos[i].path, err)
		}
		if o.Progress != nil {
			o.Progress(i+1, len(photos))
		}
	}
	return nil
}

func lookAtPlace(ctx context.Context, p *placePhoto, r *rand.Rand, revisits bool, decode Decode, m FeatureModels) error {
	clip, err := decode(ctx, pipeline.File(p.path))
	if err != nil {
		return err
	}
	defer clip.Close()
	if len(clip.Frames) == 0 {
		return errors.New("it holds no picture")
	}
	img := clip.Frames[0].Image
	if p.vector, err = lookAtRoom(ctx, m, img, false); err != nil || !revisits {
		return err
	}
	p.empty, p.person = new(models.Vector), new(models.Vector)
	if *p.empty, err = lookAtRevisit(ctx, m, img, r, false); err != nil {
		return err
	}
	*p.person, err = lookAtRevisit(ctx, m, img, r, true)
	return err
}

func lookAtRevisit(ctx context.Context, m FeatureModels, img gocv.Mat, r *rand.Rand, person bool) (models.Vector, error) {
	out, err := revisitOf(img, r, person)
	if err != nil {
		return models.Vector{}, err
	}
	defer out.Close()
	return lookAtRoom(ctx, m, out, false)
}

// BackgroundOf makes a background from all photos of a folder: each as it is and as two simulated revisits.
func BackgroundOf(ctx context.Context, dir string, decode Decode, m FeatureModels) (Background, error) {
	var photos []placePhoto
	if err := eachPhoto(dir, map[[32]byte]bool{}, func(path, _ string, _ bool) { photos = append(photos, placePhoto{path: path}) }); err != nil {
		return Background{}, fmt.Errorf("list the photos of a background: %w", err)
	}
	if err := lookAtPlaces(ctx, photos, PlaceOptions{Revisits: len(photos)}, decode, m); err != nil {
		return Background{}, err
	}
	var b Background
	for _, p := range photos {
		b.Model = p.vector.Model
		b.Vectors = append(b.Vectors, p.vector.V, p.empty.V, p.person.V)
	}
	return b, b.validate()
}

// placeTable sums trials up.
func placeTable(trials []placeTrial, places int) PlaceTable {
	out := PlaceTable{Places: places, Threshold: sameRoom}
	var same, others []float64
	var queries []placeTrial
	top := 0
	for _, t := range trials {
		others = append(others, t.others...)
		if t.same == nil {
			continue
		}
		queries = append(queries, t)
		same = append(same, *t.same)
		if len(t.others) > 0 && *t.same > slices.Max(t.others) {
			top++
		}
	}
	out.Queries, out.Strangers = len(same), len(others)
	if len(same) == 0 || len(others) == 0 {
		return out
	}
	share := func(v []float64, from float64) *float64 {
		n := 0
		for _, x := range v {
			if x >= from {
				n++
			}
		}
		s := float64(n) / float64(len(v))
		return &s
	}
	first := float64(top) / float64(len(same))
	area := areaUnderROC(same, others)
	out.Top1, out.AUC = &first, &area
	out.TPRAtThreshold, out.FMRAtThreshold = share(same, sameRoom), share(others, sameRoom)
	if len(others) >= 500 { // fewer than 5 strangers would cross: no rate of one in a hundred can be seen
		sort.Float64s(others)
		at := others[len(others)-1-len(others)/100]
		out.TPR = share(same, math.Nextafter(at, math.Inf(1)))
	}
	// Queries are drawn with all their comparisons; strangers that have no place of their own stay.
	r := rand.New(rand.NewPCG(revisitSeed, 2)) //nolint:gosec // a measurement that gives the same answer every time, no secret
	var areas []float64
	for range 200 {
		var s, o []float64
		for range queries {
			q := queries[r.IntN(len(queries))]
			s, o = append(s, *q.same), append(o, q.others...)
		}
		for _, t := range trials {
			if t.same == nil {
				o = append(o, t.others...)
			}
		}
		areas = append(areas, areaUnderROC(s, o))
	}
	sort.Float64s(areas)
	out.AUCInterval = &[2]float64{areas[len(areas)/40], areas[len(areas)-1-len(areas)/40]}
	return out
}

// areaUnderROC is how often a same pair scores above a different one; ties count half.
func areaUnderROC(same, others []float64) float64 {
	sorted := slices.Clone(others)
	sort.Float64s(sorted)
	sum := 0.0
	for _, s := range same {
		below := sort.SearchFloat64s(sorted, s)
		upto := sort.SearchFloat64s(sorted, math.Nextafter(s, math.Inf(1)))
		sum += float64(below) + float64(upto-below)/2
	}
	return sum / float64(len(same)) / float64(len(sorted))
}
