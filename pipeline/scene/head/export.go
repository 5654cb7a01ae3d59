package head

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"onsite/models/convert"
	"onsite/models/manifest"
	"onsite/pipeline"
)

// The files of a trained model, in its folder or beside the built-in manifests.
const (
	ModelFile    = "scene_head.onnx"
	ManifestFile = "scene_head.yaml"
	ImageFile    = "scene_head.images.csv" // every picture that trained it
	CardFile     = "scene_head.md"         // how it was measured
)

// Origin is where the pictures of a source come from and under which licence.
type Origin struct {
	From    string // package@version and path in it, or how it was drawn
	Licence string // SPDX
}

// Export is what is written about a training.
type Export struct {
	Name, Version string
	Heads         []Trained
	Parts         []manifest.Part // sizes and models of the groups, in the order of Groups
	Samples       []Sample
	Origins       map[string]Origin // by file; may lack some
	Licence       manifest.Licence
	Note          string // where the pictures come from, in a sentence
	Embedded      bool   // the files become part of the program
	Golden        []manifest.Golden
	Options       FitOptions
}

// Write puts the model, its manifest, the list of its pictures and its card into a folder.
func (e Export) Write(dir string) error {
	onnx, err := e.onnx()
	if err != nil {
		return fmt.Errorf("export the scene heads: %w", err)
	}
	man, err := e.manifest(onnx)
	if err != nil {
		return fmt.Errorf("export the scene heads: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("export the scene heads: %w", err)
	}
	images, err := e.images()
	if err != nil {
		return fmt.Errorf("export the scene heads: %w", err)
	}
	var errs []error
	for name, data := range map[string][]byte{ModelFile: onnx, ManifestFile: man, ImageFile: images, CardFile: e.card(onnx)} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	return errors.Join(errs...)
}

// onnx writes the weights: each head over the whole input, with zeros where it does not look.
func (e Export) onnx() ([]byte, error) {
	var heads []convert.Logistic
	for _, h := range e.Heads {
		l := convert.Logistic{Name: h.Question.Name, Bias: h.Linear.Bias}
		at := 0
		for _, p := range e.Parts {
			if !slices.Contains(h.Linear.Uses, p.Name) {
				l.Weights = append(l.Weights, make([]float64, p.Size)...)
				continue
			}
			if at+p.Size > len(h.Linear.Weights) {
				return nil, fmt.Errorf("head %s: part %s has %d values, the head was trained on fewer", h.Question.Name, p.Name, p.Size)
			}
			l.Weights = append(l.Weights, h.Linear.Weights[at:at+p.Size]...)
			at += p.Size
		}
		heads = append(heads, l)
	}
	return convert.Regressions("features", heads)
}

func (e Export) manifest(onnx []byte) ([]byte, error) {
	sum := sha256.Sum256(onnx)
	man := manifest.Manifest{
		Task: "scene_head", Name: e.Name, Version: e.Version,
		File:    manifest.File{Name: ModelFile, Bytes: int64(len(onnx)), SHA256: hex.EncodeToString(sum[:])},
		Source:  manifest.Source{Note: e.Note, Embedded: e.Embedded},
		Licence: e.Licence,
		Input:   manifest.Input{Name: "features", Layout: manifest.Vec, Parts: e.Parts},
		Decoder: manifest.Decoder{Name: "logistic"},
	}
	for _, h := range e.Heads {
		man.Outputs = append(man.Outputs, manifest.Output{Name: h.Question.Name, Shape: []int{1, 1}, Uses: h.Question.Uses})
		man.Thresholds = append(man.Thresholds,
			manifest.Threshold{Name: h.Question.Name + "_yes", Value: h.Yes, Calibrated: fmt.Sprintf("at most %.0f %% of the training pictures without it, each asked with its source left out", 100*falseYes)},
			manifest.Threshold{Name: h.Question.Name + "_no", Value: h.No, Calibrated: fmt.Sprintf("at most %.0f %% of the training pictures with it, each asked with its source left out", 100*falseNo)})
	}
	man.Golden = e.Golden
	raw, err := yaml.Marshal(man)
	if err != nil {
		return nil, err
	}
	return append([]byte("# Written by onsite scene train; "+CardFile+" says how the heads were trained and measured.\n"), raw...), nil
}

// GoldenOf gives what the exported model must answer to the generated features x of a seed.
func GoldenOf(heads []Trained, parts []manifest.Part, x []float32, seed uint32) manifest.Golden {
	var in Input
	at := 0
	for _, p := range parts {
		v := x[at : at+p.Size]
		at += p.Size
		switch p.Name {
		case GroupOffice:
			in.Office = v
		case GroupMean:
			in.OfficeMean = v
		case GroupCOCO:
			in.COCO = v
		case GroupCOCOPool:
			in.COCOPool = v
		case GroupEmbedding:
			in.Embedding = v
		case GroupText:
			in.Text = v
		case GroupTextPool:
			in.TextPool = v
		}
	}
	g := manifest.Golden{Name: "pattern", Seed: seed, Tolerance: 1e-3}
	for _, h := range heads {
		z, _ := h.Linear.Logit(in)
		p := sigmoid(z)
		g.Expect = append(g.Expect, manifest.GoldenOutput{Output: h.Question.Name, First: []float64{p}, Norm: p})
	}
	return g
}

// images lists every picture once.
func (e Export) images() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"sha256", "file", "class", "source", "from", "licence"}}
	seen := map[string]bool{}
	for _, s := range sorted(e.Samples) {
		if seen[s.File] {
			continue
		}
		seen[s.File] = true
		o := e.Origins[s.File]
		rows = append(rows, []string{s.SHA256, s.File, s.Class, s.Source, o.From, o.Licence})
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// TrainedOn reads the checksums of the pictures that trained a model; dir empty: the built-in one.
func TrainedOn(dir string) (map[string]bool, error) {
	raw, err := manifest.Embedded(ImageFile)
	if dir != "" {
		raw, err = pipeline.ReadFile(filepath.Join(dir, ImageFile), maxImages)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pictures that trained the scene heads: %w", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the pictures that trained the scene heads: %s: %w", ImageFile, err)
	}
	if len(rows) < 2 || rows[0][0] != "sha256" {
		return nil, fmt.Errorf("read the pictures that trained the scene heads: %s: the first column must be sha256, and there must be pictures", ImageFile)
	}
	out := map[string]bool{}
	for _, r := range rows[1:] {
		out[r[0]] = true
	}
	return out, nil
}

