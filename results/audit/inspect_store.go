package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"onsite/pipeline"
	"onsite/results"
)

// The topics of entries that the store is compared with.
const (
	verdictTopic   = "verdict"
	againTopic     = "again"
	withdrawnTopic = "withdrawn"
	unmarkedTopic  = "unmarked"
	jobTopic       = "job"
)

// topic says what an entry is about, where the store has something to compare with it.
func topic(e results.LoggedEntry) string {
	switch e.Action {
	case results.EventVerdictCreated, results.EventVerdictRevised:
		return verdictTopic + "|" + e.Target
	case "site.changed", "site.deleted":
		return results.LoggedSite + "|" + e.Target
	case "policy.changed", "policy.deleted":
		return results.LoggedPolicy + "|" + e.Target
	case "photo.enrolled", "photo.deleted":
		return results.LoggedEnrolment + "|" + e.Subject
	case "consent.given":
		return results.LoggedConsent + "|" + e.Target
	case "consent.withdrawn":
		return withdrawnTopic + "|" + e.Subject
	case "mark.created", "mark.revoked":
		return results.LoggedMark + "|" + e.Target
	case results.ActionUnmarked:
		return unmarkedTopic + "|" + e.Target
	case "settings.changed":
		return results.LoggedSettings + "|" + results.LoggedSettings
	case "key.created", "key.revoked":
		return results.LoggedKey + "|" + e.Target
	case "webhook.created", "webhook.changed", "webhook.rotated", "webhook.enabled", "webhook.deleted":
		return results.LoggedWebhook + "|" + e.Target
	case "bucket.mapped", "bucket.unmapped":
		return results.LoggedBucket + "|" + e.Target
	case "subject.created", "subject.relabelled":
		return results.LoggedSubject + "|" + e.Subject
	case "challenge.issued":
		return results.LoggedChallenge + "|" + e.Target
	case "model.added":
		return results.LoggedModel + "|" + e.Target
	case results.EventJobRefused, results.EventJobDead, "submission.accepted":
		return jobTopic + "|" + e.Target
	case results.ActionReverified:
		return againTopic + "|" + e.ID
	}
	if strings.HasPrefix(e.Target, "epoch-") && strings.HasPrefix(e.Action, "model.") {
		return results.LoggedEpoch + "|" + e.Target
	}
	return ""
}

// note remembers an entry that the tree vouches for, or that has no place yet.
func (i *inspection) note(e results.LoggedEntry) {
	if i.seen[e.ID] {
		return
	}
	if e.Seq < 0 {
		i.seen[e.ID] = true
	}
	if e.Action == ActionErased {
		i.erased[e.Subject] = e
	}
	if t := topic(e); t != "" {
		i.about[t] = append(i.about[t], e)
	}
}

