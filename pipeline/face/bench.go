package face

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// BenchOptions say how a folder of photos is measured.
type BenchOptions struct {
	// Bare compares with the models alone: one detection on the whole picture, the largest face, one embedding; always one photo against one.
	Bare bool
	// References is how many photos of a person a probe is compared with (1 to 5; 0 is 1).
	References int
	// Pairs names a CSV file (file_a,file_b,same or different; paths relative to the folder's parent) that limits the pairs. Empty: all.
	// Only with one reference.
	Pairs string
	// Config is what the product works with.
	Config Config
	// Calibrate also chooses thresholds on half of the identities and measures them on the other half, over each photo against 1 to 5 references.
	Calibrate bool
	// Progress is called after each photo; nil: not.
	Progress func(done, total int)
}

// BenchResult is what `onsite bench face --json` prints.
type BenchResult struct {
	Mode           string              `json:"mode"` // product or bare
	References     int                 `json:"references"`
	Images         int                 `json:"images"`
	Identities     int                 `json:"identities"`
	NoFace         int                 `json:"no_face"`
	Several        int                 `json:"several_people"` // photos with several people in front; their subject is compared all the same
	LowQuality     int                 `json:"low_quality"`    // photos that the quality gate would leave to a person; compared all the same
	Refused        []RefusedImage      `json:"refused"`
	Same           int                 `json:"same"`
	Different      int                 `json:"different"`
	TAR            map[string]*float64 `json:"tar"`           // at a false match rate; null where fewer than 5 different pairs would cross
	TARThreshold   map[string]*float64 `json:"tar_threshold"` // the score at which that is
	Threshold      float64             `json:"threshold"`
	TARAtThreshold float64             `json:"tar_at_threshold"`
	FMRAtThreshold float64             `json:"fmr_at_threshold"`
	TARAtReject    float64             `json:"tar_at_reject"`         // same trials that are not called a mismatch
	FMRAtReject    float64             `json:"fmr_at_reject"`         // different trials that are left to a person or accepted
	MSPerImage     float64             `json:"ms_per_image"`          // finding, aligning and embedding; without decoding
	Calibration    []Calibration       `json:"calibration,omitempty"` // at FMR 1e-3 and 1e-2
}

// RefusedImage is a file that could not be measured.
type RefusedImage struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

// Decode turns an outside file into pixels (media.Decoder does).
type Decode func(context.Context, pipeline.Media) (*media.Clip, error)

// shot is one photo of the folder as measured.
type shot struct {
	identity, file string // file relative to the folder's parent
	vector         models.Vector
	ok             bool
	brightness     float64       // of the face, 0..255
	spent          time.Duration // on finding, aligning and embedding
}

// Bench measures a folder of photos, DIR/<identity>/*: every pair, or each photo against groups of references. Files that cannot be decoded are
// listed and left out; a photo without a face stays in as a comparison that never matches. It writes nothing.
func Bench(ctx context.Context, dir string, o BenchOptions, decode Decode, m Models) (BenchResult, error) {
	o.References = max(o.References, 1)
	if o.References > MaxReferences || (o.Bare && o.References > 1) || (o.Pairs != "" && o.References > 1) {
		return BenchResult{}, fmt.Errorf("bench face: %d references: 1 to 5 are possible, and only 1 with --bare or --pairs", o.References)
	}
	r := BenchResult{Mode: "product", References: o.References, Threshold: o.Config.Threshold, Refused: []RefusedImage{}}
	if o.Bare {
		r.Mode = "bare"
	}
	shots, err := shootAll(ctx, dir, o, decode, m, &r)
	if err != nil {
		return BenchResult{}, err
	}
	trials, err := o.trials(shots)
	if err != nil {
		return BenchResult{}, err
	}
	r.fill(trials, o.Config)
	if o.Calibrate {
		r.Calibration, err = calibrateAll(shots)
	}
	return r, err
}

// shootAll measures the photos of a folder.
func shootAll(ctx context.Context, dir string, o BenchOptions, decode Decode, m Models, r *BenchResult) ([]shot, error) {
	files, err := photos(dir)
	if err != nil {
		return nil, err
	}
	matcher := &Matcher{models: m, config: o.Config, frame: frameOf(m), plain: o.Bare}
	return measure(ctx, filepath.Dir(filepath.Clean(dir)), files, o, decode, matcher, r)
}

// pooled is the product's score against every number of references that a subject may have.
func pooled(shots []shot) ([]Trial, error) {
	var pool []Trial
	for n := 1; n <= MaxReferences; n++ {
		trials, err := groupTrials(shots, n)
		if err != nil {
			return nil, err
		}
		pool = append(pool, trials...)
	}
	return pool, nil
}

