package copies

import (
	"maps"
	"slices"
	"sort"

	"onsite/pipeline/bench/attack"
	"onsite/pipeline/reuse"
	"onsite/pipeline/reuse/index"
)

// summarise makes the table of the clips or of the photos; nil without pairs of that kind.
func summarise(all []Row, prints map[string]printed, o Options, photo bool) *Part {
	var rows, same, hard, easy []*Row
	families, lookalikes := map[string]bool{}, map[string]bool{}
	for i := range all {
		r := &all[i]
		if r.Photo != photo {
			continue
		}
		rows = append(rows, r)
		families[r.Family] = true
		switch {
		case r.Same:
			same = append(same, r)
		case r.hard():
			hard = append(hard, r)
			lookalikes[r.Family] = true
		default:
			easy = append(easy, r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	p := &Part{Same: len(same), Hard: len(hard), Easy: len(easy), Families: len(families), Lookalikes: len(lookalikes),
		Curves: map[string]map[string][]Point{"hard": {}, "easy": {}}, MSPerPair: map[string]float64{}}
	var moving []*Row
	for _, r := range same {
		if !photo && r.Transform != "freeze" {
			moving = append(moving, r)
		}
	}
	fixed := func(m Measure, threshold float64) Fixed {
		called := func(r *Row) bool { return r.Scores[m] >= threshold }
		return Fixed{threshold, count(same, o.Seed, called), count(moving, o.Seed, called), count(hard, o.Seed, called), count(easy, o.Seed, called)}
	}
	p.Recording, p.Content = fixed(Recording, o.Config.Threshold), fixed(Content, reuse.ContentThreshold)
	unsure := func(r *Row) bool { return r.Verdict == reuse.CannotTell }
	reused := func(r *Row) bool { return r.Verdict == reuse.Same }
	p.Asked = count(same, o.Seed, unsure)
	p.Lookup = Fixed{float64(index.MaxRadius), count(same, o.Seed, (*Row).lookup), count(moving, o.Seed, (*Row).lookup), count(hard, o.Seed, (*Row).lookup), count(easy, o.Seed, (*Row).lookup)}

	stranger := func(r *Row) bool { return !r.hard() }
	anyone := func(*Row) bool { return true }
	for m := range measures {
		held := func(by chooser) *HeldOut { return heldOut(rows, all, m, o.Seed, o.Splits, by) }
		p.Methods = append(p.Methods, Method{m.String(), held(keepOut(m, stranger)), held(keepOut(m, anyone)), held(keepIn(m))})
		if c := curve(rows, m, (*Row).hard); c != nil {
			p.Curves["hard"][m.String()] = c
		}
		if c := curve(rows, m, stranger); c != nil {
			p.Curves["easy"][m.String()] = c
		}
	}

	p.honest(rows, o.Seed)

	byTag := map[string][]*Row{}
	for _, r := range same {
		byTag[r.tag()] = append(byTag[r.tag()], r)
	}
	for tag, of := range byTag {
		k := Kind{Transform: tag, N: len(of), Reused: count(of, o.Seed, reused), CannotTell: count(of, o.Seed, unsure),
			Content: count(of, o.Seed, func(r *Row) bool { return r.Scores[Content] >= reuse.ContentThreshold }), Lookup: count(of, o.Seed, (*Row).lookup)}
		k.HeldOut = p.Methods[Recording].All.of(tag)
		k.ContentOut = p.Methods[Content].Strangers.of(tag)
		k.PDQOut = p.Methods[PDQ].Strangers.of(tag)
		p.Kinds = append(p.Kinds, k)
	}
	sort.Slice(p.Kinds, func(a, b int) bool { return p.Kinds[a].Transform < p.Kinds[b].Transform })

	for name, of := range map[string][]*Row{"same": same, "hard": hard, "easy": easy} {
		sum := 0.0
		for _, r := range of {
			sum += r.MS
		}
		if len(of) > 0 {
			p.MSPerPair[name] = sum / float64(len(of))
		}
	}
	p.costs(prints, photo)
	return p
}

// Relations of Honest that are several relations together.
const (
	allHard     = "all look-alikes"
	hardNotSoon = "... without " + attack.Soon
)

// honest tells what the check says about footage that is no copy: by relation, and look-alikes by family.
func (p *Part) honest(rows []*Row, seed uint64) {
	add := func(to *[]Honest, name string, in func(*Row) bool) {
		var of []*Row
		h := Honest{Relation: name}
		for _, r := range rows {
			if !r.Same && in(r) {
				of = append(of, r)
				h.TopS = max(h.TopS, r.S)
			}
		}
		if len(of) > 0 {
			h.Reused = count(of, seed, func(r *Row) bool { return r.Verdict == reuse.Same })
			h.CannotTell = count(of, seed, func(r *Row) bool { return r.Verdict == reuse.CannotTell })
			*to = append(*to, h)
		}
	}
	for _, relation := range attack.Relations {
		add(&p.Honest, relation, func(r *Row) bool { return r.Transform == relation })
	}
	soon := slices.ContainsFunc(p.Honest, func(h Honest) bool { return h.Relation == attack.Soon })
	add(&p.Honest, allHard, (*Row).hard)
	if soon {
		add(&p.Honest, hardNotSoon, func(r *Row) bool { return r.hard() && r.Transform != attack.Soon })
	}
	families := map[string]bool{}
	for _, r := range rows {
		if r.hard() {
			families[r.Family] = true
		}
	}
	for _, f := range slices.Sorted(maps.Keys(families)) {
		add(&p.HonestFamilies, f, func(r *Row) bool { return r.hard() && r.Family == f })
	}
}

// of is the recall of one transform; nil when no run had it.
func (h *HeldOut) of(tag string) *float64 {
	if h == nil {
		return nil
	}
	x, ok := h.ByTag[tag]
	if !ok {
		return nil
	}
	return &x
}

// costs averages time and size over all files of the kind.
func (p *Part) costs(prints map[string]printed, photo bool) {
	var n, bytes int
	var clip, still, seconds float64
	for _, x := range prints {
		if x.photo == photo {
			n, bytes, clip, still, seconds = n+1, bytes+x.bytes, clip+x.ms, still+x.still, seconds+x.seconds
		}
	}
	p.MSPerClip, p.MSPerStill, p.BytesMean = clip/float64(max(1, n)), still/float64(max(1, n)), bytes/max(1, n)
	if seconds > 0 {
		p.BytesPer5s = int(float64(bytes) / seconds * 5)
	}
}
