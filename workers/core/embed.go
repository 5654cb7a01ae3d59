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

// EmbedModel is the sha256 of the model that makes this core's templates.
func (c *Core) EmbedModel() string { return c.Verifier.Models.Ref(models.FaceEmbed).SHA256 }