// calibrateAll gives the thresholds at the usual rates.
func calibrateAll(shots []shot) ([]Calibration, error) {
	pool, err := pooled(shots)
	if err != nil {
		return nil, err
	}
	var out []Calibration
	for _, fmr := range []float64{1e-3, 1e-2} {
		c, err := calibrate(pool, fmr)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// MaxReferences is how many photos of a subject may be enrolled.
const MaxReferences = 5

// photos lists the files of a folder of identities, sorted.
func photos(dir string) ([]shot, error) {
	want := pipeline.Text{EN: "give a folder with a folder of photos for each person: DIR/<person>/*.jpg", ZH: "请指定每人一个照片文件夹的目录：DIR/<人员>/*.jpg"}
	identities, err := os.ReadDir(dir)
	if err != nil {
		return nil, &pipeline.DataError{Path: dir, Err: err, Want: want}
	}
	var out []shot
	for _, id := range identities {
		if info, err := os.Stat(filepath.Join(dir, id.Name())); err != nil || !info.IsDir() || strings.HasPrefix(id.Name(), ".") { // a link to a person's folder is one
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, id.Name()))
		if err != nil {
			return nil, &pipeline.DataError{Path: filepath.Join(dir, id.Name()), Err: err, Want: want}
		}
		for _, f := range files {
			if f.Type().IsRegular() && !strings.HasPrefix(f.Name(), ".") {
				out = append(out, shot{identity: id.Name(), file: filepath.Join(filepath.Base(filepath.Clean(dir)), id.Name(), f.Name())})
			}
		}
	}
	if len(out) == 0 {
		return nil, &pipeline.DataError{Path: dir, Wrong: pipeline.Text{EN: "it holds no photos", ZH: "其中没有照片"}, Want: want}
	}
	return out, nil
}

// measure decodes and embeds every photo; refused ones are left out of the answer.
func measure(ctx context.Context, parent string, files []shot, o BenchOptions, decode Decode, m *Matcher, r *BenchResult) ([]shot, error) {
	var spent time.Duration
	var out []shot
	identities := map[string]bool{}
	for i, s := range files {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("bench face: %w", err)
		}
		clip, err := decode(ctx, pipeline.File(filepath.Join(parent, s.file)))
		if err != nil {
			if errors.Is(err, media.ErrDecoder) {
				return nil, fmt.Errorf("bench face: %w", err)
			}
			r.Refused = append(r.Refused, RefusedImage{s.file, err.Error()})
			continue
		}
		start := time.Now()
		err = m.shoot(ctx, clip, o.Bare, &s, r)
		s.spent = time.Since(start)
		spent += s.spent
		clip.Close()
		if err != nil {
			return nil, fmt.Errorf("bench face: %s: %w", s.file, err)
		}
		r.Images++
		identities[s.identity] = true
		out = append(out, s)
		if o.Progress != nil {
			o.Progress(i+1, len(files))
		}
	}
	r.Identities = len(identities)
	if r.Images == 0 {
		return nil, &pipeline.DataError{Path: filepath.Join(parent, r.Refused[0].File), Wrong: pipeline.Text{
			EN: fmt.Sprintf("none of %d files could be decoded; this is the first: %s", len(files), r.Refused[0].Error),
			ZH: fmt.Sprintf("%d 个文件均无法解码，此为第一个：%s", len(files), r.Refused[0].Error),
		}, Want: pipeline.Text{EN: "give photos", ZH: "请提供照片"}}
	}
	r.MSPerImage = float64(spent.Microseconds()) / 1000 / float64(r.Images)
	return out, nil
}

// shoot makes the vector of one photo, as the product does or as the bare models do.
func (m *Matcher) shoot(ctx context.Context, clip *media.Clip, bare bool, s *shot, r *BenchResult) (err error) {
	if bare {
		s.vector, s.ok, err = m.bareVector(ctx, clip)
		if !s.ok {
			r.NoFace++
		}
		return err
	}
	found, err := m.Find(ctx, clip)
	if err != nil {
		return err
	}
	subject := found.Subject()
	if subject < 0 {
		r.NoFace++
		return nil
	}
	spot, usable := found.best(subject)
	if !usable {
		spot = found.Tracks[subject].Spots[0]
		r.LowQuality++
	}
	if len(m.beside(&found, subject)) > 0 {
		r.Several++
	}
	face := found.At(spot)
	if !face.HasLandmarks() {
		return nil
	}
	s.brightness = face.Quality.Brightness
	s.vector, err = m.embed(ctx, clip, &found, spot, m.config.Flip >= 1)
	s.ok = err == nil
	return err
}

// bareVector is the pipeline without the product: one detection, the largest face, its landmarks, plain alignment, one embedding.
func (m *Matcher) bareVector(ctx context.Context, clip *media.Clip) (models.Vector, bool, error) {
	p := pyramidOf(&clip.Frames[0])
	defer p.close()
	boxes, err := m.detect(ctx, p, false)
	if err != nil || len(boxes) == 0 {
		return models.Vector{}, false, err
	}
	sort.SliceStable(boxes, func(i, j int) bool { return boxes[i].height() > boxes[j].height() })
	landmarks, err := m.place(ctx, p, boxes[0])
	if err != nil {
		return models.Vector{}, false, err
	}
	v, err := m.plainVector(ctx, p.picture, &landmarks)
	return v, err == nil, err
}

