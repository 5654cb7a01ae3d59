package core

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"onsite/models"
	"onsite/pipeline/face"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/vault"
)

// subject makes a job's person ready: without consent, or where no face is looked at, only the sums of the enrolled photos, which say
// nothing of a face. nil: nobody of that id.
// With pinned inputs the photos are those of their revision, the consent is that of then, and nothing is stored.
func (c *Core) subject(ctx context.Context, tenant, id string, faces bool, pinned *past) (s *verify.Subject, consent bool, err error) {
	row, err := c.Store.Subject(ctx, tenant, id)
	switch {
	case errors.Is(err, results.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read the subject: %w", err)
	case !row.ErasedAt.IsZero():
		return nil, false, fmt.Errorf("read the subject: %w", results.ErrErased)
	}
	if pinned != nil {
		row.Rev, consent = pinned.EnrolmentRev, pinned.look
	} else if consent, err = c.Store.Consented(ctx, tenant, id, results.PurposeFace); err != nil {
		return nil, false, fmt.Errorf("look for the subject's consent: %w", err)
	}
	s = &verify.Subject{Revision: row.Rev, Sums: map[string]string{}}
	if row.Rev == 0 {
		return s, consent, nil
	}
	photos, err := c.Store.Photos(ctx, tenant, id, row.Rev)
	if err != nil {
		return nil, false, fmt.Errorf("list the enrolled photos: %w", err)
	}
	for _, p := range photos {
		s.Sums[p.SHA256] = p.Name
	}
	if !consent || !faces || len(photos) == 0 {
		return s, consent, nil
	}
	templates, made, err := c.gather(ctx, tenant, id, photos)
	if err == nil && (pinned == nil || pinned.keep) {
		err = c.keep(ctx, made)
	}
	if err != nil {
		return nil, false, err
	}
	ready, err := c.Verifier.SubjectFrom(row.Rev, templates)
	if err != nil {
		return nil, false, err
	}
	ready.Sums = s.Sums
	return ready, true, nil
}

// templates gives the templates of enrolled photos as gather does, and keeps those that were made.
func (c *Core) templates(ctx context.Context, tenant, subject string, photos []results.Photo) ([]face.Template, error) {
	out, made, err := c.gather(ctx, tenant, subject, photos)
	if err != nil {
		return nil, err
	}
	return out, c.keep(ctx, made)
}

func (c *Core) keep(ctx context.Context, made []results.Template) error {
	if len(made) == 0 {
		return nil
	}
	if err := c.Store.PutTemplates(ctx, made); err != nil {
		return fmt.Errorf("store templates of the enrolled photos: %w", err)
	}
	return nil
}

// gather gives the templates of enrolled photos under the model that runs here. One that is missing, because the model was exchanged, or
// that cannot be read, is made again from its photo; those are in made, too, sealed. A photo that this model cannot use is left out; when that
// is all of them it is an error.
func (c *Core) gather(ctx context.Context, tenant, subject string, photos []results.Photo) (out []face.Template, made []results.Template, err error) {
	ids := make([]string, len(photos))
	for i, p := range photos {
		ids[i] = p.ID
	}
	rows, err := c.Store.Templates(ctx, tenant, subject, ids, c.EmbedModel())
	if err != nil {
		return nil, nil, fmt.Errorf("read the templates of the enrolled photos: %w", err)
	}
	stored := map[string]results.Template{}
	for _, r := range rows {
		stored[r.Photo] = r
	}
	var unusable error
	for _, p := range photos {
		if row, ok := stored[p.ID]; ok {
			t, err := c.open(ctx, row)
			if err == nil {
				out = append(out, t)
				continue
			}
			if !errors.Is(err, face.ErrTemplate) && !errors.Is(err, vault.ErrForged) {
				return nil, nil, err
			}
			c.Logger.Warn("a stored template cannot be read and is made again", "photo", p.ID, "error", err)
		}
		t, row, err := c.embed(ctx, p)
		var reference *verify.ReferenceError
		switch {
		case err == nil:
			out, made = append(out, t), append(made, row)
		case errors.As(err, &reference) && !unopened(ctx, err):
			c.Logger.Warn("an enrolled photo cannot be used by the model that runs here", "photo", p.ID)
			unusable = err
		default:
			return nil, nil, err
		}
	}
	if len(out) == 0 {
		return nil, nil, unusable
	}
	return out, made, nil
}

// embed makes the template of an enrolled photo from the photo itself.
func (c *Core) embed(ctx context.Context, p results.Photo) (face.Template, results.Template, error) {
	t, err := c.Verifier.Template(ctx, sealed{c.Vault, p.Key, p.Name})
	if err != nil {
		return face.Template{}, results.Template{}, fmt.Errorf("embed enrolled photo %s: %w", p.ID, err)
	}
	row, err := c.seal(ctx, p.Tenant, p.Subject, p.ID, t)
	return t, row, err
}

// TemplateRecord names the sealed record of a photo's template: a template of one photo or model opens as no other.
func TemplateRecord(photo, model string) string { return "template." + photo + "." + model }

// seal makes the stored form of a template.
func (c *Core) seal(ctx context.Context, tenant, subject, photo string, t face.Template) (results.Template, error) {
	if made := c.Verifier.Models.Ref(models.FaceEmbed).SHA256; t.Vector.Model != made {
		return results.Template{}, fmt.Errorf("seal the template of photo %s: it is of model %.12s, and %.12s runs here", photo, t.Vector.Model, made)
	}
	plain, err := t.MarshalBinary()
	if err != nil {
		return results.Template{}, err
	}
	defer clear(plain)
	row := results.Template{Photo: photo, Tenant: tenant, Subject: subject, ModelSHA256: c.EmbedModel()}
	if row.Sealed, err = c.Vault.SealBytes(ctx, tenant, subject, TemplateRecord(photo, row.ModelSHA256), plain); err != nil {
		return results.Template{}, fmt.Errorf("seal the template of photo %s: %w", photo, err)
	}
	return row, nil
}

// open reads the stored form of a template.
func (c *Core) open(ctx context.Context, row results.Template) (face.Template, error) {
	plain, err := c.Vault.OpenBytes(ctx, row.Tenant, row.Subject, TemplateRecord(row.Photo, row.ModelSHA256), row.Sealed)
	if err != nil {
		return face.Template{}, fmt.Errorf("open the template of photo %s: %w", row.Photo, err)
	}
	defer clear(plain)
	var t face.Template
	if err := t.UnmarshalBinary(plain); err != nil {
		return face.Template{}, fmt.Errorf("read the template of photo %s: %w", row.Photo, err)
	}
	if embedder, _, _ := strings.Cut(row.ModelSHA256, results.TemplateSuffix); t.Vector.Model != embedder {
		return face.Template{}, fmt.Errorf("read the template of photo %s: %w: it is of another model than its row says", row.Photo, face.ErrTemplate)
	}
	return t, nil
}
