package reuse

import (
	"errors"
	"fmt"
	"math"
	"time"

	"onsite/models/manifest"
	"onsite/pipeline"
)

// Limits of the views of a fingerprint.
const (
	maxViews      = 4                       // stills that a scene embedder saw
	maxViewValues = manifest.MaxSceneValues // of one vector
)

// Views are what a scene embedder made of some stills: a vector each, in signed bytes. They say what kind of place is in view, and not which
// recording it is, so no verdict hangs on them. Model is the sha256 of the embedder's file: vectors of different models are never compared.
// The zero value is a clip that no embedder looked at; the fingerprint alone never runs a model.
type Views struct {
	Model string // 64 hex digits; empty without views
	Of    []View
}

// View is one still as the embedder saw it.
type View struct {
	PTS time.Duration
	V   []int8 // -127..127, the largest of them +-127; its length says nothing
}

// Add keeps a vector; more than a fingerprint holds are left out. It refuses one of another model than the views before it, of another
// length, or without a direction.
func (v *Views) Add(model string, pts time.Duration, vector []float32) error {
	if len(v.Of) == maxViews {
		return nil
	}
	w := View{PTS: pts.Truncate(time.Millisecond), V: make([]int8, len(vector))}
	var top float64
	for _, x := range vector {
		top = max(top, math.Abs(float64(x)))
	}
	if !(top > 0) || math.IsInf(top, 0) {
		return errors.New("keep how a scene embedder saw a still: its vector has no direction")
	}
	for i, x := range vector {
		if math.IsNaN(float64(x)) {
			return errors.New("keep how a scene embedder saw a still: a value of its vector is no number")
		}
		w.V[i] = int8(math.Round(float64(x) / top * math.MaxInt8))
	}
	if len(v.Of) > 0 && v.Model != model {
		return fmt.Errorf("keep how a scene embedder saw a still: it is by model %s, the stills before by %s", short(model), short(v.Model))
	}
	out := Views{Model: model, Of: append(v.Of[:len(v.Of):len(v.Of)], w)}
	if err := out.check(); err != nil {
		return err
	}
	*v = out
	return nil
}

// check says whether the views can be written.
func (v *Views) check() error {
	if len(v.Of) == 0 {
		if v.Model != "" {
			return errors.New("views name a model and are none")
		}
		return nil
	}
	if len(v.Of) > maxViews || !hasSHA(v.Model) {
		return fmt.Errorf("%d views of model %q: at most %d are kept, and the model is named by its sha256", len(v.Of), short(v.Model), maxViews)
	}
	n := len(v.Of[0].V)
	for i, w := range v.Of {
		top := 0
		for _, x := range w.V {
			top = max(top, int(x), -int(x))
		}
		if len(w.V) != n || n > maxViewValues || top != math.MaxInt8 {
			return fmt.Errorf("view %d has %d values up to %d; the first has %d, at most %d are kept, and the largest of them is 127", i, len(w.V), top, n, maxViewValues)
		}
	}
	return nil
}

// bytes is about how much memory they take.
func (v *Views) bytes() int {
	n := 0
	for _, w := range v.Of {
		n += len(w.V) + 64
	}
	return n
}

// Alike is the cosine of the two most similar views of two clips, -1..1. ok is false where one has none, or another model made them.
func (v *Views) Alike(o *Views) (cosine float64, ok bool) {
	if len(v.Of) == 0 || len(o.Of) == 0 || v.Model != o.Model || len(v.Of[0].V) != len(o.Of[0].V) {
		return 0, false
	}
	cosine = -1
	for _, a := range v.Of {
		for _, b := range o.Of {
			var ab, aa, bb int
			for i, x := range a.V {
				y := int(b.V[i])
				ab, aa, bb = ab+int(x)*y, aa+int(x)*int(x), bb+y*y
			}
			cosine = max(cosine, float64(ab)/math.Sqrt(float64(aa)*float64(bb)))
		}
	}
	return cosine, true
}

// NoteViews writes into the check's detail how alike a scene embedder finds the closest earlier clip ("closest", "view_cosine"), where it saw
// both. Check does so itself where the fingerprint has views; the first verification of a clip has them only once its scene is checked, and
// notes it then. history is what Check was given.
func NoteViews(check *pipeline.Check, fp *Fingerprint, history []Candidate) {
	closest, ok := check.Detail["closest"].(map[string]any)
	if !ok {
		return
	}
	for i := range history {
		if history[i].Job != closest["job"] {
			continue
		}
		if cosine, ok := fp.Views.Alike(&history[i].Fingerprint.Views); ok {
			closest["view_cosine"] = round3(cosine)
		}
		return
	}
}

func encodeViews(v *Views) ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	b := []byte{uint8(len(v.Of))}
	if len(v.Of) == 0 {
		return b, nil
	}
	model, err := pipeline.DigestBytes(v.Model)
	if err != nil {
		return nil, fmt.Errorf("model of the views: %w", err)
	}
	b = append(b, model...)
	b = order.AppendUint16(b, uint16(len(v.Of[0].V)))
	for _, w := range v.Of {
		b = order.AppendUint32(b, ms(w.PTS))
		for _, x := range w.V {
			b = append(b, uint8(x))
		}
	}
	return b, nil
}

func readViews(outer *reader, b []byte) Views {
	r := reader{b: b, err: outer.err}
	n := int(r.u8())
	if n > maxViews {
		r.fail("%d views, at most %d are allowed", n, maxViews)
	}
	var v Views
	if r.err == nil && n > 0 {
		v.Model = pipeline.DigestText(r.take(32))
		size := r.count(maxViewValues)
		for range n {
			w := View{PTS: r.ms(), V: make([]int8, size)}
			for i, x := range r.take(size) {
				w.V[i] = int8(x)
			}
			v.Of = append(v.Of, w)
		}
	}
	r.end()
	if r.err == nil {
		r.err = v.check()
	}
	outer.err = r.err
	return v
}
