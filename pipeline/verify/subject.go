package verify

import (
	"context"
	"errors"
	"fmt"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	"onsite/pipeline/report"
	"onsite/pipeline/scene"
)

// Subject is a person made ready for matching.
type Subject struct {
	Templates []face.Template
	Photos    []report.Reference // what a report shows of the enrolled photos
	Revision  int
	// Sums names the enrolled photos by the sha256 of their bytes, with and without consent: handed in as new they are no evidence.
	Sums map[string]string
}

func (s *Subject) add(t face.Template) {
	s.Templates = append(s.Templates, t)
	s.know(t.Name, t.SHA256)
}

func (s *Subject) know(name, sum string) {
	if s.Sums == nil {
		s.Sums = map[string]string{}
	}
	if sum != "" {
		s.Sums[sum] = name
	}
}

// SubjectFrom makes a person ready from stored templates. Templates of another model than the one that runs here are refused with a
// *face.OtherModelError: they must be made again from the photos.
func (v *Verifier) SubjectFrom(revision int, templates []face.Template) (*Subject, error) {
	want := v.Models.Ref(models.FaceEmbed).SHA256
	s := &Subject{Revision: revision}
	for _, t := range templates {
		if t.Vector.Model != want {
			return nil, &face.OtherModelError{Name: t.Name, Have: t.Vector.Model, Want: want}
		}
		s.add(t)
	}
	return s, nil
}

// Template makes the template of one photo. A photo at fault is a *ReferenceError; other errors are those of the machine.
func (v *Verifier) Template(ctx context.Context, photo pipeline.Media) (face.Template, error) {
	s := &Subject{}
	if err := v.enroll(ctx, face.New(v.Models, face.ConfigFor(v.Models)), photo, false, s); err != nil {
		return face.Template{}, atFault(photo.Name(), err)
	}
	return s.Templates[0], nil
}

// MaxFaces is how many enrolled photos a person may have.
const MaxFaces = 5

// Enroll decodes one to five photos of a person and makes the templates that clips are matched against. A photo at fault is a
// *ReferenceError; other errors are those of the machine. With pictures, reports can show the enrolled faces.
func (v *Verifier) Enroll(ctx context.Context, photos []pipeline.Media, pictures bool) (*Subject, error) {
	if len(photos) < 1 || len(photos) > MaxFaces {
		return nil, fmt.Errorf("enroll a person: %d photos were given, a person has one to %d", len(photos), MaxFaces)
	}
	matcher := face.New(v.Models, face.ConfigFor(v.Models))
	s := &Subject{}
	for _, photo := range photos {
		if err := v.enroll(ctx, matcher, photo, pictures, s); err != nil {
			return nil, atFault(photo.Name(), err)
		}
	}
	if err := matcher.SamePerson(s.Templates); err != nil {
		return nil, atFault("", err)
	}
	return s, nil
}

func (v *Verifier) enroll(ctx context.Context, matcher *face.Matcher, photo pipeline.Media, pictures bool, into *Subject) error {
	clip, err := v.Decode(ctx, photo)
	if err != nil {
		return err
	}
	defer clip.Close()
	t, err := matcher.Enroll(ctx, clip, photo.Name())
	if err != nil {
		return err
	}
	into.add(t)
	if !pictures {
		return nil
	}
	picture, err := v.portrait(ctx, clip, t.Box)
	if err != nil {
		return err
	}
	picture.Name = photo.Name()
	into.Photos = append(into.Photos, picture)
	return nil
}

// atFault tells errors of a reference photo or a site file from those of the machine, which pass as they are.
func atFault(name string, err error) error {
	var refusal *media.Refusal
	var photo *face.PhotoError
	var site *scene.SiteError
	switch {
	case errors.As(err, &photo):
		name = photo.Photo
	case errors.As(err, &refusal), errors.As(err, &site), errors.Is(err, media.ErrUnreadable):
	default:
		return err
	}
	return &ReferenceError{Name: name, Err: err}
}
