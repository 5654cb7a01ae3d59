package reuse

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// albumSide is the long side of the pictures that a report shows, in pixels.
const albumSide = 640

// albumQuality is their JPEG quality.
const albumQuality = 85

type albumStill struct {
	pts  time.Duration
	jpeg []byte
}

// Picture gives a JPEG (long side 640 pixels at most, display orientation) of the still nearest to the time. Other people
// are blurred by FolderOptions.Blur. The stills of the last clip asked for are kept.
func (f *Folder) Picture(ctx context.Context, job string, atMS int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.album != job || len(f.stills) == 0 {
		if !slices.ContainsFunc(f.entries, func(e entry) bool { return e.name == job }) {
			return nil, fmt.Errorf("picture of earlier footage %q: there is none of that name", job)
		}
		stills, err := f.develop(ctx, job)
		if err != nil {
			return nil, fmt.Errorf("picture of earlier footage %s: %w", job, err)
		}
		f.album, f.stills = job, stills
	}
	return nearest(f.stills, time.Duration(atMS)*time.Millisecond), nil
}

// develop decodes a clip and encodes its stills.
func (f *Folder) develop(ctx context.Context, job string) ([]albumStill, error) {
	clip, err := f.options.Decode(ctx, pipeline.File(filepath.Join(f.options.Dir, job)))
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	defer clip.Close()
	if len(clip.Frames) == 0 {
		return nil, fmt.Errorf("the clip has no stills")
	}
	if f.options.Blur != nil {
		if err := f.options.Blur(ctx, clip); err != nil {
			return nil, fmt.Errorf("blur other people: %w", err)
		}
	}
	var out []albumStill
	for _, fr := range clip.Frames {
		b, err := media.Thumbnail(fr.Image, albumSide, albumQuality)
		if err != nil {
			return nil, fmt.Errorf("encode still %d: %w", fr.Index, err)
		}
		out = append(out, albumStill{fr.PTS, b})
	}
	return out, nil
}
