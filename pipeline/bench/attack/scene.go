package attack

import (
	"fmt"
	"math"
	"path/filepath"
	"sort"
	"strconv"

	"onsite/pipeline"
)

// The relations between two pieces of footage that are not copies. All but OtherScene are hard: honest footage that looks like a copy.
const (
	Soon        = "soon"         // another moment of the same take, at most soonSeconds away: whoever keeps still looks as in a copy
	Later       = "later"        // another part of the same take
	OtherTake   = "other_take"   // the same person at the same place, another time
	OtherPerson = "other_person" // another person at the same place, or one who is not named
	OtherPlace  = "other_place"  // the same person elsewhere
	OtherScene  = "other_scene"  // nothing in common: easy
)

// soonSeconds is how far two moments of one take may lie apart to be Soon (the method that the reuse check follows promises nothing for photos
// taken 1 to 3 s apart of a person who keeps still).
const soonSeconds = 3

// Relations are all of them, the hardest first.
var Relations = []string{Soon, Later, OtherTake, OtherPerson, OtherPlace, OtherScene}

// Hard says whether a relation makes honest footage look like a copy.
func Hard(relation string) bool {
	return relation == Soon || relation == Later || relation == OtherTake || relation == OtherPerson || relation == OtherPlace
}

// place is where a file was taken, of whom, and the family of all that hangs together with it. take names the recording that a photo was
// cut from, at the moment at, in seconds; at is negative where nobody knows it.
type place struct {
	scene, person, family, take string
	at                          float64
}

// families reads file,scene,person (base names; person may be empty, scene of unlisted files is their own name) and, where the table has them,
// take,at of photos that were cut from recordings. It joins files that share
// a scene, a person or a take: what was chosen on a family must not be reported on it.
func families(csvPath string, files []string) (map[string]place, error) {
	out := make(map[string]place, len(files))
	for _, f := range files {
		out[f] = place{scene: f, at: -1}
	}
	if csvPath != "" {
		rows, err := pipeline.ReadTable(csvPath, "file", "scene", "person")
		if err != nil {
			return nil, fmt.Errorf("read the scenes: %w", err)
		}
		for _, r := range rows {
			name := filepath.Base(filepath.FromSlash(r.Get("file")))
			if r.Get("scene") == "" {
				return nil, fmt.Errorf("read the scenes: %s, line %d: %q has no scene; give it a name of your own, the same for all files of one place", csvPath, r.Line, name)
			}
			if _, ok := out[name]; ok {
				p := place{scene: "scene " + r.Get("scene"), person: r.Get("person"), take: r.Get("take"), at: -1}
				if text := r.Get("at"); text != "" {
					if p.at, err = strconv.ParseFloat(text, 64); err != nil || p.take == "" || !(p.at >= 0) || math.IsInf(p.at, 0) {
						return nil, fmt.Errorf("read the scenes: %s, line %d: at is %q; it is the moment of the take that the column of that name names, in seconds from 0", csvPath, r.Line, text)
					}
				}
				out[name] = p
			}
		}
	}
	parent := map[string]string{}
	var root func(string) string
	root = func(k string) string {
		if p, ok := parent[k]; ok && p != k {
			parent[k] = root(p)
			return parent[k]
		}
		return k
	}
	sorted := append([]string{}, files...)
	sort.Strings(sorted)
	for _, f := range sorted {
		p := out[f]
		for _, with := range []struct{ kind, name string }{{"p", p.person}, {"t", p.take}} {
			if with.name == "" {
				continue
			}
			if a, b := root("s"+p.scene), root(with.kind+with.name); a != b {
				parent[b] = a
			}
		}
	}
	names := map[string]string{}
	for _, f := range sorted {
		p := out[f]
		k := root("s" + p.scene)
		if names[k] == "" {
			names[k] = clean(f)
		}
		p.family = names[k]
		out[f] = p
	}
	return out, nil
}

// relation is how two library cuts of different footage hang together.
func relation(a, b cut) string {
	switch {
	case a.photo && b.photo && a.place.take != "" && a.place.take == b.place.take && min(a.place.at, b.place.at) >= 0 && math.Abs(a.place.at-b.place.at) <= soonSeconds:
		return Soon
	case a.file == b.file || a.place.take != "" && a.place.take == b.place.take:
		return Later
	case a.place.scene == b.place.scene && a.place.person != "" && a.place.person == b.place.person:
		return OtherTake
	case a.place.scene == b.place.scene:
		return OtherPerson
	case a.place.person != "" && a.place.person == b.place.person:
		return OtherPlace
	default:
		return OtherScene
	}
}