// entriesAbout gives the entries of a topic in the order of the log, and last those that wait for their place, by their ids. Of what two machines
// wrote in the same moment that is not always the order of commits; a key's revocation is its last entry whatever the clocks say.
func (i *inspection) entriesAbout(topic, id string) []results.LoggedEntry {
	list := i.about[topic+"|"+id]
	slices.SortStableFunc(list, func(a, b results.LoggedEntry) int {
		place := func(e results.LoggedEntry) uint64 { return uint64(e.Seq) } // -1, without a place, is the largest
		if last := func(e results.LoggedEntry) bool { return e.Action == "key.revoked" }; last(a) != last(b) {
			if last(a) {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// loggedVerdict is what is compared of a verdict.
type loggedVerdict struct {
	job, subject, site, digest string
	revision                   int
	odd                        string // a column that is not what the body says
}

// verdicts reads all verdicts of the tenant.
func (i *inspection) verdicts(ctx context.Context) (all []loggedVerdict, err error) {
	for p := (results.Page{Limit: page}); ; {
		some, err := i.from.Verdicts(ctx, i.tenant, results.VerdictFilter{AllRevisions: true}, p)
		for _, v := range some {
			all = append(all, loggedVerdict{v.Job, v.Subject, v.Site, results.Sum(v.Body), v.Revision, oddColumn(v)})
			p.After = fmt.Sprintf("%s.%d", v.Job, v.Revision)
		}
		if err != nil || len(some) < page {
			return all, err
		}
	}
}

// oddColumn names a column of a verdict's row that is not what its body says: lists are made from the columns.
func oddColumn(v results.Verdict) string {
	var body pipeline.Verdict
	if json.Unmarshal(v.Body, &body) != nil {
		return "body"
	}
	var codes []pipeline.Code
	for _, r := range body.Reasons {
		if !slices.Contains(codes, r.Code) {
			codes = append(codes, r.Code)
		}
	}
	switch {
	case body.Decision != v.Decision:
		return "decision"
	case body.Subject != v.Subject:
		return "subject"
	case body.Site != v.Site:
		return "site"
	case body.Job != v.Job:
		return "job"
	case body.Revision != v.Revision:
		return "revision"
	case body.CreatedAt.UnixMilli() != v.CreatedAt.UnixMilli():
		return "time"
	case !slices.Equal(codes, v.Codes) && len(codes)+len(v.Codes) > 0:
		return "codes"
	}
	return ""
}

// compareVerdicts holds every verdict against the entry of its revision, and every entry against the verdicts.
func (i *inspection) compareVerdicts(all []loggedVerdict, keep int) {
	there := map[string]map[int]bool{} // the revisions of each job
	for _, v := range all {
		if there[v.job] == nil {
			there[v.job] = map[int]bool{}
		}
		there[v.job][v.revision] = true
		i.verdict(v)
	}
	for t := range i.about {
		name, job, _ := strings.Cut(t, "|")
		if name != verdictTopic {
			continue
		}
		list := i.entriesAbout(verdictTopic, job)
		first := 1 // that is not there
		for there[job][first] {
			first++
		}
		if first > len(list) || there[job] == nil && i.jobOver(job, keep) { // all of them go at once
			continue
		}
		if i.fresh(list) { // written since the verdicts were read
			continue
		}
		i.add(VerdictMissing, "verdict "+job, job, -1, fmt.Sprintf("%d revisions of the verdict of job %s were logged, and %d are there: revision %d is not", len(list), job, len(there[job]), first),
			fmt.Sprintf("任务 %s 的结论记录了 %d 版，实际有 %d 版：缺少第 %d 版", job, len(list), len(there[job]), first))
	}
}

// fresh says that the newest of these entries is younger than the head that the inspection began with: what it is about may not have been read.
func (i *inspection) fresh(list []results.LoggedEntry) bool {
	last := list[len(list)-1]
	return last.Seq < 0 || last.Seq >= i.began
}

func (i *inspection) verdict(v loggedVerdict) {
	what := fmt.Sprintf("verdict %s revision %d", v.job, v.revision)
	list := i.entriesAbout(verdictTopic, v.job)
	changed := func(en, zh string) {
		i.add(VerdictChanged, what, v.job, -1, fmt.Sprintf("verdict %s, revision %d, %s", v.job, v.revision, en), fmt.Sprintf("任务 %s 的第 %d 版结论%s", v.job, v.revision, zh))
	}
	_, standing := VerdictEntry(list, v.revision, v.digest)
	switch {
	case len(list) == 0 && i.isErased(v.subject): // its entries are hidden, and what is biometric was taken out of it
		i.Erased++
	case standing == Unlogged:
		i.add(VerdictUnlogged, what, v.job, -1, fmt.Sprintf("verdict %s, revision %d, has no entry in the log", v.job, v.revision), fmt.Sprintf("任务 %s 的第 %d 版结论在日志中没有记录", v.job, v.revision))
	case standing == Relogged:
		changed("was logged more than once: somebody added an entry", "被重复记录：有人添加了记录")
	case standing == Altered:
		changed("is not what was logged: it was changed", "与日志不一致：已被改动")
	case v.odd != "":
		changed("has another "+v.odd+" in its row than in its body: the row was changed", "的数据行与正文不一致（"+v.odd+"）：数据行已被改动")
	default:
		i.Verdicts++
	}
}

// compareConfig holds every revision of sites and policies against its entry, one by one: none is added, removed or put in another's place.
func (i *inspection) compareConfig(all []results.Logged) {
	next := map[string]int{}
	lists := map[string][]results.LoggedEntry{}
	for _, r := range all { // by name and revision
		if r.Kind != results.LoggedSite && r.Kind != results.LoggedPolicy {
			continue
		}
		rule, what := SiteChanged, pipeline.Text{EN: "site " + r.Name, ZH: "地点 " + r.Name + " "}
		if r.Kind == results.LoggedPolicy {
			rule, what = PolicyChanged, pipeline.Text{EN: "policy " + r.Name, ZH: "策略 " + r.Name + " "}
		}
		n := next[r.Kind+"|"+r.Name]
		next[r.Kind+"|"+r.Name]++
		if n == 0 {
			lists[r.Kind+"|"+r.Name] = slices.Clone(i.entriesAbout(r.Kind, r.Name))
		}
		list := lists[r.Kind+"|"+r.Name]
		ended := func(e results.LoggedEntry) bool { return e.Action == r.Kind+".deleted" }
		if n < len(list) && !bring(list, n, func(e results.LoggedEntry) bool { return e.Digest == r.Digest && ended(e) == r.Deleted }) {
			bring(list, n, func(e results.LoggedEntry) bool { return ended(e) == r.Deleted })
		}
		switch {
		case n >= len(list) || r.Rev != n+1, ended(list[n]) != r.Deleted:
			i.add(rule, fmt.Sprintf("%s revision %d", what.EN, r.Rev), r.Name, -1, fmt.Sprintf("%s, revision %d, is not what was logged: it was added, or another one was removed", what.EN, r.Rev),
				fmt.Sprintf("%s的第 %d 版与日志不一致：被添加，或其他版本被移除", what.ZH, r.Rev))
		case list[n].Digest == "", strings.HasPrefix(list[n].Digest, "sha256:"):
			i.Unlogged++
		case list[n].Digest != r.Digest:
			i.add(rule, fmt.Sprintf("%s revision %d", what.EN, r.Rev), r.Name, -1, fmt.Sprintf("%s, revision %d, is not what was logged: it was changed", what.EN, r.Rev),
				fmt.Sprintf("%s的第 %d 版与日志不一致：已被改动", what.ZH, r.Rev))
		default:
			i.Documents++
		}
	}
	for t := range i.about {
		kind, name, _ := strings.Cut(t, "|")
		if kind != results.LoggedSite && kind != results.LoggedPolicy {
			continue
		}
		list := i.entriesAbout(kind, name)
		if next[t] >= len(list) || i.fresh(list) { // written since the revisions were read
			continue
		}
		rule := SiteChanged
		if kind == results.LoggedPolicy {
			rule = PolicyChanged
		}
		i.add(rule, kind+" "+name, name, -1, fmt.Sprintf("%d revisions of %s %s were logged, and %d are there: the newest were removed", len(list), kind, name, next[t]),
			fmt.Sprintf("%s 记录了 %d 版，实际有 %d 版：最新版本已被移除", name, len(list), next[t]))
	}
}
