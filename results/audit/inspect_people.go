package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"onsite/results"
)

// hide takes note of an entry that nobody can check any more.
func (i *inspection) hide(e results.LoggedEntry) {
	i.hidden = append(i.hidden, e)
	if i.theirs[e.Subject] == nil {
		i.theirs[e.Subject] = map[string]int64{}
	}
	i.theirs[e.Subject][e.ID] = e.Seq
}

func (i *inspection) isErased(subject string) bool {
	_, ok := i.erased[subject]
	return ok
}

// hiddenOnes sees to it that only entries of erased subjects cannot be checked, and no others than those that were there at the erasure.
func (i *inspection) hiddenOnes() {
	for _, e := range i.hidden {
		if whose := SaltOf(e.AuditEntry); whose == "" || !i.isErased(whose) || !e.Hidden {
			i.add(SaltMissing, fmt.Sprintf("entry %d", e.Seq), e.ID, e.Seq,
				fmt.Sprintf("entry %d (%s, %s) cannot be checked: its salt is gone, and nobody was erased whose it could be", e.Seq, e.ID, e.Action),
				fmt.Sprintf("第 %d 条记录（%s，%s）无法核对：盐值已缺失，而对应人员并未被删除", e.Seq, e.ID, e.Action))
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(i.erased)) {
		// Of one that came since the inspection began not all may have been seen; one of an earlier program says nothing.
		if e := i.erased[subject]; e.Digest == "" || i.fresh([]results.LoggedEntry{e}) || results.HiddenDigest(slices.Collect(maps.Keys(i.theirs[subject]))) == e.Digest {
			continue
		}
		id, seq := i.odd(subject)
		if id == "" {
			i.add(EntryDisguised, "erasure of "+subject, i.erased[subject].ID, i.erased[subject].Seq,
				fmt.Sprintf("the %d entries of the erased subject %s are not those that were there at the erasure: some pass for theirs, or are gone", len(i.theirs[subject]), subject),
				fmt.Sprintf("已删除人员 %s 的 %d 条记录与删除时不一致：有记录被冒充，或已缺失", subject, len(i.theirs[subject])))
			continue
		}
		i.add(EntryDisguised, fmt.Sprintf("entry %d", seq), id, seq,
			fmt.Sprintf("entry %d (%s) passes for one of the erased subject %s, and was not theirs at the erasure: it was changed", seq, id, subject),
			fmt.Sprintf("第 %d 条记录（%s）冒充已删除人员 %s 的记录，而删除时并非其记录：已被改动", seq, id, subject))
	}
}

// odd finds the one entry without which a subject's hidden entries are those of the erasure; "" where it is not as simple.
func (i *inspection) odd(subject string) (string, int64) {
	ids := slices.Sorted(maps.Keys(i.theirs[subject]))
	for n, id := range ids {
		if results.HiddenDigest(slices.Concat(ids[:n], ids[n+1:])) == i.erased[subject].Digest {
			return id, i.theirs[subject][id]
		}
	}
	return "", 0
}

// comparePeople holds enrolled photos and consents against their entries. Those of erased subjects are hidden.
func (i *inspection) comparePeople(all []results.Logged) {
	there := map[string]bool{}
	for _, r := range all {
		if r.Kind != results.LoggedEnrolment && r.Kind != results.LoggedConsent || i.isErased(r.Subject) {
			continue
		}
		there[r.Kind+"|"+r.Name+"|"+r.Digest] = true
		list := i.entriesAbout(r.Kind, r.Name)
		at := slices.IndexFunc(list, func(e results.LoggedEntry) bool { return e.Digest == r.Digest })
		switch {
		case at < 0 && slices.ContainsFunc(list, func(e results.LoggedEntry) bool { return e.Digest == "" }): // an earlier program's entry has none
			i.Unlogged++
		case r.Kind == results.LoggedEnrolment && at < 0:
			i.add(PhotosChanged, fmt.Sprintf("photos of %s revision %d", r.Name, r.Rev), r.Name, -1,
				fmt.Sprintf("the enrolled photos of %s, revision %d, are not what was logged: a row was changed, added or removed", r.Name, r.Rev), fmt.Sprintf("%s 的第 %d 版登记照片与日志不一致：数据行被改动、添加或移除", r.Name, r.Rev))
		case r.Kind == results.LoggedConsent && (at < 0 || !i.agreesWithdrawn(r, list[at])):
			i.add(ConsentChanged, "consent "+r.Name, r.Name, -1,
				fmt.Sprintf("the consent %s of %s is not what was logged: it was changed", r.Name, r.Subject), fmt.Sprintf("%s 的同意记录 %s 与日志不一致：已被改动", r.Subject, r.Name))
		default:
			i.Documents++
		}
	}
	for t, list := range i.about {
		kind, name, _ := strings.Cut(t, "|")
		if kind != results.LoggedEnrolment && kind != results.LoggedConsent {
			continue
		}
		for _, e := range list {
			if e.Digest == "" || there[t+"|"+e.Digest] || i.isErased(e.Subject) || i.fresh([]results.LoggedEntry{e}) {
				continue
			}
			if kind == results.LoggedConsent {
				i.add(ConsentChanged, "consent "+name, name, e.Seq, fmt.Sprintf("the consent %s of %s is not there as it was logged", name, e.Subject), fmt.Sprintf("%s 的同意记录 %s 与日志记载不符，或已不存在", e.Subject, name))
				continue
			}
			i.add(PhotosChanged, "photos of "+name, name, e.Seq, fmt.Sprintf("a change of the enrolled photos of %s (entry %d) is not there as it was logged", name, e.Seq),
				fmt.Sprintf("%s 登记照片的一次变更（第 %d 条记录）与日志记载不符，或已不存在", name, e.Seq))
		}
	}
}

// agreesWithdrawn says whether the log, too, has a later withdrawal of the same subject and purpose, or none. One that came while the
// inspection ran may have been read or not, and one of the same moment may have come before.
func (i *inspection) agreesWithdrawn(r results.Logged, given results.LoggedEntry) bool {
	was, since := false, false
	for _, e := range i.about[withdrawnTopic+"|"+r.Subject] {
		if later := e.ID > given.ID; (later || near(e, given)) && e.Target == r.Purpose {
			was, since = was || later && !near(e, given) && !i.fresh([]results.LoggedEntry{e}), true
		}
	}
	return r.Deleted == was || r.Deleted == since
}

// compareMarks holds marks against their entries. A mark goes with its jobs and with the erasure of either subject, and then an entry says so.
func (i *inspection) compareMarks(all []results.Logged, keep int) {
	revoked, there := map[string]bool{}, map[string]bool{}
	for _, r := range all { // of a mark the revocation first
		if r.Kind != results.LoggedMark {
			continue
		}
		there[r.Name], revoked[r.Name] = true, revoked[r.Name] || r.Deleted
		list := i.entriesAbout(results.LoggedMark, r.Name)
		agrees := slices.ContainsFunc(list, func(e results.LoggedEntry) bool {
			return e.Digest == r.Digest && (e.Action == "mark.revoked") == r.Deleted
		})
		taken := !revoked[r.Name] && slices.ContainsFunc(list, func(e results.LoggedEntry) bool {
			return e.Action == "mark.revoked" && !i.fresh([]results.LoggedEntry{e})
		})
		switch {
		case len(list) > 0 && !slices.ContainsFunc(list, func(e results.LoggedEntry) bool { return e.Digest != "" }): // an earlier program's
			i.Unlogged++
		case !agrees || taken:
			i.add(MarkChanged, "mark "+r.Name, r.Name, -1, fmt.Sprintf("mark %s is not what was logged: it was changed, added or put in force again", r.Name), fmt.Sprintf("标记 %s 与日志不一致：被改动、添加或重新生效", r.Name))
		default:
			i.Documents++
		}
	}
	for t, list := range i.about {
		kind, id, _ := strings.Cut(t, "|")
		if kind != results.LoggedMark || there[id] || i.fresh(list) || i.markGone(id, list, keep) {
			continue
		}
		i.add(MarkChanged, "mark "+id, id, list[0].Seq, fmt.Sprintf("mark %s was logged (entry %d), and is not there: it was removed", id, list[0].Seq), fmt.Sprintf("标记 %s 已记入日志（第 %d 条），但不存在：已被移除", id, list[0].Seq))
	}
}

// again is what is compared of a verdict that was made again.
type again struct{ id, job, subject, digest, odd string }

// reverifications reads all verdicts that were made again.
func (i *inspection) reverifications(ctx context.Context) (all []again, err error) {
	for p := (results.Page{Limit: page}); ; {
		some, err := i.from.Reverifications(ctx, i.tenant, "", p)
		for _, r := range some {
			var body struct {
				Job string `json:"job"`
			}
			one := again{id: r.ID, job: r.Job, subject: r.Subject, digest: results.Sum(r.Body)}
			if json.Unmarshal(r.Body, &body) != nil || body.Job != r.Job {
				one.odd = "job"
			}
			all, p.After = append(all, one), r.ID
		}
		if err != nil || len(some) < page {
			return all, err
		}
	}
}

// compareAgain holds verdicts that were made again against their entries, which have their ids. They go with their verdict.
func (i *inspection) compareAgain(all []again, keep int) {
	there := map[string]bool{}
	for _, a := range all {
		there[a.id] = true
		list := i.about[againTopic+"|"+a.id]
		if len(list) == 1 && list[0].Digest == a.digest && list[0].Target == a.job && list[0].Subject == a.subject && a.odd == "" {
			i.Documents++
			continue
		}
		i.add(AgainChanged, "reverification "+a.id, a.id, -1, fmt.Sprintf("reverification %s of job %s is not what was logged: it was changed or added", a.id, a.job),
			fmt.Sprintf("任务 %s 的重新核验 %s 与日志不一致：已被改动或添加", a.job, a.id))
	}
	for t, list := range i.about {
		kind, id, _ := strings.Cut(t, "|")
		if kind != againTopic || there[id] || list[0].Digest == "" || i.isErased(list[0].Subject) || i.fresh(list) {
			continue
		}
		if i.over(list[0].At, keep) || i.logged(list[0].Target) && i.jobOver(list[0].Target, keep) {
			continue
		}
		i.add(AgainChanged, "reverification "+id, id, list[0].Seq, fmt.Sprintf("reverification %s of job %s was logged, and is not there", id, list[0].Target), fmt.Sprintf("任务 %s 的重新核验 %s 已记入日志，但不存在", list[0].Target, id))
	}
}
