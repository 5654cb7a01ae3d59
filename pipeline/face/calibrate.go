package face

import (
	"context"
	"fmt"
	"math"

	"onsite/pipeline"
)

// CalibrateOptions say at which error rate an embedder is calibrated.
type CalibrateOptions struct {
	FMR      float64 // wanted false match rate, 1e-6 to 0.1
	Config   Config  // all but its thresholds is used
	Progress func(done, total int)
}

// Thresholds is an embedder calibrated on a folder of photos.
type Thresholds struct {
	Images     int            `json:"images"`
	Identities int            `json:"identities"`
	NoFace     int            `json:"no_face"`
	Refused    []RefusedImage `json:"refused"`
	// Accept is chosen on one half of the identities and measured on the other; Reject, likewise, at RejectFactor times the rate.
	Accept Calibration `json:"accept"`
	Reject Calibration `json:"reject"`
	// Supports is the lowest false match rate that so many pairs of different people can speak of (the rule of three: if none of n pairs
	// matches, the rate is below 3/n with 95 % confidence). A claim below it is a guess.
	Supports float64         `json:"supports_fmr"`
	Warnings []pipeline.Text `json:"warnings"`
}

// RejectFactor is how many times as many different pairs may lie above the reject threshold as above the accept threshold: between the two a
// person looks.
const RejectFactor = 5

// LeastFMR and MostFMR bound the false match rates that can be asked for.
const (
	LeastFMR = 1e-6
	MostFMR  = 0.1
)

// leastHalf is how many identities each half must have.
const leastHalf = 3

// TooFewError says that photos are of too few people to choose a threshold on one half of them and measure it on the other. The halves follow from
// the people's names, so that they may be of unlike size.
type TooFewError struct{ First, Second, Needed int } // people in the half that chooses, in the one that measures; wanted in each

func (e *TooFewError) Error() string { return "calibrate the face threshold: " + e.Text().EN }

// Text says it in both languages.
func (e *TooFewError) Text() pipeline.Text {
	people := "people"
	if e.First == 1 {
		people = "person"
	}
	return pipeline.Text{
		EN: fmt.Sprintf("the half of the identities that the threshold is chosen on has %d %s with a face in a photo, the half that it is measured on has %d; each needs at least %d, for a claim about a rate many more (the halves follow from the names of the folders)", e.First, people, e.Second, e.Needed),
		ZH: fmt.Sprintf("用于选取阈值的一半身份中有人脸照片的为 %d 人，用于测量的另一半为 %d 人；每一半至少需要 %d 人，要说明误识率则需更多（两半按文件夹名划分）", e.First, e.Second, e.Needed),
	}
}

// Calibrate finds an embedder's thresholds for a wanted false match rate on a folder of photos, DIR/<identity>/*, with intervals from drawing
// whole identities again and again, and says when the data is too small for the claim. Photos are compared as the product compares a track,
// with 1 to 5 enrolled photos.
func Calibrate(ctx context.Context, dir string, o CalibrateOptions, decode Decode, m Models) (Thresholds, error) {
	if !(o.FMR >= LeastFMR && o.FMR <= MostFMR) {
		return Thresholds{}, fmt.Errorf("calibrate: a false match rate of %g: want %g to %g", o.FMR, LeastFMR, MostFMR)
	}
	r := BenchResult{Refused: []RefusedImage{}}
	shots, err := shootAll(ctx, dir, BenchOptions{Config: o.Config, Progress: o.Progress}, decode, m, &r)
	if err != nil {
		return Thresholds{}, err
	}
	pool, err := pooled(shots)
	if err != nil {
		return Thresholds{}, err
	}
	t := Thresholds{Images: r.Images, Identities: r.Identities, NoFace: r.NoFace, Refused: r.Refused, Warnings: []pipeline.Text{}}
	if t.Accept, err = calibrate(pool, o.FMR); err != nil {
		return t, err
	}
	if t.Reject, err = calibrate(pool, min(RejectFactor*o.FMR, 0.5)); err != nil {
		return t, err
	}
	// A false rejection is looked at by a person, too, so its threshold is the likeliest one, not the careful one.
	t.Reject = t.Reject.at(pool, min(t.Reject.Median, t.Accept.Threshold))
	n := t.Accept.Identities
	t.Supports = 3 / math.Max(1, float64(n*(n-1)/2))
	t.warn(o.FMR)
	return t, nil
}

// warn says what the data cannot show.
func (t *Thresholds) warn(fmr float64) {
	add := func(en, zh string, args ...any) {
		t.Warnings = append(t.Warnings, pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)})
	}
	if n := t.Accept.Identities; t.Supports > fmr {
		add("the data is too small for the claim: %d identities make %d pairs of people, which can show a false match rate of %.1g at best, not %g; at least %d identities are needed",
			"数据不足以支持该结论：%d 个身份只有 %d 对不同的人，最多能说明约 %.1g 的误识率，而不是 %g；至少需要 %d 个身份", n, n*(n-1)/2, t.Supports, fmr, 2*enough(fmr))
	}
	if crossing := fmr * float64(t.Accept.Different); crossing < minCrossing {
		add("only %.1f comparisons of different people lie above a threshold at this rate; fewer than %d say nothing", "在该误识率下只有 %.1f 次不同人的比较高于阈值；少于 %d 次没有意义", crossing, minCrossing)
	}
	if t.Accept.HeldOut.FMR > 3*fmr {
		add("on the other half of the identities the false match rate was %.2g, over three times the wanted %g", "在另一半身份上，误识率为 %.2g，超过目标 %g 的三倍", t.Accept.HeldOut.FMR, fmr)
	}
	if t.NoFace > 0 {
		add("%d of %d photos showed no face and count as comparisons that never match", "%[2]d 张照片中有 %[1]d 张未找到人脸，按永不匹配计算", t.NoFace, t.Images)
	}
}

// enough is how many identities a half must have for the rule of three to reach a rate.
func enough(fmr float64) int { return int(math.Ceil((1 + math.Sqrt(1+24/fmr)) / 2)) }

// at measures the other half at a threshold.
func (c Calibration) at(trials []Trial, threshold float64) Calibration {
	_, second := halves(trials)
	var held []Trial
	for _, t := range trials {
		if second[t.Probe] && second[t.Reference] {
			held = append(held, t)
		}
	}
	h := rates(held)
	c.Threshold = threshold
	c.HeldOut.TAR, c.HeldOut.FMR = above(h.same, threshold), above(h.different, threshold)
	return c
}
