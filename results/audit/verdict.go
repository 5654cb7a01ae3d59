package audit

import (
	"slices"
	"time"

	"onsite/results"
)

// Standing says how a revision of a verdict stands to the log.
type Standing int

// The standings.
const (
	Logged   Standing = iota // its entry names its digest
	Unlogged                 // it has no entry
	Relogged                 // somebody added an entry: a job's verdict is created once
	Altered                  // its entry names another digest
)

// together is how near to each other entries may be for nobody to say which of them came first: an entry's time is taken before the row that it is
// about is locked, and its id and with it its place in the log are of the clock of the machine that wrote it.
const together = 5 * time.Second

// near says that two entries may have come in either order.
func near(a, b results.LoggedEntry) bool { return a.At.Sub(b.At).Abs() < together }

// bring puts the first entry from place n on that fits there into place n, if it is near to the one that is there; and says whether one that fits is
// there now.
func bring(list []results.LoggedEntry, n int, fits func(results.LoggedEntry) bool) bool {
	for j := n; j < len(list); j++ {
		if near(list[j], list[n]) && fits(list[j]) {
			list[n], list[j] = list[j], list[n]
			return true
		}
	}
	return false
}

// VerdictEntry finds the entry that was written with a revision of a job's verdict among the entries about the job, in the order of the log: the
// first about a verdict is its creation, and each further one a revision. Of what two machines wrote in one moment the order is not known: a
// revision says its number itself, so that its digest tells which entry is its own. digest is the results.Sum of the revision as it is stored.
func VerdictEntry(about []results.LoggedEntry, revision int, digest string) (e results.LoggedEntry, s Standing) {
	created := func(e results.LoggedEntry) bool { return e.Action == results.EventVerdictCreated }
	list := slices.DeleteFunc(slices.Clone(about), func(e results.LoggedEntry) bool { return !created(e) && e.Action != results.EventVerdictRevised })
	if len(list) == 0 {
		return e, Unlogged
	}
	if !bring(list, 0, created) {
		return list[0], Relogged
	}
	if again := slices.IndexFunc(list[1:], created); again >= 0 {
		return list[1+again], Relogged
	}
	if revision < 1 || len(list) < revision {
		return e, Unlogged
	}
	own := list[revision-1]
	if i := slices.IndexFunc(list, func(e results.LoggedEntry) bool {
		return e.Digest == digest && near(e, own) && created(e) == (revision == 1)
	}); i >= 0 {
		return list[i], Logged
	}
	return own, Altered
}
