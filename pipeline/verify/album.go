package verify

import (
	"context"
	"fmt"
	"image"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	"onsite/pipeline/place"
	"onsite/pipeline/report"
	"onsite/pipeline/reuse"
	"onsite/pipeline/scene"
)

const (
	pictureSide    = 640 // long side of a keyframe in the report, pixels: enough to judge, small enough to mail
	pictureQuality = 82  // JPEG
	// sureFace is the detector's score from which a face in a reference photo is blurred: below it
	// the tiled search takes digits for faces (0.87 for a price on the demo's poster).
	sureFace    = 0.9
	maxPictures = 24 // keyframes in a report; a five-minute clip has 60
	// Keyframes alone, for a service to keep: a verdict that a person will look at has more of them than one that passes. Each costs some
	// 60 ms, most of it looking for small faces to blur (face.Matcher.Sweep).
	passKeyframes, mostKeyframes = 3, 12
)

// Album is what a report shows besides the verdict. Other people are already blurred in it.
type Album struct {
	Pictures   []report.Picture
	Marks      []report.Mark
	Elements   []report.Element
	Segments   []report.Segment
	References []report.Reference
	Timeline   report.Timeline
	Ground     *report.Ground
	Notes      []pipeline.Text
	PolicyName string
	Media      string
}

// shown is what the checks found, kept for the album.
type shown struct {
	face   face.Result
	scene  scene.Result
	reuse  reuse.Result
	ground place.Result
}

// Report gives the page's input in a language (en, zh), with a line of the caller's at the top.
func (r Result) Report(lang, note string) report.Input {
	in := report.Input{
		Verdict: r.Verdict, Lang: lang, Name: r.Album.Media, PolicyName: r.Album.PolicyName, Notes: r.Album.Notes,
		Pictures: r.Album.Pictures, References: r.Album.References, Marks: r.Album.Marks, Elements: r.Album.Elements,
		Segments: r.Album.Segments, Timeline: r.Album.Timeline, Ground: r.Album.Ground,
	}
	if note != "" {
		in.Notes = append([]pipeline.Text{{EN: note, ZH: note}}, in.Notes...)
	}
	return in
}

// pictures makes the keyframes and the album, as far as the job asks for them. Where no face was looked for (no consent, policy no_face, a
// search that broke off) nobody can be blurred, so no picture is written.
func (r *run) pictures(ctx context.Context, out *Result) error {
	if !r.Picture && !r.Keyframes {
		return nil
	}
	return r.stage(ctx, StagePictures, func(ctx context.Context) error {
		elements := r.elements()
		chosen := r.pictured(elements, r.mostPictures())
		var err error
		switch {
		case r.measuring:
			out.Keyframes, err = r.specks(chosen)
		case r.looked():
			out.Keyframes, err = r.keyframes(ctx, chosen)
		}
		if err != nil || !r.Picture {
			return err
		}
		out.Album.Elements, out.Album.Pictures = elements, out.Keyframes
		return r.album(ctx, &out.Album)
	})
}

func (r *run) mostPictures() int {
	if r.Picture {
		return maxPictures
	}
	if decision, _ := r.Policy.Decide(r.checks); decision == pipeline.DecisionPass {
		return passKeyframes
	}
	return mostKeyframes
}

