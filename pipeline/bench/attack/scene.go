package attack

import (
	"fmt"
	"path/filepath"
	"sort"

	"onsite/pipeline"
)

// The relations between two pieces of footage that are not copies. All but OtherScene are hard: honest footage that looks like a copy.
const (
	Later       = "later"        // another part of the same take
	OtherTake   = "other_take"   // the same person at the same place, another time
	OtherPerson = "other_person" // another person at the same place, or one who is not named
	OtherPlace  = "other_place"  // the same person elsewhere
	OtherScene  = "other_scene"  // nothing in common: easy
)

// Hard says whether a relation makes honest footage look like a copy.
func Hard(relation string) bool {
	return relation == Later || relation == OtherTake || relation == OtherPerson || relation == OtherPlace
}

// place is where a file was taken, of whom, and the family of all that hangs together with it.
type place struct{ scene, person, family string }

// families reads file,scene,person (base names; person may be empty, scene of unlisted files is their own name) and joins files that share
// a scene or a person: what was chosen on a family must not be reported on it.
func families(csvPath string, files []string) (map[string]place, error) {
	out := make(map[string]place, len(files))
	for _, f := range files {
		out[f] = place{scene: f}
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
				out[name] = place{scene: "scene " + r.Get("scene"), person: r.Get("person")}
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
		if p.person != "" {
			a, b := root("s"+p.scene), root("p"+p.person)
			if a != b {
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
	case a.file == b.file:
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
