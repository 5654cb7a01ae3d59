package scene

import (
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"

	"onsite/pipeline/media"
)

// How frames are picked. A clip shows the place from few directions: the picks are the sharp frames that differ most.
const (
	pickSide = 320 // sharpness is judged at this long side, so that noise and codec blocks count little
	thumb    = 24  // frames are compared as thumb x thumb grey pictures
	// sharpEnough is the share of the best frame's sharpness that another one needs: half as sharp loses a third of the keypoints.
	sharpEnough = 0.35
	// otherView is the mean difference (grey levels, after brightness is taken out) from which two frames count as different views. A
	// person who talks close to a fixed camera stays below it (eval/video: at most 4 in phone clips, 17 in face_franck_b), a camera that
	// moves does not (25 in face_lp_d12, 34 in face_lp_s18).
	otherView = 18.0
)

// look is a frame with what picking needs.
type look struct {
	frame media.Frame
	sharp float64
	thumb []float64
}

// pick gives at most n frames: first the sharpest, then each time the one that differs most from those picked, as long as it is sharp and
// shows another view. Ties go to the earlier frame.
func pick(frames []media.Frame, n int) ([]media.Frame, error) {
	looks := make([]look, 0, len(frames))
	best := -1
	for _, f := range frames {
		l, err := lookAt(f)
		if err != nil {
			return nil, fmt.Errorf("judge frame %d: %w", f.Index, err)
		}
		looks = append(looks, l)
		if best < 0 || l.sharp > looks[best].sharp {
			best = len(looks) - 1
		}
	}
	if best < 0 || n < 1 {
		return nil, nil
	}
	floor := looks[best].sharp * sharpEnough
	out := []media.Frame{looks[best].frame}
	nearest := make([]float64, len(looks)) // to any pick
	for i := range nearest {
		nearest[i] = math.Inf(1)
	}
	for last := best; len(out) < n; out = append(out, looks[last].frame) {
		next, far := -1, otherView
		for i, l := range looks {
			nearest[i] = math.Min(nearest[i], difference(l.thumb, looks[last].thumb))
			if l.sharp >= floor && nearest[i] > far {
				next, far = i, nearest[i]
			}
		}
		if next < 0 {
			break
		}
		last = next
	}
	return out, nil
}

// lookAt measures one frame: sharpness is the variance of the Laplacian.
func lookAt(f media.Frame) (look, error) {
	w, h := f.Image.Cols(), f.Image.Rows()
	if long := max(w, h); long > pickSide {
		w, h = max(1, (w*pickSide+long/2)/long), max(1, (h*pickSide+long/2)/long)
	}
	from := f.Image
	if half, ok := f.Half(); ok && from.Cols() >= 2*w && from.Rows() >= 2*h {
		from = half // where Stretched begins, too
	}
	shrunk, err := media.Stretched(from, w, h)
	if err != nil {
		return look{}, err
	}
	defer shrunk.Close()
	grey, err := media.Gray(shrunk)
	if err != nil {
		return look{}, err
	}
	defer grey.Close()
	edges, mean, deviation, small := gocv.NewMat(), gocv.NewMat(), gocv.NewMat(), gocv.NewMat()
	defer edges.Close()
	defer mean.Close()
	defer deviation.Close()
	defer small.Close()
	if err := gocv.Laplacian(grey, &edges, gocv.MatTypeCV16S, 1, 1, 0, gocv.BorderDefault); err != nil {
		return look{}, err
	}
	if err := gocv.MeanStdDev(edges, &mean, &deviation); err != nil {
		return look{}, err
	}
	if err := gocv.Resize(grey, &small, image.Pt(thumb, thumb), 0, 0, gocv.InterpolationArea); err != nil {
		return look{}, err
	}
	sd := deviation.GetDoubleAt(0, 0)
	return look{frame: f, sharp: sd * sd, thumb: centred(small.ToBytes())}, nil
}

// centred takes the mean brightness out.
func centred(pix []byte) []float64 {
	var sum float64
	out := make([]float64, len(pix))
	for i, v := range pix {
		out[i] = float64(v)
		sum += out[i]
	}
	for i := range out {
		out[i] -= sum / float64(len(out))
	}
	return out
}

// difference is the mean absolute difference of two thumbnails.
func difference(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += math.Abs(v - b[i])
	}
	return sum / float64(len(a))
}
