package compare

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
)

// Folder is labelled data on disk, in one of two forms.
//
// With a file cases.csv (its first line: file,faces,label and further columns) each line is a submission that is verified under both sets: file
// and faces (one to five photos, separated by semicolons) relative to the folder or from the root, label genuine, impostor or empty. A column
// policy names a built-in policy. Every further column is a group: site, light, declared ...
//
// Without it, DIR/<identity>/* are photos of people, and every two of them are compared, which says nothing of other checks. A file groups.csv
// (identity and further columns) says which groups people declared themselves to be of.
type Folder struct {
	Dir           string
	Decoder       *media.Decoder
	Before, After *models.Set
	Progress      func(done, total int)
}

// casesFile and groupsFile are the names of the two tables.
const (
	casesFile  = "cases.csv"
	groupsFile = "groups.csv"
)

// maxRows bounds a table.
const maxRows = 100_000

// Cases runs the folder's cases under both sets, one after the other.
func (f Folder) Cases(ctx context.Context) iter.Seq2[Case, error] {
	if f.listed() {
		return f.submissions(ctx)
	}
	return f.pairs(ctx)
}

func (f Folder) listed() bool {
	_, err := os.Stat(filepath.Join(f.Dir, casesFile))
	return err == nil
}

// Notes says what the folder's form means for the report's figures.
func (f Folder) Notes() []pipeline.Text {
	if f.listed() {
		return nil
	}
	return []pipeline.Text{{
		EN: "every two photos make a case, and the intervals treat these as independent: with few people they are wider than they are given here",
		ZH: "每两张照片构成一个案例，区间按相互独立计算：人数较少时，实际区间比此处给出的更宽",
	}}
}

// Light is the group of a face, or of a pair by the darker one, by its brightness, 0..255; the limits are those where error rates begin to rise
// (face.DefaultConfig).
func Light(brightness float64) string {
	switch {
	case brightness < 42:
		return "dark"
	case brightness > 200:
		return "bright"
	}
	return "normal"
}

func (f Folder) pairs(ctx context.Context) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		cases, err := f.pairCases(ctx)
		if err != nil {
			yield(Case{}, err)
			return
		}
		for _, c := range cases {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (f Folder) pairCases(ctx context.Context) ([]Case, error) {
	declared, err := readGroups(filepath.Join(f.Dir, groupsFile))
	if err != nil {
		return nil, err
	}
	var sides [2][]face.Pair
	var configs [2]face.Config
	for i, set := range []*models.Set{f.Before, f.After} {
		configs[i] = face.ConfigFor(set)
		decode := (&verify.Verifier{Decoder: f.Decoder, Models: set}).Decode
		var progress func(done, total int)
		if f.Progress != nil {
			progress = func(done, total int) { f.Progress(i*total+done, 2*total) }
		}
		if sides[i], _, err = face.Pairs(ctx, f.Dir, configs[i], progress, decode, set); err != nil {
			return nil, err
		}
	}
	if len(sides[0]) != len(sides[1]) {
		return nil, fmt.Errorf("%s changed while it was measured", f.Dir)
	}
	out := make([]Case, 0, len(sides[0]))
	for i, b := range sides[0] {
		a := sides[1][i]
		if a.Probe != b.Probe || a.Reference != b.Reference {
			return nil, fmt.Errorf("%s changed while it was measured", f.Dir)
		}
		c := Case{ID: b.Probe + " – " + b.Reference, Label: Impostor, Groups: map[string]string{"light": Light(b.Brightness)}}
		if b.ProbeIdentity == b.ReferenceIdentity {
			c.Label = Genuine
		}
		for by, value := range declared[b.ProbeIdentity] {
			if declared[b.ReferenceIdentity][by] == value { // a group's own pairs: strangers within it are its hard cases
				c.Groups[by] = value
			}
		}
		c.Before, c.After = pairSide(b, configs[0]), pairSide(a, configs[1])
		out = append(out, c)
	}
	return out, nil
}

// pairSide says of a pair what the face check would.
func pairSide(p face.Pair, c face.Config) Side {
	s := Side{Codes: []string{}, Scores: map[string]Score{}, MS: float64(p.Spent.Microseconds()) / 1000}
	check := string(pipeline.CheckFace)
	s.Scores[check] = Score{p.Score, c.Threshold} // without a face the score is below any
	switch {
	case !p.HasFaces:
		s.Decision, s.Codes = pipeline.DecisionAbnormal, []string{string(pipeline.NoFace)}
	case p.Score >= c.Threshold:
		s.Decision = pipeline.DecisionPass
	case p.Score < c.Reject:
		s.Decision, s.Codes = pipeline.DecisionAbnormal, []string{string(pipeline.FaceMismatch)}
	default:
		s.Decision, s.Codes = pipeline.DecisionReview, []string{string(pipeline.FaceUncertain)}
	}
	return s
}

// readGroups reads groups.csv: identity -> column -> value; nothing without the file.
func readGroups(path string) (map[string]map[string]string, error) {
	rows, err := readTable(path, "identity")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for _, row := range rows {
		id := row["identity"]
		delete(row, "identity")
		out[id] = row
	}
	return out, nil
}

// readTable reads a CSV file with a first line of names; empty cells are left out of the rows.
func readTable(path string, needed ...string) ([]map[string]string, error) {
	f, err := pipeline.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseTable(filepath.Base(path), f, needed...)
}

func parseTable(name string, from io.Reader, needed ...string) ([]map[string]string, error) {
	r := csv.NewReader(from)
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	seen := map[string]bool{}
	for i, h := range head {
		h = strings.TrimPrefix(strings.TrimSpace(h), "\ufeff")
		if head[i] = h; h == "" || seen[h] {
			return nil, fmt.Errorf("read %s: column %d has no name, or one that another has: %q", name, i+1, h)
		}
		seen[h] = true
	}
	for _, n := range needed {
		if !seen[n] {
			return nil, fmt.Errorf("read %s: the first line names no column %q", name, n)
		}
	}
	var out []map[string]string
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if len(out) == maxRows {
			return nil, fmt.Errorf("read %s: more than %d lines; split it", name, maxRows)
		}
		row := map[string]string{}
		for i, v := range cells {
			if v = strings.TrimSpace(v); v != "" {
				row[head[i]] = v
			}
		}
		for _, n := range needed {
			if row[n] == "" {
				return nil, fmt.Errorf("read %s: line %d has no %s", name, len(out)+2, n)
			}
		}
		out = append(out, row)
	}
}

