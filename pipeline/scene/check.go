package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// Why a whole check was not made.
const (
	WhyNoSite     = "no_site"
	WhyNoFrames   = "no_frames"
	WhyLowQuality = "low_quality"
)

const (
	// fewKeypoints is the number of keypoints in a frame below which it shows nothing to match: a covered lens, a white wall, night.
	fewKeypoints = 40
	// wordsInDetail bounds the texts that the verdict lists.
	wordsInDetail = 12
)

// Check looks for what the site should show in a clip or photo. at is the time at which posters must be valid; the zero time asks nothing.
// A nil site is not_checked. The frames are only read; m is used only when a name is to be read.
//
// The score of the check is the share of the wanted elements that were seen, its threshold 1; the elements' own scores are in
// Detail["elements"] ([]Seen) and in the Result.
func Check(ctx context.Context, m Models, clip *media.Clip, site *Site, at time.Time, cfg Config) (pipeline.Check, Result, error) {
	if err := cfg.Validate(); err != nil {
		return pipeline.Check{}, Result{}, err
	}
	notChecked := func(why string) (pipeline.Check, Result, error) {
		return pipeline.Check{Outcome: pipeline.NotChecked, Why: why}, Result{}, nil
	}
	want := wanted(site, cfg.Want)
	switch {
	case site == nil, len(want) == 0:
		return notChecked(WhyNoSite)
	case clip == nil || len(clip.Frames) == 0:
		return notChecked(WhyNoFrames)
	}
	s := newSearch(m, site, at, cfg, clip.Info.Kind == media.Photo)
	defer s.close()
	if err := s.run(ctx, clip, want); err != nil {
		return pipeline.Check{}, Result{}, fmt.Errorf("check the scene of site %s: %w", site.ID, err)
	}
	res := s.result(want)
	if s.blind() && len(s.words) == 0 && !res.something() {
		return pipeline.Check{Outcome: pipeline.NotChecked, Why: WhyLowQuality, Frames: len(s.looked)}, res, nil
	}
	return s.check(res), res, nil
}

// wanted lists the elements to look for, in the usual order: those asked for, or all that the site has.
func wanted(site *Site, want []Element) []Element {
	var out []Element
	for _, e := range Elements {
		if site != nil && ((want == nil && site.has(e)) || slices.Contains(want, e)) {
			out = append(out, e)
		}
	}
	return out
}

// Tasks lists the models that a check of this site may use, whatever a clip shows.
func (s *Site) Tasks(cfg Config) []models.Task {
	want := wanted(s, cfg.Want)
	var out []models.Task
	if (slices.Contains(want, Sign) && len(s.names) > 0) || len(s.foreign) > 0 || (cfg.Today && slices.Contains(want, Poster)) {
		out = append(out, models.TextDetect, models.TextRecognize)
	} else if cfg.Heads { // the heads ask where text is, not what it says
		out = append(out, models.TextDetect)
	}
	objects := slices.ContainsFunc(want, func(e Element) bool { return objectsOf[e] != nil })
	if objects || cfg.Heads {
		out = append(out, models.ObjectDetect)
	}
	if cfg.Heads {
		out = append(out, sceneHead)
	}
	if objects || cfg.Heads || (slices.Contains(want, Room) && len(s.rooms.photos) > 0) {
		out = append(out, models.SceneEmbed)
	}
	return out
}

// frameKeys are the keypoints of one frame that was searched.
type frameKeys struct {
	frame media.Frame
	keys  keypoints
}

// search is one run of the check.
type search struct {
	models   Models
	site     *Site
	at       time.Time // by the site's clock
	cfg      Config
	looked   []media.Frame
	keys     []frameKeys
	best     map[Element]sight // among references of the site that are valid
	differs  map[Element]sight // the design of a reference, with other content
	outdated sight             // best poster that does not hang here now
	foreign  sight             // best reference of another place
	hints    []hint            // where to look closer
	object   map[Element]object
	room     roomSight
	measures measures
	looks    []Contradiction // what the surroundings look like in general
	periods  []Period        // read on the poster
	prices   []Price
	mirrored bool // a reference, or text, was found mirrored
	straight bool // a reference was found not mirrored: nothing else needs the mirror
	far      bool // a photo: there are no other frames, and more time for this one
	words    []Word
	sign     seen
	signAt   media.Frame
	spent    Spent
}