// maxImages bounds the list of pictures; a hundred thousand fit.
const maxImages = 32 << 20

// card says in words and tables what the model is, what it was trained on and how well it did.
func (e Export) card(onnx []byte) []byte {
	sum := sha256.Sum256(onnx)
	var b strings.Builder
	fmt.Fprintf(&b, "# Scene heads %s %s\n\n%s\n\nsha256 of the weights: `%s`. Licence of the weights: %s. Every picture that trained them, with sha256, package and licence: `%s`.\n\n", e.Name, e.Version, e.Note, hex.EncodeToString(sum[:]), e.Licence.SPDX, ImageFile)
	fmt.Fprintf(&b, "One logistic regression per question (L2 %g where the table says no other, L-BFGS), both answers weighed the same, sources by the square root of their pictures; probabilities and thresholds from answers to pictures whose source was left out.\n\n", e.Options.L2)
	b.WriteString("## Training pictures\n\n| class | pictures | sources |\n|---|---|---|\n")
	for _, c := range Classes() {
		files, sources := map[string]bool{}, map[string]bool{}
		for _, s := range e.Samples {
			if s.Class == c {
				files[s.File], sources[s.Source] = true, true
			}
		}
		if len(files) > 0 {
			fmt.Fprintf(&b, "| %s | %d | %d |\n", c, len(files), len(sources))
		}
	}
	b.WriteString("\n## Own sources, one left out at a time\n\nThese say only that the training worked: drawings resemble each other. Pictures that a head does not learn from, because their class does not tell the answer (drawn road signs have text), count as no. What counts is measured on photos of other people (docs/heads.md).\n\n")
	b.WriteString("| head | features | yes / all | AUC (95 %) | TPR at FPR 5 % | says yes from | says no up to |\n|---|---|---|---|---|---|---|\n")
	for _, h := range e.Heads {
		r := h.Rows(Plain)
		fmt.Fprintf(&b, "| %s | %s | %d / %d | %s | %s | %.2f | %.2f |\n", h.Question.Name, h.Question.how(), r.Yes, r.N, Interval(r.AUC, r.CI95), Share(r.TPR), h.Yes, h.No)
	}
	return []byte(b.String())
}

// Share prints a number that may not be known.
func Share(v *float64) string {
	if v == nil || math.IsNaN(*v) {
		return "-"
	}
	return fmt.Sprintf("%.3f", *v)
}

// Interval prints a number with its interval.
func Interval(v *float64, ci *[2]float64) string {
	if v == nil || ci == nil {
		return Share(v)
	}
	return fmt.Sprintf("%.3f (%.2f-%.2f)", *v, ci[0], ci[1])
}
