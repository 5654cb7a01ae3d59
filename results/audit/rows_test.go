package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

func TestRows(t *testing.T) {
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	sum := func(text string) string { return results.Sum([]byte(text)) }
	entry := func(id, action, digest string, seq int64, after time.Duration) results.LoggedEntry {
		return results.LoggedEntry{AuditEntry: results.AuditEntry{ID: id, Action: action, Target: "hook", Digest: digest, At: now.Add(after)}, Seq: seq}
	}
	const created, changed, deleted = "webhook.created", "webhook.changed", "webhook.deleted"
	for name, c := range map[string]struct {
		list []results.LoggedEntry // of a log that had 10 entries when the inspection began
		want Report
	}{
		"the newest":                         {[]results.LoggedEntry{entry("1", created, sum("a"), 1, 0), entry("2", changed, sum("now"), 2, time.Hour)}, Report{Documents: 1}},
		"an old one":                         {[]results.LoggedEntry{entry("1", created, sum("now"), 1, 0), entry("2", changed, sum("b"), 2, time.Hour)}, Report{Findings: make([]Finding, 1)}},
		"changed meanwhile":                  {[]results.LoggedEntry{entry("1", created, sum("now"), 1, 0), entry("2", changed, sum("b"), 11, time.Hour)}, Report{Documents: 1}},
		"changed meanwhile, and another":     {[]results.LoggedEntry{entry("1", created, sum("a"), 1, 0), entry("2", changed, sum("b"), 11, time.Hour)}, Report{Findings: make([]Finding, 1)}},
		"its first change came meanwhile":    {[]results.LoggedEntry{entry("1", changed, sum("b"), -1, 0)}, Report{Unlogged: 1}},
		"after an earlier program's":         {[]results.LoggedEntry{entry("1", created, "", 1, 0), entry("2", changed, sum("b"), 11, time.Hour)}, Report{Unlogged: 1}},
		"changed twice in one moment":        {[]results.LoggedEntry{entry("1", changed, sum("now"), 1, time.Second), entry("2", changed, sum("b"), 2, 0)}, Report{Documents: 1}},
		"the log knows the order":            {[]results.LoggedEntry{entry("2", changed, sum("b"), 1, 0), entry("1", changed, sum("now"), 2, time.Hour)}, Report{Documents: 1}},
		"whatever the id says":               {[]results.LoggedEntry{entry("2", changed, sum("now"), 1, 0), entry("1", changed, sum("b"), 2, time.Hour)}, Report{Findings: make([]Finding, 1)}},
		"it was deleted, and made meanwhile": {[]results.LoggedEntry{entry("1", deleted, "", 1, 0), entry("2", created, sum("b"), 11, time.Hour)}, Report{Findings: make([]Finding, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			i := &inspection{Report: &Report{}, began: 10, about: map[string][]results.LoggedEntry{results.LoggedWebhook + "|hook": c.list}}
			i.compareRows([]results.Logged{{Kind: results.LoggedWebhook, Name: "hook", Digest: sum("now")}})
			require.Len(t, i.Findings, len(c.want.Findings))
			require.Equal(t, c.want.Documents, i.Documents)
			require.Equal(t, c.want.Unlogged, i.Unlogged)
		})
	}
}

// What two machines write in one moment may get places in either order: nobody is accused for that, and of what was changed all the same somebody is.
func TestOrderWithinOneMoment(t *testing.T) {
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	type entry struct {
		action, text string
		after        time.Duration
	}
	sum := func(text string) string { return results.Sum([]byte(text)) }
	made := func(target string, all []entry) *inspection {
		i := &inspection{Report: &Report{}, began: 100, about: map[string][]results.LoggedEntry{}, seen: map[string]bool{}, from: clock{now: now}}
		for n, e := range all {
			i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{ID: string(rune('a' + n)), Action: e.action, Target: target, Subject: "e", Digest: sum(e.text), At: now.Add(e.after)}, Seq: int64(n)})
		}
		return i
	}
	const second, hour = time.Second, time.Hour
	created, revised := results.EventVerdictCreated, results.EventVerdictRevised
	for name, c := range map[string]struct {
		log  []entry
		want int
	}{
		"in order":                   {[]entry{{created, "1", 0}, {revised, "2", hour}, {revised, "3", 2 * hour}}, 0},
		"a revision before its kind": {[]entry{{created, "1", 0}, {revised, "3", hour + second}, {revised, "2", hour}}, 0},
		"a revision before all":      {[]entry{{revised, "2", second}, {created, "1", 0}, {revised, "3", hour}}, 0},
		"long before all":            {[]entry{{revised, "2", hour}, {created, "1", 0}, {revised, "3", hour}}, 3},
		"two changed places":         {[]entry{{created, "1", 0}, {revised, "3", hour}, {revised, "2", 2 * hour}}, 2},
		"one is another":             {[]entry{{created, "1", 0}, {revised, "x", second}, {revised, "3", second}}, 1},
		"created twice":              {[]entry{{created, "1", 0}, {created, "2", second}, {revised, "3", second}}, 3},
	} {
		t.Run("verdict "+name, func(t *testing.T) {
			i := made("job", c.log)
			var rows []loggedVerdict
			for n, text := range []string{"1", "2", "3"} {
				rows = append(rows, loggedVerdict{job: "job", revision: n + 1, digest: sum(text)})
			}
			i.compareVerdicts(rows, 30)
			require.Len(t, i.Findings, c.want, "%+v", i.Findings)
		})
	}
	for name, c := range map[string]struct {
		log  []entry
		want int
	}{
		"in order":                {[]entry{{"site.changed", "1", 0}, {"site.changed", "2", hour}, {"site.deleted", "2", hour}}, 0},
		"its end first":           {[]entry{{"site.changed", "1", 0}, {"site.deleted", "2", hour}, {"site.changed", "2", hour}}, 0},
		"all the other way round": {[]entry{{"site.deleted", "2", second}, {"site.changed", "2", second}, {"site.changed", "1", 0}}, 0},
		"an hour apart":           {[]entry{{"site.changed", "2", hour}, {"site.changed", "1", 0}, {"site.deleted", "2", hour}}, 2},
		"one is another":          {[]entry{{"site.changed", "1", 0}, {"site.deleted", "2", hour}, {"site.changed", "x", hour}}, 1},
	} {
		t.Run("site "+name, func(t *testing.T) {
			i := made("shop", c.log)
			i.compareConfig([]results.Logged{{Kind: results.LoggedSite, Name: "shop", Rev: 1, Digest: sum("1")}, {Kind: results.LoggedSite, Name: "shop", Rev: 2, Digest: sum("2")},
				{Kind: results.LoggedSite, Name: "shop", Rev: 3, Digest: sum("2"), Deleted: true}})
			require.Len(t, i.Findings, c.want, "%+v", i.Findings)
		})
	}
	for row, want := range map[string]int{"revoked": 0, "in force": 1} { // whatever the clocks say
		i := made("k", []entry{{"key.revoked", "revoked", 0}, {"key.created", "in force", hour}})
		i.compareRows([]results.Logged{{Kind: results.LoggedKey, Name: "k", Digest: sum(row)}})
		require.Len(t, i.Findings, want, row)
	}
	for _, first := range []string{"consent.given", "consent.withdrawn"} {
		second := map[string]string{"consent.given": "consent.withdrawn", "consent.withdrawn": "consent.given"}[first]
		i := made("c", []entry{{first, "c", 0}, {second, "c", time.Second}})
		for _, e := range i.about[withdrawnTopic+"|e"] { // it names the purpose
			e.Target = "face"
			i.about[withdrawnTopic+"|e"] = []results.LoggedEntry{e}
		}
		i.comparePeople([]results.Logged{{Kind: results.LoggedConsent, Name: "c", Subject: "e", Purpose: "face", Digest: sum("c"), Deleted: true}})
		require.Empty(t, i.Findings, first)
	}
}

