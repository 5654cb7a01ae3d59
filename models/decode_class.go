package models

import (
	"context"
	"math"
)

// LiveScore is the probability (0..1) that a face is a live person and not a print or a screen, from a square crop of 2.0 x the face
// box at InputSize(Liveness).
func (s *Set) LiveScore(ctx context.Context, img Image) (float32, error) {
	return s.probability(ctx, Liveness, "live_index", img)
}

// EyeOpen is the probability (0..1) that an eye is open, from a square crop of 1.6 x the eye's width at InputSize(EyeState), grey or
// BGR.
func (s *Set) EyeOpen(ctx context.Context, img Image) (float32, error) {
	return s.probability(ctx, EyeState, "open_index", img)
}

// probability is the softmax of one class.
func (s *Set) probability(ctx context.Context, task Task, index string, img Image) (float32, error) {
	m, err := s.model(task)
	if err != nil {
		return 0, err
	}
	var p float32
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		p = float32(softmax(out[0])[int(m.man.Decoder.Params[index])])
		return finite(task, p)
	})
	return p, err
}

// HeadPose estimates the direction of a head in degrees from a face crop at InputSize(HeadPose).
func (s *Set) HeadPose(ctx context.Context, img Image) (Pose, error) {
	m, err := s.model(HeadPose)
	if err != nil {
		return Pose{}, err
	}
	var pose Pose
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		p := m.man.Decoder.Params
		angle := func(bins []float32) float32 {
			return float32(expected(softmax(bins))*p["degrees_per_bin"] + p["offset"])
		}
		pose = Pose{Yaw: angle(out[0]), Pitch: angle(out[1]), Roll: angle(out[2])}
		return finite(HeadPose, pose.Yaw, pose.Pitch, pose.Roll)
	})
	return pose, err
}

// softmax turns logits into probabilities.
func softmax(v []float32) []float64 {
	top := math.Inf(-1)
	for _, x := range v {
		top = max(top, float64(x))
	}
	out := make([]float64, len(v))
	sum := 0.0
	for i, x := range v {
		out[i] = math.Exp(float64(x) - top)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// expected is the mean index under the probabilities p: the reading of Hopenet's binned angles (Ruiz et al. 2018).
func expected(p []float64) float64 {
	mean := 0.0
	for i, v := range p {
		mean += float64(i) * v
	}
	return mean
}

// finite refuses answers that are no numbers: a broken model must not look like a low score.
func finite(task Task, values ...float32) error {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return &OutputError{Task: task}
		}
	}
	return nil
}
