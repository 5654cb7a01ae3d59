package scene

import (
	"context"

	"onsite/pipeline/media"
)

// ReadLines reads the lines of text in a frame for whoever looks for something else than a site's names. Lines that could hold wanted by their shape
// go first, and reading ends when it was read; an empty wanted reads the largest lines.
func ReadLines(ctx context.Context, m Models, frame media.Frame, wanted string, cfg Config) ([]Word, error) {
	r := reader{models: m, limit: cfg.TextLines}
	if wanted != "" {
		r.names = []signName{newSignName(wanted)}
	}
	return r.read(ctx, frame, cfg.TextSide)
}