// A verdict's revisions are those that were logged, from the first to the last: none is taken out between two others.
func TestRemovedRevisions(t *testing.T) {
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		there []int
		want  []Rule
	}{
		"all":                         {[]int{1, 2, 3}, nil},
		"not the first":               {[]int{2, 3}, []Rule{VerdictMissing}},
		"not the one between":         {[]int{1, 3}, []Rule{VerdictMissing}},
		"not the newest":              {[]int{1, 2}, []Rule{VerdictMissing}},
		"none":                        {nil, []Rule{VerdictMissing}},
		"one behind for one between":  {[]int{1, 3, 4}, []Rule{VerdictUnlogged, VerdictMissing}},
		"one in front for one behind": {[]int{0, 1, 2}, []Rule{VerdictUnlogged, VerdictMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			i := &inspection{Report: &Report{}, began: 100, about: map[string][]results.LoggedEntry{}, seen: map[string]bool{}, from: clock{now: now}}
			var rows []loggedVerdict
			for n, action := range []string{results.EventVerdictCreated, results.EventVerdictRevised, results.EventVerdictRevised} {
				i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{ID: string(rune('a' + n)), Action: action, Target: "job", Digest: string(rune('1' + n)), At: now.Add(time.Duration(n) * time.Hour)}, Seq: int64(n)})
			}
			for _, n := range c.there {
				rows = append(rows, loggedVerdict{job: "job", revision: n, digest: string(rune('0' + n))})
			}
			i.compareVerdicts(rows, 30)
			var rules []Rule
			for _, f := range i.Findings {
				rules = append(rules, f.Rule)
			}
			require.Equal(t, c.want, rules)
		})
	}
}

