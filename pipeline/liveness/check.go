package liveness

import (
	"context"
	"math"
	"slices"
	"sort"

	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// What a clip can have too little of: the argument "lacking" of liveness_uncertain. Package policy holds the words.
const (
	LackSmall        = "small"        // the faces are too small to weigh enough
	LackLight        = "dark"         // the face is too dark
	LackVotes        = "few"          // too few usable faces
	LackSurroundings = "surroundings" // the face fills the photo
	LackTime         = "single_frame" // a photo whose one score lies in between
	LackClean        = "noisy"        // the picture is so noisy that the model's no is not worth much
	LackColours      = "colours"      // in balanced colours the model says the contrary
	LackSure         = "unsure"       // the model's score lies below Threshold, but not below ClearSpoof
	LackAccord       = "accord"       // some signs of a recorded face (a face that hardly moves is one), too few to say so
)

// Lacks lists them.
var Lacks = []string{LackSmall, LackLight, LackVotes, LackSurroundings, LackTime, LackClean, LackColours, LackSure, LackAccord}

// shown is how many of the least live faces a finding points to.
const shown = 3

// Check asks two witnesses, and the score is that of the one who believes less in a live person.
//
// The model looks at every prominent face of the sampled frames: its score is the weighted median over the subject's faces; another prominent
// face that is clearly a picture fails the clip too, since in a replay the live person may stand beside the phone. The signs are what the
// burst frames, the surroundings of the faces and their surfaces show (Detail: cues as measured, signs as log odds): a face that stays the
// same, an outline, moire. They are not put into one sum with the model, because its mistakes on real attacks are not known; but a single sign
// fails a clip only where the model hesitates too, since a whiteboard behind the head is an outline and a striped shirt a fine pattern.
//
// A fail is spoof_suspected and never certain. A photo has a single vote and the signs of surfaces alone: Detail says so, and between ClearSpoof
// and Threshold, of a face that fills it, and by signs alone nothing is claimed. track is what Follow gave; an empty one is taken as it is.
func Check(ctx context.Context, m Models, clip *media.Clip, found face.Found, track *Track, cfg Config) (pipeline.Check, error) {
	cfg.ClearSpoof = math.Min(cfg.ClearSpoof, cfg.Threshold) // a policy may lower the threshold alone
	if err := cfg.Validate(); err != nil {
		return pipeline.Check{}, err
	}
	subject := found.Subject()
	if subject < 0 {
		return pipeline.Check{Outcome: pipeline.NotChecked, Why: "no_face"}, nil
	}
	view, inside, track, at, free, err := unpadded(clip, &found, track)
	if err != nil {
		return pipeline.Check{}, err
	}
	defer free()
	out, err := check(ctx, m, view, inside, track, &cfg)
	if err == nil && view != clip {
		shiftBoxes(out.Findings, at)
		out.Detail["without_border"] = [4]int{at.X, at.Y, view.Frames[0].Image.Cols(), view.Frames[0].Image.Rows()} // x, y, width, height in the frames
	}
	return out, err
}

// check is Check on a clip without borders.
func check(ctx context.Context, m Models, clip *media.Clip, found *face.Found, track *Track, cfg *Config) (pipeline.Check, error) {
	subject := found.Subject()
	photo := clip.Info.Kind == media.Photo || len(clip.Frames) == 1
	own, err := poll(ctx, m, clip, found, subject, cfg.MaxVotes, cfg)
	if err != nil {
		return pipeline.Check{}, err
	}
	others, err := pollOthers(ctx, m, clip, found, subject, cfg)
	if err != nil {
		return pipeline.Check{}, err
	}
	out := pipeline.Check{Outcome: pipeline.Pass, Threshold: &cfg.Threshold, Frames: len(own.votes), Detail: map[string]any{"basis": "model_votes"}}
	if photo {
		out.Detail["basis"] = "single_frame" // nothing that needs time was looked at
	}
	if own.left > 0 {
		out.Detail["stopped_early"] = map[string]any{"faces_not_asked": own.left}
	}
	judgeSubject(&out, &own, photo, cfg)
	tracks := []int{subject}
	for i := range others {
		judgeOther(&out, &others[i], photo, cfg)
		tracks = append(tracks, others[i].track)
	}
	out.Detail["votes"] = out.Outcome
	if own.hesitates(cfg) {
		out.Detail["votes_hesitate"] = true
	}
	if len(own.votes) > 0 {
		out.Detail["votes_score"] = round(own.score())
	}
	c, outline, err := measure(clip, found, tracks, track, cfg)
	if err != nil {
		return pipeline.Check{}, err
	}
	judgeSigns(&out, c, &outline, &own, photo, cfg)
	return out, nil
}

// judgeSigns adds what the signs say.
func judgeSigns(out *pipeline.Check, c cues, outline *rim, own *ballot, photo bool, cfg *Config) {
	if len(c) == 0 {
		return
	}
	alive, took := fitted.alive(c)
	out.Detail["cues"], out.Detail["signs"], out.Detail["signs_score"] = rounded(c), rounded(took), round(alive)
	if !photo && c.overTime() {
		out.Detail["basis"] = "votes_and_signs"
	}
	if out.Score == nil || alive-cfg.SignsDoubt < *out.Score-*out.Threshold {
		out.Score, out.Threshold = &alive, &cfg.SignsDoubt
		out.Near = math.Abs(alive-cfg.SignsDoubt) < cfg.Near || math.Abs(alive-cfg.SignsSpoof) < cfg.Near
	}
	switch verdict := bySigns(&fitted, c, own.hesitates(cfg), cfg); {
	case verdict == pipeline.Fail && !photo:
		suspect(out, own, cfg.SignsSpoof, "face")
	case verdict != pipeline.Pass && out.Outcome == pipeline.Pass:
		doubt(out, own, LackAccord)
	}
	at := slices.IndexFunc(out.Findings, func(f pipeline.Finding) bool { return f.Code == pipeline.SpoofSuspected })
	if b := outline.box; at >= 0 && took["outline"] > 0 && !b.Empty() {
		out.Findings[at].Evidence = append([]pipeline.Evidence{{
			Kind: "keyframe", Keyframe: &outline.frame, Label: "outline", Box: &pipeline.Box{X: b.Min.X, Y: b.Min.Y, W: b.Dx(), H: b.Dy()},
		}}, out.Findings[at].Evidence...)
	}
}

// bySigns is what the signs say: a fail needs two of them that do not come from the same thing, or one where the model's votes hesitate.
func bySigns(w *weights, c cues, hesitates bool, cfg *Config) pipeline.Outcome {
	switch alive, took := w.alive(c); {
	case alive < cfg.SignsSpoof && (hesitates || independent(took) >= 2):
		return pipeline.Fail
	case alive < cfg.SignsDoubt:
		return pipeline.Uncertain
	}
	return pipeline.Pass
}

// hesitates says that the model's votes are below the threshold or just above it, and not because of noise or of the light.
func (b *ballot) hesitates(cfg *Config) bool {
	return len(b.votes) > 0 && b.score() < cfg.Threshold+cfg.Near && b.noise <= cfg.NoisyView && b.balanced < cfg.Threshold
}

func rounded(m map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for k, v := range m {
		out[k] = round(v)
	}
	return out
}

// judgeSubject sets score and outcome from the subject's votes.
func judgeSubject(out *pipeline.Check, own *ballot, photo bool, cfg *Config) {
	out.Detail["faces_seen"] = own.seen
	if len(own.votes) == 0 {
		doubt(out, own, LackSmall)
		return
	}
	score, weight, bright := own.score(), own.weight(), own.light()
	out.Score = &score
	out.Near = math.Abs(score-cfg.Threshold) < cfg.Near
	out.Detail["weight"], out.Detail["light"] = round(weight), math.Round(bright)
	out.Detail["frames_below"] = below(own, cfg.Threshold)
	need, votes := own.need(cfg), cfg.MinVotes
	if photo {
		need, votes = cfg.PhotoMinWeight, 1
	}
	switch {
	case bright < cfg.DarkFace:
		doubt(out, own, LackLight)
	case len(own.votes) < votes:
		doubt(out, own, LackVotes)
	case weight < need:
		doubt(out, own, LackSmall)
	case photo && score < cfg.Threshold && own.tight(cfg.PhotoView):
		doubt(out, own, LackSurroundings)
	case photo && score < cfg.Threshold && score >= cfg.ClearSpoof:
		doubt(out, own, LackTime)
	case score < cfg.Threshold && own.noise > cfg.NoisyView:
		doubt(out, own, LackClean)
	case score < cfg.Threshold && own.balanced >= cfg.Threshold:
		doubt(out, own, LackColours)
	case score < cfg.Threshold && score >= cfg.ClearSpoof:
		doubt(out, own, LackSure)
	case score < cfg.Threshold:
		suspect(out, own, cfg.Threshold, "face")
	}
	if score < cfg.Threshold+cfg.Near {
		out.Detail["noise"], out.Detail["balanced_score"] = round(own.noise), round(own.balanced)
	}
}

// judgeOther fails the check when somebody beside the subject is clearly a picture.
func judgeOther(out *pipeline.Check, b *ballot, photo bool, cfg *Config) {
	if len(b.votes) == 0 {
		return
	}
	score := b.score()
	list, _ := out.Detail["others"].([]map[string]any)
	out.Detail["others"] = append(list, map[string]any{"score": round(score), "frames": len(b.votes), "weight": round(b.weight())})
	need, votes := cfg.MinWeight, cfg.MinVotes
	if photo {
		need, votes = 2*cfg.PhotoMinWeight, 1
	}
	if score >= cfg.ClearSpoof || b.light() < cfg.DarkFace || len(b.votes) < votes || b.weight() < need {
		return
	}
	if b.noise > cfg.NoisyView || b.balanced >= cfg.Threshold {
		return // a poster in a noisy picture, or in a lamp's light, is nobody's fault
	}
	suspect(out, b, cfg.ClearSpoof, "other_face")
	if out.Score == nil || score < *out.Score { // the score that decides is the one that is shown
		out.Score, out.Threshold = &score, &cfg.ClearSpoof
	}
}

// pollOthers asks about the other prominent tracks, the largest first, within the budget of MaxOthers faces. All of them, under EarlyExit, too: what is
// settled is settled for the subject's threshold, and these are judged at ClearSpoof.
func pollOthers(ctx context.Context, m Models, clip *media.Clip, found *face.Found, subject int, cfg *Config) ([]ballot, error) {
	whole := *cfg
	whole.EarlyExit = false
	least := cfg.Prominent * height(found, subject)
	var tracks []int
	for t := range found.Tracks {
		if t != subject && len(found.Tracks[t].Spots) > 0 && height(found, t) >= least {
			tracks = append(tracks, t)
		}
	}
	left := cfg.MaxOthers
	var out []ballot
	for i, t := range tracks {
		share := max(left/(len(tracks)-i), min(cfg.MinVotes, left))
		if share == 0 {
			break
		}
		b, err := poll(ctx, m, clip, found, t, share, &whole)
		if err != nil {
			return nil, err
		}
		left -= min(share, len(found.Tracks[t].Spots))
		out = append(out, b)
	}
	return out, nil
}

// height is the median height of a track's faces, pixels.
func height(found *face.Found, track int) float64 {
	var all []int
	for _, s := range found.Tracks[track].Spots {
		all = append(all, found.At(s).Box.Dy())
	}
	sort.Ints(all)
	return float64(all[len(all)/2])
}

// suspect adds a spoof finding with the least live faces as evidence.
func suspect(out *pipeline.Check, b *ballot, threshold float64, label string) {
	out.Outcome = pipeline.Fail
	out.Findings = append(out.Findings, pipeline.Finding{
		Code: pipeline.SpoofSuspected, Outcome: pipeline.Fail, Evidence: evidence(b, threshold, label),
	})
}

// doubt makes the outcome uncertain: the clip holds too little, and why says what is lacking.
func doubt(out *pipeline.Check, b *ballot, why string) {
	out.Outcome = pipeline.Uncertain
	out.Detail["lacking"] = why
	threshold := 0.0
	if out.Threshold != nil {
		threshold = *out.Threshold
	}
	out.Findings = append(out.Findings, pipeline.Finding{
		Code: pipeline.LivenessUncertain, Outcome: pipeline.Uncertain, Args: map[string]string{"lacking": why}, Evidence: evidence(b, threshold, "face"),
	})
}

func evidence(b *ballot, threshold float64, label string) []pipeline.Evidence {
	var out []pipeline.Evidence
	for _, v := range b.worst(shown) {
		out = append(out, pipeline.Evidence{
			Kind: "keyframe", Keyframe: &v.frame, Label: label, Score: &v.live, Threshold: &threshold,
			Box: &pipeline.Box{X: v.box.Min.X, Y: v.box.Min.Y, W: v.box.Dx(), H: v.box.Dy()},
		})
	}
	return out
}

// below counts the votes under a score.
func below(b *ballot, score float64) int {
	n := 0
	for i := range b.votes {
		if b.votes[i].live < score {
			n++
		}
	}
	return n
}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
