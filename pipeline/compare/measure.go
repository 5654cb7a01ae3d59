package compare

import (
	"fmt"
	"math"
	"sort"

	"gonum.org/v1/gonum/stat"

	"onsite/pipeline"
)

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// rate gives a share with Wilson's score interval at 95 % (Wilson 1927), which stays inside 0..1 and is honest about small numbers.
func rate(n, of int) Rate {
	r := Rate{N: n, Of: of, CI95: [2]float64{0, 1}}
	if of == 0 {
		return r
	}
	const z = 1.959964
	p, m := float64(n)/float64(of), float64(of)
	r.Rate = p
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	r.CI95 = [2]float64{max(0, middle-half), min(1, middle+half)}
	return r
}

func quantiles(v []float64) Quantiles {
	sorted := append([]float64(nil), v...)
	sort.Float64s(sorted)
	var q Quantiles
	for i, p := range []float64{.05, .25, .5, .75, .95} {
		q[i] = stat.Quantile(p, stat.Empirical, sorted, nil)
	}
	return q
}

// errorsOf counts the errors of labelled cases; nil where there are none of them.
func errorsOf(all []Case) (before, after *ErrorRates) {
	var genuine, impostor int
	var counts [2]struct{ fm, fnm, review int }
	for _, c := range all {
		switch c.Label {
		case Genuine:
			genuine++
		case Impostor:
			impostor++
		default:
			continue
		}
		for i, d := range []pipeline.Decision{c.Before.Decision, c.After.Decision} {
			switch {
			case d == pipeline.DecisionReview:
				counts[i].review++
			case c.Label == Impostor && d == pipeline.DecisionPass:
				counts[i].fm++
			case c.Label == Genuine && d == pipeline.DecisionAbnormal:
				counts[i].fnm++
			}
		}
	}
	if genuine+impostor == 0 {
		return nil, nil
	}
	of := func(i int) *ErrorRates {
		return &ErrorRates{FMR: rate(counts[i].fm, impostor), FNMR: rate(counts[i].fnm, genuine), Review: rate(counts[i].review, genuine+impostor)}
	}
	return of(0), of(1)
}

// maxPoints bounds a curve in the report; the ends, where few cases lie, keep every step.
const maxPoints = 400

// looked says whether the check was made on either side: one that was not asked for says nothing of the models.
func (c *Case) looked(check string) bool {
	for _, s := range []*Side{&c.Before, &c.After} {
		if _, ok := s.Scores[check]; ok {
			return true
		}
		if o := s.Outcomes[check]; o != "" && o != pipeline.NotChecked {
			return true
		}
	}
	return false
}

// detOf is the curve of the labelled cases in which the check was made; nil without both kinds. A case without a score on this side, for
// instance because no face was found, is accepted at no threshold.
func detOf(all []Case, check string, side func(*Case) *Side) *DET {
	type scored struct {
		value   float64
		genuine bool
	}
	var list []scored
	var genuine, impostor int
	for i := range all {
		if all[i].Label == "" || !all[i].looked(check) {
			continue
		}
		if s, ok := side(&all[i]).Scores[check]; ok {
			list = append(list, scored{s.Value, all[i].Label == Genuine})
		}
		if all[i].Label == Genuine {
			genuine++
		} else {
			impostor++
		}
	}
	if genuine == 0 || impostor == 0 {
		return nil
	}
	sort.Slice(list, func(i, j int) bool { return list[i].value > list[j].value })
	points := []Point{{FMR: 0, FNMR: 1}}
	accepted, matched := 0, 0
	for i, s := range list {
		if s.genuine {
			accepted++
		} else {
			matched++
		}
		if i+1 < len(list) && list[i+1].value == s.value { // one threshold takes all of one score
			continue
		}
		points = append(points, Point{FMR: share(matched, impostor), FNMR: 1 - share(accepted, genuine)})
	}
	d := &DET{EER: equalError(points)}
	d.Points = thin(points)
	return d
}

// equalError is where both errors are the same, between two points of the curve; on a curve that ends before, because too many genuine cases
// have no score, the greater error at its end.
func equalError(points []Point) float64 {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if b.FMR >= b.FNMR {
			da, db := a.FNMR-a.FMR, b.FMR-b.FNMR
			if da+db == 0 {
				return b.FMR
			}
			t := da / (da + db)
			return a.FMR + t*(b.FMR-a.FMR)
		}
	}
	return points[len(points)-1].FNMR
}

// thin leaves out points that lie on the straight line between their neighbours, and of a curve that is still too long some of the middle.
func thin(points []Point) []Point {
	var out []Point
	for i, p := range points {
		if i > 0 && i+1 < len(points) {
			a, b := points[i-1], points[i+1]
			if math.Abs((p.FMR-a.FMR)*(b.FNMR-p.FNMR)-(p.FNMR-a.FNMR)*(b.FMR-p.FMR)) < 1e-15 {
				continue
			}
		}
		out = append(out, p)
	}
	if len(out) <= maxPoints {
		return out
	}
	const end = maxPoints / 4
	middle := out[end : len(out)-end]
	step := (len(middle) + maxPoints - 2*end - 1) / (maxPoints - 2*end)
	kept := append([]Point(nil), out[:end]...)
	for i := 0; i < len(middle); i += step {
		kept = append(kept, middle[i])
	}
	return append(kept, out[len(out)-end:]...)
}

