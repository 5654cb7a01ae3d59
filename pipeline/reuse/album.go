package reuse

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"time"

	"gocv.io/x/gocv"

	"onsite/pipeline"
)

// albumSide is the long side of the pictures that a report shows, in pixels.
const albumSide = 640

// albumQuality is their JPEG quality.
const albumQuality = 85

type albumStill struct {
	pts  time.Duration
	jpeg []byte
}

// Picture gives a JPEG (long side 640 pixels at most, display orientation) of the still nearest to the time. Nobody in it is blurred:
// whoever shows it must do that. The stills of the last clip asked for are kept.
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
	var out []albumStill
	for _, fr := range clip.Frames {
		b, err := encodeJPEG(fr.Image)
		if err != nil {
			return nil, fmt.Errorf("encode still %d: %w", fr.Index, err)
		}
		out = append(out, albumStill{fr.PTS, b})
	}
	return out, nil
}

func encodeJPEG(m gocv.Mat) ([]byte, error) {
	small := gocv.NewMat()
	defer small.Close()
	s := min(1, float64(albumSide)/float64(max(m.Cols(), m.Rows())))
	if err := gocv.Resize(m, &small, image.Pt(max(1, int(float64(m.Cols())*s)), max(1, int(float64(m.Rows())*s))), 0, 0, gocv.InterpolationArea); err != nil {
		return nil, err
	}
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, small, []int{gocv.IMWriteJpegQuality, albumQuality})
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	return bytes.Clone(buf.GetBytes()), nil
}
