package scene

import (
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"
)

const (
	descriptorSize = 128 // SIFT: 4 x 4 cells of 8 directions

	// contrastThreshold is below OpenCV's 0.04, so that dark and hazy frames keep keypoints; the number of keypoints is bounded anyway.
	contrastThreshold = 0.02
)

// keypoints are the SIFT keypoints of one grey picture.
type keypoints struct {
	at   []gocv.Point2f // pixels of the picture that the caller names
	size []float32      // diameter in the same pixels
	turn []float32      // direction, degrees clockwise
	desc gocv.Mat       // len(at) x 128, float32, RootSIFT (L1-normalised, square root: L2 norm 1); empty when there are none
}

func (k *keypoints) close() { _ = k.desc.Close() }

// detect finds at most limit keypoints, the strongest first as SIFT ranks them, in a grey picture (H x W x 1, uint8). at and size are in
// pixels of that picture multiplied by scale. The result must be closed.
//
// RootSIFT: Arandjelovic and Zisserman, "Three things everyone should know to improve object retrieval", 2012.
func detect(grey gocv.Mat, limit int, scale float64) (keypoints, error) {
	contrast := contrastThreshold
	sift := gocv.NewSIFTWithParams(&limit, nil, &contrast, nil, nil)
	defer sift.Close()
	mask := gocv.NewMat()
	defer mask.Close()
	found, desc := sift.DetectAndCompute(grey, mask)
	// Several keypoints can tie for the last place; SIFT then returns more than it was asked for.
	if len(found) > limit {
		found = found[:limit]
		cut := desc.RowRange(0, limit)
		short := cut.Clone()
		_ = cut.Close()
		_ = desc.Close()
		desc = short
	}
	k := keypoints{at: make([]gocv.Point2f, len(found)), size: make([]float32, len(found)), turn: make([]float32, len(found)), desc: desc}
	for i, p := range found {
		k.at[i] = gocv.Point2f{X: float32(p.X * scale), Y: float32(p.Y * scale)}
		k.size[i], k.turn[i] = float32(p.Size*scale), float32(p.Angle)
	}
	if len(found) == 0 {
		return k, nil
	}
	data, err := desc.DataPtrFloat32()
	if err != nil {
		k.close()
		return keypoints{}, fmt.Errorf("read %d descriptors: %w", len(found), err)
	}
	if len(data) != len(found)*descriptorSize {
		k.close()
		return keypoints{}, fmt.Errorf("read %d descriptors: got %d numbers, want %d each", len(found), len(data), descriptorSize)
	}
	for i := 0; i < len(data); i += descriptorSize {
		rootNormalise(data[i : i+descriptorSize])
	}
	return k, nil
}

// rootNormalise turns a SIFT descriptor into a RootSIFT one, in place.
func rootNormalise(d []float32) {
	var sum float32
	for _, v := range d {
		sum += v
	}
	if sum <= 0 {
		return
	}
	for i, v := range d {
		d[i] = float32(math.Sqrt(float64(v / sum)))
	}
}

// greyAt gives the picture (H x W x 3 BGR, or grey) as grey with a long side of at most side pixels, and the factor from its pixels back
// to those of m. Smaller pictures are not enlarged. The result must be closed.
func greyAt(m gocv.Mat, side int) (gocv.Mat, float64, error) {
	w, h := m.Cols(), m.Rows()
	scale := 1.0
	small := m
	if long := max(w, h); long > side {
		scale = float64(long) / float64(side)
		// In one step: points of a picture that was halved first are others, and what is hidden then looks as if it differed.
		out := gocv.NewMat()
		size := image.Pt(max(1, int(math.Round(float64(w)/scale))), max(1, int(math.Round(float64(h)/scale))))
		if err := gocv.Resize(m, &out, size, 0, 0, gocv.InterpolationArea); err != nil {
			_ = out.Close()
			return gocv.Mat{}, 0, fmt.Errorf("shrink a %d x %d picture to %d: %w", w, h, side, err)
		}
		defer out.Close()
		small = out
	}
	grey := gocv.NewMat()
	if small.Channels() == 1 {
		if err := small.CopyTo(&grey); err != nil {
			_ = grey.Close()
			return gocv.Mat{}, 0, fmt.Errorf("copy a grey picture: %w", err)
		}
		return grey, scale, nil
	}
	if err := gocv.CvtColor(small, &grey, gocv.ColorBGRToGray); err != nil {
		_ = grey.Close()
		return gocv.Mat{}, 0, fmt.Errorf("turn a %d x %d picture grey: %w", w, h, err)
	}
	return grey, scale, nil
}