type clock struct {
	Source
	now time.Time
}

func (c clock) Now() time.Time { return c.now }

func TestJobsWhoseTimeEndsMeanwhile(t *testing.T) {
	received := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for days, want := range map[int]int{28: 1, 30: 0} {
		i := &inspection{Report: &Report{}, from: clock{now: received.AddDate(0, 0, days)}, about: map[string][]results.LoggedEntry{}}
		i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{ID: "1", Action: results.EventVerdictCreated, Target: "job", At: received}})
		i.compareJobs([]loggedJob{{id: "job", state: results.Done, revision: 1}}, nil, 30)
		require.Len(t, i.Findings, want)
		i.compareJobs([]loggedJob{{id: "job"}, {id: "added", state: results.Done, revision: 1}}, nil, 30)
		require.Len(t, i.Findings, want+1, "one that nothing was logged of")
	}
}

// When a verdict goes is written down with the settings of its time: raising them later accuses nobody.
func TestTimeIsCountedBySettingsOfThen(t *testing.T) {
	begun := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		accepted int // day
		settings map[int]int
		now      int // day
		keep     int
		want     bool
	}{
		"no change":                   {0, nil, 1_000, 1_095, false},
		"no change, and over":         {0, nil, 1_095, 1_095, true},
		"raised since":                {10, map[int]int{5: 30, 20: 3_000}, 45, 3_000, true},
		"raised since, not over":      {10, map[int]int{5: 30, 20: 3_000}, 35, 3_000, false},
		"raised before":               {10, map[int]int{1: 30, 5: 3_000}, 45, 3_000, false},
		"shorter meanwhile":           {10, map[int]int{20: 30, 30: 3_000}, 45, 3_000, true},
		"raised from what is usual":   {10, map[int]int{20: 3_000}, 1_106, 3_000, true},
		"raised before the usual end": {10, map[int]int{20: 3_000}, 1_000, 3_000, false},
	} {
		t.Run(name, func(t *testing.T) {
			day := func(n int) time.Time { return begun.AddDate(0, 0, n) }
			i := &inspection{Report: &Report{}, from: clock{now: day(c.now)}, about: map[string][]results.LoggedEntry{}, seen: map[string]bool{}}
			for at, days := range c.settings {
				i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{Action: "settings.changed", Target: results.Settings{VerdictDays: days}.Target(), At: day(at)}})
			}
			i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{Action: "settings.changed", Target: results.Settings{VerdictDays: 1}.Target(), At: day(c.now)}, Seq: -1})
			i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{ID: "1", Action: "submission.accepted", Target: "job", At: day(c.accepted)}})
			i.note(results.LoggedEntry{AuditEntry: results.AuditEntry{ID: "2", Action: results.EventVerdictCreated, Target: "job", At: day(c.accepted + 9)}})
			i.terms = i.readTerms()
			require.Equal(t, c.want, i.jobOver("job", c.keep))
		})
	}
}
