package bench

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
)

// MaxPhotoMS is what a photo may cost, CPU milliseconds.
const MaxPhotoMS = 400

// photoLong is the longer side in pixels of the photos that are measured: with 16:9 they have 9 megapixels, about what phones take.
const photoLong = 4000

// PhotoCost is what a photo of the same person at the same site costs under the policy for photos.
type PhotoCost struct {
	CPUMS  float64                               `json:"cpu_ms"` // mean over the photos of the median of their runs
	Pixels int                                   `json:"pixels"` // mean over the photos
	Stages map[string]float64                    `json:"stages"`
	Checks map[pipeline.CheckName]map[string]int `json:"checks"`
}

// photos verifies one frame of each clip, as large as a phone's photo.
func photos(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared) (*PhotoCost, error) {
	rules, err := policy.Default("photo")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "onsite-bench")
	if err != nil {
		return nil, fmt.Errorf("bench: make a folder for photos: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder in the temporary one; the system clears it if we cannot
	p := PhotoCost{Stages: map[string]float64{}, Checks: map[pipeline.CheckName]map[string]int{}}
	sums, stages := newSeries(len(jobs)), map[verify.Stage]series{}
	for i, j := range jobs {
		path := filepath.Join(dir, fmt.Sprintf("%d.jpg", i))
		n, err := photoOf(ctx, v, j.job.Media, path)
		if err != nil {
			return nil, fmt.Errorf("bench: a photo from %s: %w", j.job.Media.Name(), err)
		}
		p.Pixels += n
		job := j.job
		job.Media, job.Policy, job.InTurn = pipeline.File(path), rules, true
		for run := range o.Runs {
			out, err := v.Run(ctx, job)
			if err != nil {
				return nil, fmt.Errorf("bench: verify a photo from %s: %w", j.job.Media.Name(), err)
			}
			o.ran.one()
			sums.add(i, addUp(out.Costs, stages, i, len(jobs)))
			if run == 0 {
				count(p.Checks, out.Verdict)
			}
		}
	}
	if len(jobs) > 0 {
		p.Pixels /= len(jobs)
	}
	p.CPUMS = sums.typical()
	for s, m := range stages {
		p.Stages[string(s)] = m.typical()
	}
	return &p, nil
}

// photoOf writes a frame from the middle of a clip as a large JPEG and gives its pixels.
func photoOf(ctx context.Context, v *verify.Verifier, m pipeline.Media, path string) (int, error) {
	clip, err := v.Decode(ctx, m)
	if err != nil {
		return 0, err
	}
	defer clip.Close()
	frame := clip.Frames[len(clip.Frames)/2].Image
	large := gocv.NewMat()
	defer large.Close()
	size := photoSize(frame.Cols(), frame.Rows())
	if err := gocv.Resize(frame, &large, size, 0, 0, gocv.InterpolationCubic); err != nil {
		return 0, err
	}
	raw, err := media.EncodeJPEG(large, 92)
	if err != nil {
		return 0, err
	}
	return size.X * size.Y, os.WriteFile(path, raw, 0o600)
}

// photoSize is the size of a photo with the shape of a frame.
func photoSize(w, h int) image.Point {
	if w >= h {
		return image.Pt(photoLong, max(1, h*photoLong/w))
	}
	return image.Pt(max(1, w*photoLong/h), photoLong)
}
