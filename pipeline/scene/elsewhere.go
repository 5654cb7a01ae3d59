package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/scene/head"
)

// Contradiction is something in view that belongs to another place. It counts only where nothing of the site was found: a cafe next door
// may well be seen beside one's own sign.
type Contradiction struct {
	Means     Means            `json:"means"`
	Reference string           `json:"reference,omitempty"` // the negative reference that matched
	Name      string           `json:"name,omitempty"`      // the name of another place that was read, as the site has it
	Read      string           `json:"read,omitempty"`
	Looks     string           `json:"looks,omitempty"` // what the surroundings look like: cafe, home
	Score     float64          `json:"score"`
	Threshold float64          `json:"threshold"`
	Keyframe  *int             `json:"keyframe,omitempty"`
	AtMS      *int64           `json:"at_ms,omitempty"`
	Outline   []pipeline.Point `json:"outline,omitempty"`
	Box       *pipeline.Box    `json:"box,omitempty"`
	Mirrored  bool             `json:"mirrored,omitempty"`
}

// elsewhere looks for what belongs to another place, in the frames that were searched.
func (s *search) elsewhere(ctx context.Context, picks []media.Frame, want []Element) error {
	if slices.ContainsFunc(s.site.refs, func(r reference) bool { return r.neg }) {
		// The frames are searched already, unless no picture of what is wanted is enrolled.
		for _, f := range picks[len(s.keys):max(len(s.keys), min(len(picks), s.cfg.Frames))] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.keyed(f); err != nil {
				return err
			}
		}
	}
	for k := range s.keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.each(k, func(r *reference) bool { return r.neg && !s.settled(r) }); err != nil {
			return err
		}
	}
	if err := s.closer(ctx); err != nil || !s.cfg.Heads || s.foreign.found {
		return err
	}
	return s.impression(ctx, picks[0], want)
}

// contrary lists the heads that speak against a place of work, in the order in which they are said.
var contrary = []string{head.Cafe, head.Home}

// supporting lists the head that speaks for an element: where it does, the surroundings are no contradiction. A desk speaks for every place
// of work.
var supporting = map[Element]string{Storefront: head.Storefront, Poster: head.Poster}

// speaksFor tells whether a head speaks for what the site should show.
func (s *search) speaksFor(votes map[string]head.Vote, want []Element) bool {
	for e, h := range supporting {
		if (slices.Contains(want, e) || s.site.has(e)) && votes[h].Says > 0 {
			return true
		}
	}
	return votes[head.Desk].Says > 0
}

// impression asks the heads what the sharpest frame looks like in general. It is weak evidence: it counts only with a margin, where nothing of
// the site was found, and where no head speaks for anything that the site should show.
func (s *search) impression(ctx context.Context, f media.Frame, want []Element) error {
	m, ok := s.models.(HeadModels)
	if !ok {
		return errors.New("ask for a general impression: no models were given")
	}
	man, ok := m.Manifest(sceneHead)
	if !ok {
		return errors.New("ask for a general impression: the model of scene_head was not opened; install it, or set scene.heads to false in the policy")
	}
	if err := HeadsFit(m, man); err != nil {
		return fmt.Errorf("ask for a general impression: %w; or set scene.heads to false in the policy", err)
	}
	heads, err := head.New(m, man)
	if err != nil {
		return err
	}
	v, err := s.measure(ctx, f, Everything)
	if err != nil {
		return err
	}
	votes, err := heads.Score(ctx, v.HeadInput(Everything))
	if err != nil {
		return fmt.Errorf("ask for a general impression of frame %d: %w", f.Index, err)
	}
	if s.speaksFor(votes, want) {
		return nil
	}
	atDesk := slices.Contains(want, Desk) || slices.Contains(want, Screen) // many desks stand at home
	for _, h := range contrary {
		if b := votes[h]; b.Says > 0 && (h != head.Home || !atDesk) {
			c := Contradiction{Means: ByHead, Looks: h, Score: b.P, Threshold: b.Threshold}
			c.Keyframe, c.AtMS = when(f)
			s.looks = append(s.looks, c)
			return nil
		}
	}
	return nil
}

// sceneHead is the task of the heads.
const sceneHead models.Task = "scene_head"

// HeadModels is what the general impression needs besides features: models.Set gives it.
type HeadModels interface {
	FeatureModels
	head.Model
	Manifest(task models.Task) (manifest.Manifest, bool)
}

// MadeBy lists the task whose model makes a group of the features of the heads.
var MadeBy = map[string]models.Task{
	head.GroupOffice: models.ObjectDetect, head.GroupMean: models.ObjectDetect, head.GroupCOCO: models.SceneEmbed, head.GroupCOCOPool: models.SceneEmbed,
	head.GroupEmbedding: models.SceneEmbed, head.GroupText: models.TextDetect, head.GroupTextPool: models.TextDetect,
}

// Gives tells whether a model gives a part of the heads' input as they were trained on it: by the same file, and what is taken from the inside of
// its graph by an output (pool_of) of that size.
func Gives(own manifest.Manifest, p manifest.Part) bool {
	if own.File.SHA256 != p.Model {
		return false
	}
	if p.Name != head.GroupCOCOPool && p.Name != head.GroupTextPool {
		return true
	}
	o, ok := own.Pool()
	return ok && slices.Equal(o.Shape, []int{1, p.Size})
}

