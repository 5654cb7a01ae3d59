package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/vault"
)

// NewPhoto is a photo that is to be enrolled, under an id that it has already.
type NewPhoto struct {
	ID    string
	Media pipeline.Media
}

// Looked is what was seen in new photos.
type Looked struct {
	Photos    []PhotoFinding     // one per new photo, in order
	Templates []results.Template // sealed, one per new photo, in order; only when all photos are good
}

// PhotoFinding is what is to be said about one photo.
type PhotoFinding struct {
	// Code is "" for a good photo; else not_a_photo, no_face, several_people, other_person, too_many_photos, a fault of the face (small,
	// turned, blurred, dark, bright, misaligned), unreadable, or the rule of a refused file (media_damaged, too_many_pixels, ...).
	Code    string
	Text    pipeline.Text   // what is wrong and what to do
	Quality json.RawMessage // what was measured, see Quality; nil where there is no usable face
}

// Quality is what enrolment measures of a face. It holds no vector.
type Quality struct {
	SizePX     int     `json:"size_px"`     // height of the face
	Sharpness  float64 `json:"sharpness"`   // variance of the Laplacian
	Brightness float64 `json:"brightness"`  // mean grey, 0..255
	Contrast   float64 `json:"contrast"`    // standard deviation of the grey
	ResidualPX float64 `json:"residual_px"` // how far eyes, nose and mouth are from where they should be, of 112
	Weight     float64 `json:"weight"`      // 0..1: how much the face counts
}

// Enroll looks at photos that are to be added to those that a subject has. Each must show one good face from the front; all must show one
// person, and those that are enrolled already are believed. The caller has seen to the consent: without one it must not call. Errors are
// those of the machine, never of a photo.
func (c *Core) Enroll(ctx context.Context, tenant, subject string, add []NewPhoto, enrolled []results.Photo) (Looked, error) {
	out := Looked{Photos: make([]PhotoFinding, len(add))}
	fresh := make([]face.Template, 0, len(add))
	at := make([]int, 0, len(add)) // of each fresh template in add
	for i, p := range add {
		if len(enrolled)+i >= verify.MaxFaces {
			out.Photos[i] = tooMany
			continue
		}
		t, err := c.Verifier.Template(ctx, p.Media)
		if err != nil {
			if out.Photos[i], err = fault(ctx, err); err != nil {
				return Looked{}, fmt.Errorf("look at photo %d of %d: %w", i+1, len(add), err)
			}
			continue
		}
		if out.Photos[i].Quality, err = json.Marshal(qualityOf(t.Quality)); err != nil {
			return Looked{}, err
		}
		fresh, at = append(fresh, t), append(at, i)
	}
	if err := c.agree(ctx, tenant, subject, enrolled, fresh, at, &out); err != nil {
		return Looked{}, err
	}
	if slices.ContainsFunc(out.Photos, func(f PhotoFinding) bool { return f.Code != "" }) {
		return out, nil
	}
	for i, t := range fresh {
		row, err := c.seal(ctx, tenant, subject, add[at[i]].ID, t)
		if err != nil {
			return Looked{}, err
		}
		out.Templates = append(out.Templates, row)
	}
	return out, nil
}

// agree notes which new photos show somebody else.
func (c *Core) agree(ctx context.Context, tenant, subject string, enrolled []results.Photo, fresh []face.Template, at []int, out *Looked) error {
	var known []face.Template
	if len(enrolled) > 0 && len(fresh) > 0 {
		var err error
		if known, err = c.templates(ctx, tenant, subject, enrolled); err != nil {
			return err
		}
	}
	others, err := face.New(c.Verifier.Models, face.ConfigFor(c.Verifier.Models)).Agree(known, fresh)
	if err != nil {
		return err
	}
	for i, e := range others {
		if e != nil {
			out.Photos[at[i]].Code, out.Photos[at[i]].Text = "other_person", e.Text
		}
	}
	return nil
}

var tooMany = PhotoFinding{Code: "too_many_photos", Text: pipeline.Text{
	EN: fmt.Sprintf("a person has at most %d enrolled photos; remove one first, or leave this one out", verify.MaxFaces),
	ZH: fmt.Sprintf("每人最多登记 %d 张照片；请先删除一张，或不提交此照片", verify.MaxFaces),
}}