func (f Folder) submissions(ctx context.Context) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		rows, err := readTable(filepath.Join(f.Dir, casesFile), "file")
		if err != nil {
			yield(Case{}, err)
			return
		}
		for i, row := range rows {
			c, err := f.submission(ctx, row)
			if err != nil {
				err = fmt.Errorf("%s, line %d: %w", casesFile, i+2, err)
			}
			if f.Progress != nil {
				f.Progress(i+1, len(rows))
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// submission verifies one line under both sets, on one thread.
func (f Folder) submission(ctx context.Context, row map[string]string) (Case, error) {
	label := Label(row["label"])
	if label != "" && label != Genuine && label != Impostor {
		return Case{}, fmt.Errorf("label: %q is not %s, %s or empty", label, Genuine, Impostor)
	}
	var rules policy.Policy
	if name := row["policy"]; name != "" {
		var err error
		if rules, err = policy.Default(name); err != nil {
			return Case{}, err
		}
	}
	groups := map[string]string{}
	for by, value := range row {
		switch by {
		case "file", "faces", "label", "policy":
		default:
			groups[by] = value
		}
	}
	var photos []pipeline.Media
	for name := range strings.SplitSeq(row["faces"], ";") {
		if name = strings.TrimSpace(name); name != "" {
			photos = append(photos, pipeline.File(pipeline.Named(f.Dir, name)))
		}
	}
	c := Case{ID: row["file"], Label: label, Groups: groups}
	sides := []*Side{&c.Before, &c.After}
	for i, set := range []*models.Set{f.Before, f.After} {
		v := &verify.Verifier{Decoder: f.Decoder, Models: set}
		job := verify.Job{
			Claim: pipeline.Claim{Job: row["file"]}, Media: pipeline.File(pipeline.Named(f.Dir, row["file"])),
			Policy: rules, Consent: true, Hear: true, InTurn: true,
		}
		if len(photos) > 0 {
			var err error
			job.Subject, err = v.Enroll(ctx, photos, false)
			var unfit *face.PhotoError
			if errors.As(err, &unfit) { // what this model makes of the photo is a finding about the model
				*sides[i] = Unenrolled()
				continue
			}
			if err != nil {
				return Case{}, err
			}
		}
		r, err := v.Run(ctx, job)
		if err != nil {
			return Case{}, err
		}
		*sides[i] = sideOf(r.Verdict)
	}
	return c, nil
}

// Unenrolled is the side of a model that cannot use an enrolled photo: a person has to look.
func Unenrolled() Side {
	return Side{
		Decision: pipeline.DecisionReview, Codes: []string{string(pipeline.CheckFailed)}, Scores: map[string]Score{},
		Outcomes: map[string]Outcome{string(pipeline.CheckFace): pipeline.Error},
	}
}

// ModelsOf names a set's models of the given tasks; nil: all.
func ModelsOf(s *models.Set, tasks ...models.Task) Models {
	if tasks == nil {
		tasks = s.Tasks()
	}
	m := Models{Set: s.Digest(), Models: []pipeline.ModelRef{}}
	for _, t := range tasks {
		ref := s.Ref(t)
		m.Models = append(m.Models, pipeline.ModelRef{Task: string(t), Name: ref.Name, Version: ref.Version, SHA256: ref.SHA256})
	}
	return m
}