// HeadsFit refuses heads that were trained on the features of other models, whose numbers mean something else, and those that read an output which
// a manifest leaves out: heads without one of their features give no vote, and nobody would be told.
func HeadsFit(m interface {
	Manifest(task models.Task) (manifest.Manifest, bool)
}, heads manifest.Manifest) error {
	for _, p := range heads.Input.Parts {
		own, ok := m.Manifest(MadeBy[p.Name])
		switch {
		case !ok || Gives(own, p):
		case own.File.SHA256 == p.Model:
			return fmt.Errorf("the heads read %d values of %s, and the manifest of %s %s (%s) does not give them: outputs: the last one must have pool_of and shape [1, %d], as in the built-in manifest of that file", p.Size, p.Name, own.Name, own.Version, MadeBy[p.Name], p.Size)
		default:
			return fmt.Errorf("the heads were trained on %s of model %.12s, this program measures with %.12s; train them again (onsite scene train)", p.Name, p.Model, own.File.SHA256)
		}
	}
	return nil
}

// foreignRead gives the best reading of a name of another place.
func (s *search) foreignRead() (seen, media.Frame) {
	var best seen
	var at media.Frame
	for _, f := range s.looked {
		var words []Word
		for _, w := range s.words {
			if w.Frame == f.Index {
				words = append(words, w)
			}
		}
		for _, n := range s.asked(s.site.foreign) {
			if b := bestOf(n, words); b.found && b.better(best) {
				best, at = b, f
			}
		}
	}
	return best, at
}

// against lists what speaks for another place; nothing where anything of the site was found.
func (s *search) against() []Contradiction {
	if s.anything() || len(s.differs) > 0 {
		return nil
	}
	var out []Contradiction
	if n := s.foreign; n.found {
		c := Contradiction{Means: ByReference, Reference: n.ref.name, Score: float64(n.Inliers), Threshold: float64(s.cfg.Inliers), Outline: n.Outline, Mirrored: n.Mirrored}
		c.Keyframe, c.AtMS = when(n.frame)
		box := boundsOf(n.Outline, n.frame.Image.Cols(), n.frame.Image.Rows())
		c.Box = &box
		out = append(out, c)
	}
	if b, f := s.foreignRead(); b.found {
		c := Contradiction{Means: ByText, Name: b.name, Read: b.read, Score: b.similarity, Threshold: s.threshold(b.name)}
		c.Keyframe, c.AtMS = when(f)
		c.Box, c.Outline, c.Mirrored = b.place(f)
		out = append(out, c)
	}
	return append(out, s.looks...)
}

// asked are names with the similarity that the policy asks for.
func (s *search) asked(names []signName) []signName {
	out := slices.Clone(names)
	for i := range out {
		out[i].similarity = s.cfg.SignSimilarity
	}
	return out
}

// place is where the words of a name are in a frame.
func (b seen) place(f media.Frame) (*pipeline.Box, []pipeline.Point, bool) {
	var corners []pipeline.Point
	mirrored := false
	for _, w := range b.words {
		corners = append(corners, w.Outline...)
		mirrored = mirrored || w.Mirrored
	}
	box := boundsOf(corners, f.Image.Cols(), f.Image.Rows())
	if len(b.words) == 1 {
		return &box, b.words[0].Outline, mirrored
	}
	return &box, nil, mirrored
}

// threshold is the similarity that a name asks for.
func (s *search) threshold(name string) float64 {
	all := slices.Concat(s.site.names, s.site.foreign)
	i := slices.IndexFunc(all, func(n signName) bool { return n.raw == name })
	if i < 0 {
		return 1
	}
	n := all[i]
	n.similarity = s.cfg.SignSimilarity
	return 1 - float64(n.budget())/float64(edit*len(n.key))
}

// finding is the reason that a contradiction gives.
func (c Contradiction) finding() pipeline.Finding {
	f := pipeline.Finding{Code: pipeline.EnvironmentMismatch, Outcome: pipeline.Fail, Args: map[string]string{}}
	set := func(k, v string) {
		if v != "" {
			f.Args[k] = v
		}
	}
	set("name", c.Reference+c.Name)
	set("read", c.Read)
	if c.Means == ByReference && c.Score < c.Threshold { // a few points that the picture confirms are enough to find a thing, not to accuse
		f.Outcome = pipeline.Uncertain
	}
	if c.Means == ByHead { // a general impression proves no place
		f.Outcome = pipeline.Uncertain
		if p, ok := looksTexts[c.Looks]; ok {
			f.Args["place_en"], f.Args["place_zh"] = p.EN, p.ZH
		}
	}
	if c.Keyframe != nil {
		score, threshold := c.Score, c.Threshold
		ev := pipeline.Evidence{Kind: "match", Keyframe: c.Keyframe, Box: c.Box, Outline: c.Outline, Reference: c.Reference, Label: "elsewhere", Read: c.Read, Score: &score, Threshold: &threshold}
		switch c.Means {
		case ByText:
			ev.Kind = "text"
		case ByHead:
			ev.Kind = "keyframe"
		}
		if c.Mirrored {
			ev.Transform = "mirrored"
		}
		f.Evidence = append(f.Evidence, ev)
	}
	return f
}

var looksTexts = map[string]pipeline.Text{
	"cafe": {EN: "a cafe", ZH: "咖啡馆"}, "home": {EN: "a home", ZH: "住宅"}, "street": {EN: "a street", ZH: "街道"},
}