// fault says in words why a photo cannot be enrolled; any other error is the machine's and is given back.
func fault(ctx context.Context, err error) (PhotoFinding, error) {
	var photo *face.PhotoError
	var refusal *media.Refusal
	switch {
	case unopened(ctx, err):
		return PhotoFinding{}, err
	case errors.As(err, &photo):
		return PhotoFinding{Code: photoCode(photo), Text: photo.Text}, nil
	case errors.As(err, &refusal):
		return PhotoFinding{Code: refusal.Rule, Text: refusal.Text}, nil
	case errors.Is(err, media.ErrUnreadable):
		return PhotoFinding{Code: "unreadable", Text: pipeline.Text{EN: "the photo cannot be read; send it again", ZH: "无法读取该照片；请重新发送"}}, nil
	}
	return PhotoFinding{}, err
}

func photoCode(e *face.PhotoError) string {
	for kind, code := range map[error]string{
		face.ErrNotAPhoto: "not_a_photo", face.ErrNoFace: "no_face", face.ErrSeveralFaces: "several_people", face.ErrOtherPerson: "other_person",
	} {
		if errors.Is(e, kind) {
			return code
		}
	}
	return string(e.Fault)
}

func qualityOf(q face.Quality) Quality {
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	return Quality{
		SizePX: q.Size, Sharpness: round(q.Sharpness), Brightness: round(q.Brightness), Contrast: round(q.Contrast), ResidualPX: round(q.Residual), Weight: round(q.Weight),
	}
}

// LookAlike is another subject whose enrolled face is very like.
type LookAlike struct {
	Subject    string
	Similarity float64 // as clips are compared, -1..1
}

// maxAlike bounds how many are told: more are no help to a person who looks at them.
const maxAlike = 10

// LookAlike finds other subjects of the tenant whose enrolled face would pass as that of these templates, most alike first. It is a hint
// for a person: siblings are alike, too.
func (c *Core) LookAlike(ctx context.Context, tenant, subject string, templates []results.Template) ([]LookAlike, error) {
	if len(templates) == 0 {
		return nil, nil
	}
	config := face.ConfigFor(c.Verifier.Models)
	matcher := face.New(c.Verifier.Models, config)
	var own []face.Template
	for _, row := range templates {
		t, err := c.open(ctx, row)
		if err != nil {
			return nil, err
		}
		own = append(own, t)
	}
	best := map[string]float64{}
	err := c.Store.EachTemplate(ctx, tenant, c.EmbedModel(), func(row results.Template) error {
		if row.Subject == subject {
			return nil
		}
		t, err := c.open(ctx, row)
		switch {
		case errors.Is(err, results.ErrErased), errors.Is(err, face.ErrTemplate), errors.Is(err, vault.ErrForged):
			return nil // nobody that could be compared
		case err != nil:
			return err
		}
		score, err := matcher.Resembles(own, t)
		if old, ok := best[row.Subject]; err == nil && score >= config.Threshold && (!ok || score > old) {
			best[row.Subject] = score
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for other subjects with the same face: %w", err)
	}
	var out []LookAlike
	for id, score := range best {
		out = append(out, LookAlike{id, score})
	}
	slices.SortFunc(out, func(a, b LookAlike) int {
		return cmp.Or(-cmp.Compare(a.Similarity, b.Similarity), cmp.Compare(a.Subject, b.Subject))
	})
	return out[:min(len(out), maxAlike)], nil
}

// TrySite says what every reference and every name of a site makes of a photo. Nothing is kept. A photo that cannot be read is a *media.Refusal.
func (c *Core) TrySite(ctx context.Context, site *pipeline.Site, photo pipeline.Media, at time.Time) (scene.Trial, error) {
	clip, err := c.Verifier.Decode(ctx, photo)
	if err != nil {
		return scene.Trial{}, err
	}
	defer clip.Close()
	p, err := c.Verifier.Prepare(ctx, site, false)
	if err != nil {
		return scene.Trial{}, err
	}
	defer p.Close()
	return scene.Try(ctx, c.Verifier.Models, clip, p.Site, at, scene.DefaultConfig())
}

// CheckSite decodes a site's references and says what is wrong with them: an error that unwraps to *scene.SiteError, which names each.
// Other errors are those of the machine. Nothing is kept; what the site's rooms look like is given back, nil without any.
func (c *Core) CheckSite(ctx context.Context, site *pipeline.Site) (*pipeline.RoomVectors, error) {
	if len(site.References) == 0 {
		return nil, nil
	}
	p, err := c.Verifier.Prepare(ctx, site, false)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.RoomVectors(ctx, c.Verifier.Models)
}
