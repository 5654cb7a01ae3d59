package core

import (
	"context"
	"errors"

	"onsite/models"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

// Embed makes the template of an enrolled photo under the models of this core, sealed, as re-embedding before a promotion wants it. why says
// that the photo cannot be used by these models, or is not there any more; an error is one of the moment or the machine.
func (c *Core) Embed(ctx context.Context, p results.Photo) (row results.Template, why *results.Why, err error) {
	_, row, err = c.embed(ctx, p)
	var reference *verify.ReferenceError
	switch {
	case err == nil:
		return row, nil, nil
	case errors.Is(err, object.ErrNotFound), errors.Is(err, results.ErrErased):
		return row, results.Because("photo_gone", "the photo is not kept any more", "照片已不再保存"), nil
	case errors.As(err, &reference) && !unopened(ctx, err):
		found, err := fault(ctx, reference.Err)
		if err != nil {
			return row, nil, err
		}
		return row, &results.Why{Rule: found.Code, Text: found.Text}, nil
	}
	return row, nil, err
}

// EmbedModel names what makes this core's templates: the sha256 of the embedder. Where a face is found or aligned by other models than those of
// the program, what the embedder sees is another picture: their digest follows, so that such vectors are stored apart and never compared.
func (c *Core) EmbedModel() string {
	set := c.Verifier.Models
	if set == nil {
		return ""
	}
	return c.VectorName(func(t models.Task) string { return set.Ref(t).SHA256 })
}

// VectorName is EmbedModel for models with these files: of gives a task's sha256.
func (c *Core) VectorName(of func(models.Task) string) string {
	embedder, now := of(models.FaceEmbed), alignedBy(of)
	if embedder == "" || now == c.aligned {
		return embedder
	}
	return embedder + results.TemplateSuffix + results.Sum([]byte(now))
}

// aligners names the models whose answers decide what an embedder sees.
func aligners(s *models.Set) string {
	if s == nil {
		return ""
	}
	return alignedBy(func(t models.Task) string { return s.Ref(t).SHA256 })
}

func alignedBy(of func(models.Task) string) string {
	return of(models.FaceDetect) + " " + of(models.FaceLandmark)
}