// keyframes makes the pictures of the chosen keyframes, without other people.
func (r *run) keyframes(ctx context.Context, chosen []int) ([]report.Picture, error) {
	matcher := face.New(r.Models, faceConfig(r.Models, r.Policy))
	var out []report.Picture
	for _, n := range chosen {
		if err := matcher.Sweep(ctx, r.clip, &r.found, n); err != nil {
			return nil, fmt.Errorf("look for other people in keyframe %d: %w", n, err)
		}
		p, err := r.picture(n)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// album makes what a report shows besides the keyframes.
func (r *run) album(ctx context.Context, a *Album) error {
	a.PolicyName, a.Media = r.Policy.Name, r.Media.Name()
	a.Timeline = r.timeline()
	a.Ground = r.drawn()
	if !r.looked() {
		a.Notes = append(a.Notes, pipeline.Text{
			EN: "No pictures are shown: faces were not looked for, so other people could not be blurred.",
			ZH: "未展示画面：本次未处理人脸，无法对其他人进行模糊处理。",
		})
		return nil
	}
	for _, p := range a.Pictures {
		a.Marks = append(a.Marks, r.faceMarks(p.Keyframe)...)
	}
	a.References = r.references()
	return r.segments(ctx, a)
}

// pictured chooses the keyframes that are shown or kept: all that evidence points to, the others spread evenly.
func (r *run) pictured(elements []report.Element, most int) []int {
	total := len(r.clip.Frames)
	want := make([]bool, total)
	left := most
	take := func(n int) {
		if n >= 0 && n < total && !want[n] && left > 0 {
			want[n] = true
			left--
		}
	}
	for _, name := range pipeline.CheckNames {
		for _, f := range r.checks[name].Findings {
			for _, e := range f.Evidence {
				if e.Keyframe != nil {
					take(*e.Keyframe)
				}
			}
		}
	}
	for _, e := range elements {
		if e.Keyframe != nil {
			take(*e.Keyframe)
		}
	}
	if spread := left; total > most {
		for i := range spread {
			take(i * total / spread)
		}
	} else {
		for n := range total {
			take(n)
		}
	}
	var out []int
	for n, w := range want {
		if w {
			out = append(out, n)
		}
	}
	return out
}

// picture blurs other people in a copy of the keyframe and encodes it, smaller.
func (r *run) picture(n int) (report.Picture, error) {
	frame := r.clip.Frames[n].Image
	copied := frame.Clone()
	defer copied.Close()
	others := r.found.Others(n)
	if r.shown.face.People > 1 {
		others = r.found.All(n) // it cannot be told whose clip it is
	}
	if err := blur(func(r image.Rectangle) error { return media.Blur(&copied, r) }, others, n); err != nil {
		return report.Picture{}, err
	}
	p := report.Picture{Keyframe: n, W: frame.Cols(), H: frame.Rows()}
	var err error
	p.JPEG, err = small(copied)
	return p, err
}

// blur makes the people in the boxes unrecognisable, one after the other, in a picture of the frame with the given index.
func blur(one func(image.Rectangle) error, boxes []image.Rectangle, index int) error {
	for _, box := range boxes {
		if err := one(box); err != nil {
			return fmt.Errorf("blur another person in keyframe %d: %w", index, err)
		}
	}
	return nil
}

// small encodes a picture for the page.
func small(m gocv.Mat) ([]byte, error) { return media.Thumbnail(m, pictureSide, pictureQuality) }

// crowd is the part of the first person's prominence from which a second one may as well be the person that a clip is about.
const crowd = 0.3

// crowded says that nobody can tell who of several people the clip is about.
func crowded(found face.Found) bool {
	return len(found.Tracks) > 1 && found.Tracks[1].Prominence >= crowd*found.Tracks[0].Prominence
}

// Blur makes everybody but the person in front unrecognisable in all frames of a clip; everybody, where several may be that person.
func (v *Verifier) Blur(ctx context.Context, clip *media.Clip) error {
	return v.blurPeople(ctx, clip, crowded)
}

// blurPeople blurs everybody but the first person, or everybody where all says so.
func (v *Verifier) blurPeople(ctx context.Context, clip *media.Clip, all func(face.Found) bool) error {
	matcher := face.New(v.Models, face.ConfigFor(v.Models))
	found, err := matcher.Find(ctx, clip)
	if err != nil {
		return err
	}
	for n := range clip.Frames {
		if err := matcher.Sweep(ctx, clip, &found, n); err != nil {
			return err
		}
		others := found.Others(n)
		if all(found) {
			others = found.All(n)
		}
		if err := blur(clip.Frames[n].Blur, others, n); err != nil {
			return err
		}
	}
	return nil
}

// portrait cuts a face out of an enrolled photo, with half a face of room around it. Whoever else is in it is blurred.
func (v *Verifier) portrait(ctx context.Context, clip *media.Clip, box image.Rectangle) (report.Reference, error) {
	// Enrolment has refused photos in which somebody else may be meant.
	if err := v.blurPeople(ctx, clip, func(face.Found) bool { return false }); err != nil {
		return report.Reference{}, err
	}
	photo := clip.Frames[0].Image
	part := photo.Region(box.Inset(-box.Dy() / 2).Intersect(image.Rect(0, 0, photo.Cols(), photo.Rows())))
	defer part.Close()
	jpeg, err := small(part)
	return report.Reference{Kind: report.RefFace, JPEG: jpeg, W: part.Cols(), H: part.Rows()}, err
}

// shot is a reference photo as a report shows it: smaller, and without faces.
func (v *Verifier) shot(ctx context.Context, clip *media.Clip) (report.Reference, error) {
	matcher := face.New(v.Models, face.ConfigFor(v.Models))
	found, err := matcher.Find(ctx, clip)
	if err != nil {
		return report.Reference{}, fmt.Errorf("look for faces to blur: %w", err)
	}
	copied := clip.Frames[0].Image.Clone()
	defer copied.Close()
	for _, f := range found.Frames[0].Faces {
		if f.Score < sureFace {
			continue
		}
		if err := media.Blur(&copied, f.Box.Inset(-f.Box.Dy()/4).Intersect(image.Rect(0, 0, copied.Cols(), copied.Rows()))); err != nil {
			return report.Reference{}, err
		}
	}
	jpeg, err := small(copied)
	return report.Reference{JPEG: jpeg, W: copied.Cols(), H: copied.Rows()}, err
}

func (r *run) faceMarks(n int) []report.Mark {
	f := r.found.SubjectIn(n)
	if f == nil {
		return nil
	}
	good := r.checks[pipeline.CheckFace].Outcome == pipeline.Pass
	box := pipeline.Box{X: f.Box.Min.X, Y: f.Box.Min.Y, W: f.Box.Dx(), H: f.Box.Dy()}
	return []report.Mark{{Keyframe: n, Box: &box, Good: good, Label: pipeline.Text{EN: "face", ZH: "人脸"}}}
}
