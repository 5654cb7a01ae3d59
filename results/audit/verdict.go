package audit

import "onsite/results"

// Standing says how a revision of a verdict stands to the log.
type Standing int

// The standings.
const (
	Logged   Standing = iota // its entry names its digest
	Unlogged                 // it has no entry
	Relogged                 // somebody added an entry: a job's verdict is created once
	Altered                  // its entry names another digest
)

// VerdictEntry finds the entry that was written with a revision of a job's verdict among the entries about the job, in the order of writing: the
// first about a verdict is its creation, and each further one a revision. digest is the results.Sum of the revision as it is stored.
func VerdictEntry(about []results.LoggedEntry, revision int, digest string) (e results.LoggedEntry, s Standing) {
	var list []results.LoggedEntry
	for _, e := range about {
		switch {
		case e.Action == results.EventVerdictCreated && len(list) > 0, e.Action == results.EventVerdictRevised && len(list) == 0:
			return e, Relogged
		case e.Action == results.EventVerdictCreated, e.Action == results.EventVerdictRevised:
			list = append(list, e)
		}
	}
	switch {
	case len(list) < revision:
		return e, Unlogged
	case list[revision-1].Digest != digest:
		return list[revision-1], Altered
	}
	return list[revision-1], Logged
}