func timesOf(all []Case, of func(*Case) float64) Times {
	var v []float64
	for i := range all {
		if ms := of(&all[i]); ms > 0 {
			v = append(v, ms)
		}
	}
	if len(v) == 0 {
		return Times{}
	}
	sort.Float64s(v)
	return Times{Cases: len(v), Median: stat.Quantile(.5, stat.Empirical, v, nil), P95: stat.Quantile(.95, stat.Empirical, v, nil)}
}

// judge holds the report against its limits.
func (r *Report) judge(all []Case) {
	l := r.Limits
	fail := func(en, zh string, args ...any) {
		r.Failed = append(r.Failed, pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)})
	}
	note := func(en, zh string, args ...any) {
		r.Notes = append(r.Notes, pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)})
	}
	if r.Cases < l.Cases {
		fail("%d cases were compared, at least %d are needed", "仅比较了 %d 个案例，至少需要 %d 个", r.Cases, l.Cases)
	}
	if r.Disagreement.Rate > l.Disagreement {
		fail("the decision differs in %.2f %% of the cases, at most %.2f %% are allowed", "%.2f%% 的案例结论不同，最多允许 %.2f%%", 100*r.Disagreement.Rate, 100*l.Disagreement)
	}
	r.judgeLoosened(all, fail)
	if b, a := r.BeforeErrors, r.AfterErrors; b != nil {
		if b.FMR.Of == 0 {
			note("no case is labelled as an impostor: nothing is known of false matches", "没有标为冒用者的案例：无法得知误识情况")
		}
		if b.FNMR.Of == 0 {
			note("no case is labelled as genuine: nothing is known of genuine cases that are called abnormal", "没有标为真实的案例：无法得知真实案例被判异常的情况")
		}
		// One false match more than allowed can be chance where few are expected: the interval of before is what after must exceed.
		if most := max(l.FMRFactor*b.FMR.Rate, b.FMR.CI95[1]); a.FMR.Rate > most {
			fail("false matches rose from %.2g to %.2g, at most %.2g is allowed", "误识率由 %.2g 升至 %.2g，最多允许 %.2g", b.FMR.Rate, a.FMR.Rate, most)
		}
		if a.FNMR.Rate > b.FNMR.Rate+l.FNMRMore {
			fail("genuine cases that are called abnormal rose from %.2f %% to %.2f %%, at most %.2f percentage points more are allowed", "真实案例被判异常的比例由 %.2f%% 升至 %.2f%%，最多允许增加 %.2f 个百分点", 100*b.FNMR.Rate, 100*a.FNMR.Rate, 100*l.FNMRMore)
		}
	} else {
		note("no case is labelled: what differs can be seen, not which side is right", "没有带标签的案例：只能看到差异，不能判断哪一方正确")
	}
	if b, a := r.BeforeTimes.Median, r.AfterTimes.Median; b > 0 && a > l.Slower*b {
		fail("a case takes %.0f ms instead of %.0f (median), at most %.1f times as long is allowed", "每个案例用时中位数由 %.0[2]f 毫秒变为 %.0[1]f 毫秒，最多允许 %.1[3]f 倍", a, b, l.Slower)
	}
	small := 0
	for _, g := range r.Groups {
		if g.Small {
			small++
			continue
		}
		if g.Disagreement.Rate > r.Disagreement.Rate+l.GroupMore {
			fail("in the group %s = %s the decision differs in %.2f %% of %d cases, %.2f %% in all", "分组 %s = %s 中结论不同的比例为 %.2f%%（%d 个案例），总体为 %.2f%%", g.By, g.Value, 100*g.Disagreement.Rate, g.Cases, 100*r.Disagreement.Rate)
		}
	}
	if small > 0 {
		note("%d groups have fewer than %d cases and say nothing", "%d 个分组少于 %d 个案例，不足以说明问题", small, l.GroupCases)
	}
	r.Passed = len(r.Failed) == 0
}

// judgeLoosened counts what newly passes of all that did not pass before and is not known to be genuine.
func (r *Report) judgeLoosened(all []Case, fail func(en, zh string, args ...any)) {
	loosened, of := 0, 0
	for _, c := range all {
		if c.Before.Decision == pipeline.DecisionPass || c.Label == Genuine {
			continue
		}
		of++
		if c.After.Decision == pipeline.DecisionPass {
			loosened++
		}
	}
	if of > 0 && share(loosened, of) > r.Limits.Loosened {
		fail("%d of %d cases that did not pass before would pass now (%.2f %%), at most %.2f %% are allowed", "此前未通过的 %[2]d 个案例中有 %[1]d 个现在会通过（%.2[3]f%%），最多允许 %.2[4]f%%",
			loosened, of, 100*share(loosened, of), 100*r.Limits.Loosened)
	}
}