// fill computes the rates.
func (r *BenchResult) fill(trials []Trial, c Config) {
	all := rates(trials)
	r.Same, r.Different = len(all.same), len(all.different)
	r.TAR, r.TARThreshold = map[string]*float64{}, map[string]*float64{}
	for name, fmr := range map[string]float64{"1e-2": 1e-2, "1e-3": 1e-3} {
		r.TAR[name], r.TARThreshold[name] = nil, nil
		if tar, threshold, ok := all.tarAt(fmr); ok {
			r.TAR[name], r.TARThreshold[name] = &tar, &threshold
		}
	}
	r.TARAtThreshold, r.FMRAtThreshold = above(all.same, c.Threshold), above(all.different, c.Threshold)
	r.TARAtReject, r.FMRAtReject = above(all.same, c.Reject), above(all.different, c.Reject)
}

// trials compares the photos with each other, or with groups of references.
func (o *BenchOptions) trials(shots []shot) ([]Trial, error) {
	if o.Pairs != "" {
		return pairTrials(o.Pairs, shots)
	}
	return groupTrials(shots, o.References)
}

// groupTrials compares each photo with groups of n photos of each identity. A group is n neighbours in the ring of the identity's photos,
// without the probe itself, so that every photo serves equally often. With n = 1 each pair is compared once.
func groupTrials(shots []shot, n int) ([]Trial, error) {
	byIdentity := map[string][]int{}
	var order []string
	for i, s := range shots {
		if byIdentity[s.identity] == nil {
			order = append(order, s.identity)
		}
		byIdentity[s.identity] = append(byIdentity[s.identity], i)
	}
	var out []Trial
	for p := range shots {
		for _, identity := range order {
			ring := without(byIdentity[identity], p)
			if len(ring) < n {
				continue
			}
			groups := len(ring)
			if len(ring) == n {
				groups = 1
			}
			for g := range groups {
				group := make([]int, n)
				for k := range group {
					group[k] = ring[(g+k)%len(ring)]
				}
				if n == 1 && group[0] < p {
					continue
				}
				score, err := against(shots, p, group)
				if err != nil {
					return nil, err
				}
				out = append(out, Trial{shots[p].identity, identity, score})
			}
		}
	}
	return out, nil
}

func without(all []int, p int) []int {
	out := make([]int, 0, len(all))
	for _, i := range all {
		if i != p {
			out = append(out, i)
		}
	}
	return out
}

// against is the score of a photo against a group; references without a face are left out, as enrolment would have refused them.
func against(shots []shot, probe int, group []int) (float64, error) {
	var references []models.Vector
	for _, i := range group {
		if shots[i].ok {
			references = append(references, shots[i].vector)
		}
	}
	if !shots[probe].ok || len(references) == 0 {
		return noScore, nil
	}
	score, _, err := similarityOf(shots[probe].vector, references)
	return score, err
}

// pairTrials compares the pairs that a CSV file names.
func pairTrials(path string, shots []shot) ([]Trial, error) {
	unfit := func(err error, wrong pipeline.Text) error {
		return &pipeline.DataError{Path: path, Err: err, Wrong: wrong, Want: pipeline.Text{
			EN: "want a CSV file with lines file_a,file_b,same or different, the files as in FOLDER/<person>/photo.jpg", ZH: "应为 CSV 文件，每行为 file_a,file_b,same 或 different，文件写作 文件夹/<人员>/照片.jpg",
		}}
	}
	f, err := pipeline.OpenRegular(path)
	if err != nil {
		return nil, unfit(err, pipeline.Text{})
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, unfit(err, pipeline.Text{})
	}
	at := map[string]int{}
	for i, s := range shots {
		at[filepath.ToSlash(s.file)] = i
	}
	var out []Trial
	for line, row := range rows {
		if line == 0 && len(row) > 0 && row[0] == "file_a" {
			continue
		}
		if len(row) < 3 || (row[2] != "same" && row[2] != "different") {
			return nil, unfit(nil, pipeline.Text{EN: fmt.Sprintf("row %d is no pair", line+1), ZH: fmt.Sprintf("第 %d 行不是照片对", line+1)})
		}
		a, oka := at[row[0]]
		b, okb := at[row[1]]
		if !oka || !okb {
			return nil, unfit(nil, pipeline.Text{
				EN: fmt.Sprintf("row %d: %s or %s is not in the folder, or was refused", line+1, row[0], row[1]),
				ZH: fmt.Sprintf("第 %d 行：%s 或 %s 不在文件夹中，或已被拒绝", line+1, row[0], row[1]),
			})
		}
		score, err := against(shots, a, []int{b})
		if err != nil {
			return nil, err
		}
		t := Trial{Probe: "a", Reference: "a", Score: score}
		if row[2] == "different" {
			t.Reference = "b"
		}
		out = append(out, t)
	}
	return out, nil
}