func newSearch(m Models, site *Site, at time.Time, cfg Config, far bool) *search {
	return &search{models: m, site: site, at: site.local(at), cfg: cfg, far: far, best: map[Element]sight{}, differs: map[Element]sight{}, object: map[Element]object{}}
}

func (s *search) close() {
	for i := range s.keys {
		s.keys[i].keys.close()
	}
	s.keys = nil
}

// run looks at the picked frames: references first; text last, because it costs most.
func (s *search) run(ctx context.Context, clip *media.Clip, want []Element) error {
	start := time.Now()
	picks, err := pick(clip.Frames, max(s.cfg.Frames, s.cfg.TextFrames, objectFrames))
	if err != nil {
		return err
	}
	s.spent.Pick = time.Since(start)
	if err := s.references(ctx, picks, want); err != nil {
		return err
	}
	if err := s.objects(ctx, picks, want); err != nil {
		return err
	}
	if err := s.compareRooms(ctx, picks, want); err != nil {
		return err
	}
	// A sign that was found by its picture need not be read. Where nothing of the site was found, names of other places are looked for, too.
	if (slices.Contains(want, Sign) && len(s.site.names) > 0 && !s.found(Sign)) || (len(s.site.foreign) > 0 && !s.anything()) {
		if s.models == nil {
			return errors.New("read signs: no models were given")
		}
		start = time.Now()
		err := s.read(ctx, picks[:min(len(picks), s.cfg.TextFrames)])
		s.spent.Text += time.Since(start)
		if err != nil {
			return err
		}
	}
	if s.cfg.Today && s.best[Poster].found {
		start = time.Now()
		err := s.readPoster(ctx)
		s.spent.Text += time.Since(start)
		if err != nil {
			return err
		}
	}
	if !s.anything() {
		if err := s.elsewhere(ctx, picks, want); err != nil {
			return err
		}
	}
	if len(s.keys) > 0 || len(s.words) > 0 {
		return nil
	}
	// Only names are wanted and none of any kind was read: is there anything in view at all? A small picture tells.
	k, err := at(picks[0].Image, pickSide, 2*fewKeypoints)
	if err != nil {
		return err
	}
	s.keys = append(s.keys, frameKeys{picks[0], k})
	return nil
}

// read reads the frames until a name is found.
func (s *search) read(ctx context.Context, picks []media.Frame) error {
	// Names of other places are looked for in what is read anyway; reading goes on for them only where there are no others.
	names := s.asked(s.site.names)
	asked := names
	if len(asked) == 0 {
		asked = s.asked(s.site.foreign)
	}
	r := &reader{models: s.models, names: asked, limit: s.cfg.TextLines, mirrored: s.mirrored, straight: s.straight}
	defer func() { s.spent.Reads = r.reads }()
	frames, sides := len(picks), make([]int, len(picks))
	for i := range picks {
		sides[i] = s.cfg.TextSide
	}
	for i := 0; i < len(picks); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		words, err := r.read(ctx, picks[i], sides[i])
		if err != nil {
			return err
		}
		s.see(picks[i])
		s.words = append(s.words, words...)
		s.mirrored = r.mirrored
		for _, n := range names {
			if b := bestOf(n, words); b.better(s.sign) {
				s.sign, s.signAt = b, picks[i]
			}
		}
		if s.sign.found || len(names) == 0 && r.found(words) {
			return nil
		}
		if i == frames-1 && s.far && s.cfg.TextSideFar > s.cfg.TextSide {
			// The name may stand far away, beside text that is near. Once more on the sharpest frame, larger, where small text can be.
			r.small = true
			picks, sides = append(slices.Clone(picks), picks[0]), append(sides, s.cfg.TextSideFar)
		}
	}
	return nil
}

// blind tells whether frames were searched and none had anything to match.
func (s *search) blind() bool {
	for _, k := range s.keys {
		if len(k.keys.at) >= fewKeypoints {
			return false
		}
	}
	return len(s.keys) > 0
}
