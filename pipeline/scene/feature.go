package scene

import (
	"context"
	"fmt"
	"math"
	"time"

	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// featureTextSide is the long side at which the text map of the features is made: their numbers depend on it, so it is no setting.
const featureTextSide = 640

// FeatureModels is what an Extractor needs: models.Set gives it, tests give a fake.
type FeatureModels interface {
	Models
	// DetectObjects takes a BGR picture stretched to InputSize(models.ObjectDetect).
	DetectObjects(ctx context.Context, img models.Image) (models.Objects, error)
	// EmbedScene takes a BGR picture stretched to InputSize(models.SceneEmbed).
	EmbedScene(ctx context.Context, img models.Image) (models.Vector, models.Objects, error)
	InputSize(task models.Task) (w, h int)
	Labels(task models.Task) []string
}

// Want says which passes run over a picture; each costs time (BenchmarkFeatures).
type Want struct {
	Office bool // office objects: Office, OfficeMean, Objects
	Scene  bool // COCO objects and scene embedding: COCO, Embedding, Objects
	Text   bool // text map: Text
}

// Everything is all passes.
var Everything = Want{Office: true, Scene: true, Text: true}

// Object is one object in view. Class is one of Onsite's own words (object.go) or the detector's label where there is none.
type Object struct {
	Class string       `json:"class"`
	Score float64      `json:"score"` // 0..1
	Box   pipeline.Box `json:"box"`   // pixels of the picture
	By    models.Task  `json:"by"`    // which detector found it
}

// Features is what the passes measured on one picture; a slice whose pass did not run is nil.
type Features struct {
	Office     []float32 // highest score per class of the office detector, 0..1, in the order of its labels (the first is the background)
	OfficeMean []float32 // mean feature of the office detector, 576 values
	COCO       []float32 // highest score per COCO class, 0..1
	COCOPool   []float32 // what the COCO detector saw: means and spreads, 960 values; nil where the model gives none
	Embedding  []float32 // 528 values, length 1: the place
	Model      string    // sha256 of the model that made Embedding
	Objects    []Object  // of the passes that ran, office first, each best first
	Text       TextShape // zero without the pass
	TextPool   []float32 // what the text detector saw: means and spreads, 384 values; nil where the model gives none
	Spent      Passes
}

// Passes is the wall time of each pass, preparing the picture included.
type Passes struct{ Office, Scene, Text time.Duration }

// TextShape is where text seems to be in a picture, without reading it: shares of the picture's area or sides, 0..1.
type TextShape struct {
	Boxes            int     // lines that were found
	Area             float64 // of all boxes together (overlaps count twice)
	Largest          float64 // area of the largest box
	Tallest, Widest  float64 // height and width of the tallest and the widest box, across and along its reading direction
	MeanHeight       float64
	CentreX, CentreY float64 // centre of all boxes, weighted by area; 0.5 without any
	Score            float64 // mean probability of the text map inside the boxes, weighted by area
}

// Values gives the numbers of a TextShape in a fixed order: Boxes, Area, Largest, Tallest, Widest, MeanHeight, CentreX, CentreY, Score.
func (t TextShape) Values() []float32 {
	return []float32{float32(t.Boxes), float32(t.Area), float32(t.Largest), float32(t.Tallest), float32(t.Widest), float32(t.MeanHeight), float32(t.CentreX), float32(t.CentreY), float32(t.Score)}
}

// Extractor runs the passes. It is safe for concurrent use if its models are.
type Extractor struct{ models FeatureModels }

// NewExtractor makes an Extractor.
func NewExtractor(m FeatureModels) *Extractor { return &Extractor{models: m} }

// Features runs the wanted passes over a picture (BGR, any size).
func (x *Extractor) Features(ctx context.Context, img gocv.Mat, want Want) (Features, error) {
	var f Features
	if img.Empty() {
		return f, fmt.Errorf("measure a scene: the picture is empty")
	}
	if want.Office {
		start := time.Now()
		in, err := x.picture(img, models.ObjectDetect)
		if err != nil {
			return Features{}, err
		}
		o, err := x.models.DetectObjects(ctx, in)
		if err != nil {
			return Features{}, fmt.Errorf("measure a scene: %w", err)
		}
		f.Office, f.OfficeMean = o.Scores, o.Mean
		f.Objects = append(f.Objects, x.objects(o, img, models.ObjectDetect)...)
		f.Spent.Office = time.Since(start)
	}
	if want.Scene {
		start := time.Now()
		in, err := x.picture(img, models.SceneEmbed)
		if err != nil {
			return Features{}, err
		}
		v, o, err := x.models.EmbedScene(ctx, in)
		if err != nil {
			return Features{}, fmt.Errorf("measure a scene: %w", err)
		}
		f.Embedding, f.Model, f.COCO, f.COCOPool = v.V, v.Model, o.Scores, o.Pool
		f.Objects = append(f.Objects, x.objects(o, img, models.SceneEmbed)...)
		f.Spent.Scene = time.Since(start)
	}
	if want.Text {
		start := time.Now()
		m := &poolKeeper{Models: x.models}
		lines, _, err := findLines(ctx, m, img, featureTextSide, false)
		if err != nil {
			return Features{}, fmt.Errorf("measure a scene: %w", err)
		}
		f.Text, f.TextPool = shapeOf(lines, img.Cols(), img.Rows()), m.pool
		f.Spent.Text = time.Since(start)
	}
	return f, nil
}

// poolKeeper keeps what the text detector saw in the picture that findLines shows it.
type poolKeeper struct {
	Models
	pool []float32
}

func (k *poolKeeper) TextMap(ctx context.Context, img models.Image) (models.ProbMap, error) {
	p, err := k.Models.TextMap(ctx, img)
	k.pool = p.Pool
	return p, err
}

// picture stretches a picture to what a task wants.
func (x *Extractor) picture(img gocv.Mat, task models.Task) (models.Image, error) {
	w, h := x.models.InputSize(task)
	if w < 1 || h < 1 {
		return models.Image{}, fmt.Errorf("measure a scene: the model of %s was not opened", task)
	}
	return media.Resized(img, w, h)
}

// objects turns detections into pixels of the picture and Onsite's words.
func (x *Extractor) objects(o models.Objects, img gocv.Mat, task models.Task) []Object {
	labels := x.models.Labels(task)
	w, h := float64(img.Cols()), float64(img.Rows())
	var out []Object
	for _, d := range o.Found {
		if d.Class < 0 || d.Class >= len(labels) {
			continue
		}
		x1, y1 := int(math.Floor(float64(d.X1)*w)), int(math.Floor(float64(d.Y1)*h))
		x2, y2 := int(math.Ceil(float64(d.X2)*w)), int(math.Ceil(float64(d.Y2)*h))
		out = append(out, Object{Class: wordFor(labels[d.Class]), Score: float64(d.Score), By: task, Box: pipeline.Box{X: x1, Y: y1, W: min(x2, img.Cols()) - x1, H: min(y2, img.Rows()) - y1}})
	}
	return out
}

// shapeOf sums up lines of text in a picture of w x h pixels.
func shapeOf(lines []line, w, h int) TextShape {
	t := TextShape{Boxes: len(lines), CentreX: .5, CentreY: .5}
	if len(lines) == 0 {
		return t
	}
	fw, fh := float64(w), float64(h)
	var area, x, y, score, height float64
	for _, l := range lines {
		a := l.w * l.h
		area, x, y, score = area+a, x+a*l.cx, y+a*l.cy, score+a*l.score
		height += min(l.w, l.h)
		t.Largest = max(t.Largest, a/(fw*fh))
		t.Tallest, t.Widest = max(t.Tallest, min(l.w, l.h)/fh), max(t.Widest, max(l.w, l.h)/fw)
	}
	t.Area, t.Score, t.MeanHeight = min(1, area/(fw*fh)), score/area, height/float64(len(lines))/fh
	t.CentreX, t.CentreY = x/area/fw, y/area/fh
	return t
}
