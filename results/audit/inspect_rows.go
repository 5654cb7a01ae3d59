package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// rowKinds are the kinds of rows that hold one state and no revisions, in words. ends names the action after which there is none.
var rowKinds = map[string]struct {
	name pipeline.Text
	ends string
}{
	results.LoggedSettings:  {name: pipeline.Text{EN: "the row of the tenant's", ZH: "租户设置"}},
	results.LoggedKey:       {name: pipeline.Text{EN: "API key", ZH: "API 密钥"}},
	results.LoggedWebhook:   {name: pipeline.Text{EN: "webhook", ZH: "回调"}, ends: "webhook.deleted"},
	results.LoggedBucket:    {name: pipeline.Text{EN: "mapped bucket", ZH: "存储桶映射"}, ends: "bucket.unmapped"},
	results.LoggedSubject:   {name: pipeline.Text{EN: "subject", ZH: "人员"}},
	results.LoggedChallenge: {name: pipeline.Text{EN: "challenge", ZH: "挑战"}},
	results.LoggedModel:     {name: pipeline.Text{EN: "manifest of the model", ZH: "模型清单"}},
	results.LoggedEpoch:     {name: pipeline.Text{EN: "models'", ZH: "模型"}},
}

// compareRows holds rows of one state against the newest entry about each. An entry without a digest is an earlier program's.
func (i *inspection) compareRows(all []results.Logged) {
	there := map[string]bool{}
	i.activeEpoch(all)
	for _, r := range all {
		kind, ok := rowKinds[r.Kind]
		if !ok {
			continue
		}
		t := r.Kind + "|" + r.Name
		there[t] = true
		i.row(r, kind.name, kind.ends)
	}
	for t := range i.about {
		k, name, _ := strings.Cut(t, "|")
		kind, ok := rowKinds[k]
		if !ok || there[t] || k == results.LoggedChallenge { // a challenge goes with its job, or some days after its end
			continue
		}
		list := i.entriesAbout(k, name)
		last := list[len(list)-1]
		ended := slices.ContainsFunc(list, func(e results.LoggedEntry) bool { return e.Action == kind.ends && maybeLast(list, k, e) })
		if last.Action != kind.ends && !ended && !i.fresh(list) && !i.isErased(last.Subject) {
			i.rowFinding(kind.name, name, "was logged, and is not there: its row was removed", "已记入日志，但不存在：数据行已被移除")
		}
	}
}

// activeEpoch holds the states of epochs against their numbers: each ended the one before it, so the newest is active and no other.
func (i *inspection) activeEpoch(all []results.Logged) {
	var epochs []results.Logged
	for _, r := range all {
		if r.Kind == results.LoggedEpoch {
			epochs = append(epochs, r)
		}
	}
	for n, r := range epochs {
		switch newest := n == len(epochs)-1; {
		case newest && r.Deleted:
			i.rowFinding(rowKinds[r.Kind].name, r.Name, "is the newest, and passes for one that is over: the state in its row was changed", "是最新批次，却标为已结束：数据行中的状态已被改动")
		case !newest && !r.Deleted:
			i.rowFinding(rowKinds[r.Kind].name, r.Name, "is over, and passes for the active one: the state in its row was changed, or a newer one was added", "已结束，却标为当前批次：数据行中的状态已被改动，或后来添加了更新的批次")
		}
	}
}

func (i *inspection) rowFinding(kind pipeline.Text, name, en, zh string) {
	i.add(RowChanged, kind.EN+" "+name, name, -1, fmt.Sprintf("%s %s %s", kind.EN, name, en), fmt.Sprintf("%s %s %s", kind.ZH, name, zh))
}

func (i *inspection) row(r results.Logged, kind pipeline.Text, ends string) {
	list := i.entriesAbout(r.Kind, r.Name)
	// What was logged last, and whatever came while the inspection ran: the row may have been read before or after.
	first := max(0, len(list)-1)
	for first > 0 && i.fresh(list[:first+1]) {
		first--
	}
	says := func(e results.LoggedEntry) bool { return e.Digest == r.Digest && e.Action != ends }
	agrees := slices.ContainsFunc(list[first:], says) || slices.ContainsFunc(list, func(e results.LoggedEntry) bool { return says(e) && maybeLast(list, r.Kind, e) })
	_, erased := i.erased[r.Subject]
	switch {
	case r.Kind == results.LoggedSubject && r.Deleted != erased && !i.freshErasure(r.Subject):
		i.rowFinding(kind, r.Name, "says otherwise than the log whether the person was erased", "的数据行与日志关于是否已删除的记载不一致")
	case erased: // their entries are hidden
	case len(list) == 0 && r.Kind == results.LoggedSettings && r.Digest == (results.Tenant{ID: i.tenant, Rev: 1}).Digest():
		i.Documents++
	case len(list) == 0 && (r.Kind == results.LoggedModel || r.Foreign): // another tenant's, or from before this one was there
	case len(list) == 0:
		i.rowFinding(kind, r.Name, "is not in the log: its row was added or changed", "未记入日志：数据行为后来添加或已被改动")
	case agrees:
		i.Documents++
	case len(list[len(list)-1].Digest) != len(r.Digest) && list[len(list)-1].Action != ends, i.unknownBefore(list, first, r.Digest, ends):
		i.Unlogged++
	default:
		i.rowFinding(kind, r.Name, "is not what was logged last: its row was changed, or is there again", "与日志最后的记载不一致：数据行已被改动或重新出现")
	}
}

// maybeLast says that an entry may be of a row's last change, wherever it stands in the list. Of the kinds that change in one direction only
// entriesAbout knows the last.
func maybeLast(list []results.LoggedEntry, kind string, e results.LoggedEntry) bool {
	switch kind {
	case results.LoggedSettings, results.LoggedWebhook, results.LoggedBucket, results.LoggedSubject:
		newest := slices.MaxFunc(list, func(a, b results.LoggedEntry) int { return a.At.Compare(b.At) }).At
		return newest.Sub(e.At) < together
	}
	return false
}

// unknownBefore says that a row which may have been read before the changes from first on cannot be compared with what it was then: there is no
// entry from before the inspection, or an earlier program's without a digest.
func (i *inspection) unknownBefore(list []results.LoggedEntry, first int, digest, ends string) bool {
	return i.fresh(list) && (i.fresh(list[:first+1]) || list[first].Action != ends && len(list[first].Digest) != len(digest))
}

// freshErasure says that somebody was erased while the inspection ran.
func (i *inspection) freshErasure(subject string) bool {
	e, ok := i.erased[subject]
	return ok && i.fresh([]results.LoggedEntry{e})
}

// markGone says whether the log tells why a mark is not there: one of its jobs went when its time was over, or a subject of it was erased.
func (i *inspection) markGone(mark string, made []results.LoggedEntry, keep int) bool {
	for _, e := range i.about[unmarkedTopic+"|"+mark] {
		if e.Digest == "" { // written when the tables were brought to this program's version
			i.Unlogged++
			return true
		}
		for subject, erasure := range i.erased {
			about := slices.ContainsFunc(made, func(m results.LoggedEntry) bool { return m.Subject == subject }) || i.hiddenAbout(mark, subject)
			if about && results.Sum([]byte(erasure.ID)) == e.Digest {
				return true
			}
		}
		if job, ok := i.jobOf(e.Digest); ok && i.jobOver(job, keep) {
			return true
		}
	}
	return false
}

func (i *inspection) hiddenAbout(mark, subject string) bool {
	return slices.ContainsFunc(i.hidden, func(e results.LoggedEntry) bool { return e.Target == mark && e.Subject == subject })
}

// jobOf finds the job whose id has a sum.
func (i *inspection) jobOf(sum string) (string, bool) {
	if i.jobs == nil {
		i.jobs = map[string]string{}
		for t := range i.about {
			if name, job, _ := strings.Cut(t, "|"); name == verdictTopic || name == jobTopic {
				i.jobs[results.Sum([]byte(job))] = job
			}
		}
		for _, e := range i.hidden { // a job of an erased subject goes in its time, too
			if topic(e) != "" && e.Target != "" {
				i.jobs[results.Sum([]byte(e.Target))] = e.Target
			}
		}
	}
	job, ok := i.jobs[sum]
	return job, ok
}

// logged says that there is an entry about a job's verdict or its end that can be read.
func (i *inspection) logged(job string) bool {
	return len(i.about[verdictTopic+"|"+job])+len(i.about[jobTopic+"|"+job]) > 0
}

// jobOver says that the time of all that belongs to a job is over, from its first entry on. Of a job whose entries are hidden it takes the
// removal's word.
func (i *inspection) jobOver(job string, keep int) bool {
	list := slices.Concat(i.about[verdictTopic+"|"+job], i.about[jobTopic+"|"+job])
	if len(list) == 0 {
		return true
	}
	return i.over(slices.MinFunc(list, func(a, b results.LoggedEntry) int { return a.At.Compare(b.At) }).At, keep)
}

// early is how much longer ago a file may have been received than it was first logged: a bucket's event may wait for its job.
const early = 24 * time.Hour

// over says that what was first logged at some time may be gone. keep is for how many days verdicts are kept now.
func (i *inspection) over(since time.Time, keep int) bool {
	since = since.Add(-early)
	days, _ := i.terms.least(since, func(s results.Settings) int { return cmp.Or(s.VerdictDays, keep) })
	return !i.from.Now().Before(since.AddDate(0, 0, min(keep, days)))
}

// term is for how many days things are kept from some time on; 0: nobody wrote it down.
type term struct {
	at   time.Time
	days results.Settings
}

type terms []term

// readTerms gives what the entries of changed settings say. One without a place could be anybody's.
func (i *inspection) readTerms() (all terms) {
	for _, e := range i.about[results.LoggedSettings+"|"+results.LoggedSettings] {
		if e.Seq >= 0 {
			all = append(all, term{e.At, results.KeptOf(e.Target)})
		}
	}
	return all
}

// least gives the least number of days that held at some time or was set since then: when something goes is written down with the settings of
// that moment, and settings that change later do not move it. unknown says that a change among them, an earlier program's, does not name the days.
func (t terms) least(since time.Time, days func(results.Settings) int) (least int, unknown bool) {
	before, held, least := time.Time{}, results.Settings{}.Filled(), math.MaxInt
	take := func(n int) {
		if n == 0 {
			unknown = true
			return
		}
		least = min(least, n)
	}
	for _, one := range t {
		if one.at.After(since) {
			take(days(one.days))
		} else if !one.at.Before(before) {
			before, held = one.at, one.days
		}
	}
	take(days(held))
	return least, unknown
}

// loggedJob is what is compared of a job.
type loggedJob struct {
	id, subject, site string
	state             results.JobState
	revision          int
}

// listJobs reads all jobs of the tenant.
func (i *inspection) listJobs(ctx context.Context) (all []loggedJob, err error) {
	for p := (results.Page{Limit: page}); ; {
		some, err := i.from.Jobs(ctx, i.tenant, results.JobFilter{}, p)
		for _, j := range some {
			all = append(all, loggedJob{j.ID, j.Subject, j.Site, j.State, j.Revision})
		}
		if err != nil || len(some) < page {
			return all, err
		}
		p.After = some[len(some)-1].ID
	}
}

// compareJobs holds jobs against their verdicts and entries: none is removed, and none says another end than it had. They were read before
// the verdicts.
func (i *inspection) compareJobs(jobs []loggedJob, verdicts []loggedVerdict, keep int) {
	last := map[string]loggedVerdict{}
	for _, v := range verdicts {
		if v.revision >= last[v.job].revision {
			last[v.job] = v
		}
	}
	there := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		there[j.id] = true
		v := last[j.id]
		if v.job == "" && i.logged(j.id) && i.jobOver(j.id, keep) { // its verdict went between the two readings
			continue
		}
		if en, zh := i.oddJob(j, v); en != "" {
			i.add(JobChanged, "job "+j.id, j.id, -1, fmt.Sprintf("job %s %s: its row was changed", j.id, en), fmt.Sprintf("任务 %s %s：数据行已被改动", j.id, zh))
		}
	}
	for t := range i.about {
		name, job, _ := strings.Cut(t, "|")
		if name != jobTopic && name != verdictTopic || there[job] || i.jobOver(job, keep) {
			continue
		}
		there[job] = true // say it once
		if list := i.entriesAbout(name, job); !i.fresh(list[:1]) {
			i.add(JobChanged, "job "+job, job, list[0].Seq, fmt.Sprintf("job %s was logged (entry %d), and is not there: its row was removed", job, list[0].Seq), fmt.Sprintf("任务 %s 已记入日志（第 %d 条），但不存在：数据行已被移除", job, list[0].Seq))
		}
	}
}

// oddJob says what of a job's row is not what its verdict or its entries say.
func (i *inspection) oddJob(j loggedJob, v loggedVerdict) (en, zh string) {
	ends := i.entriesAbout(jobTopic, j.id)
	ended := func(action string) bool {
		return slices.ContainsFunc(ends, func(e results.LoggedEntry) bool { return e.Action == action })
	}
	switch {
	case v.job != "" && v.subject != j.subject:
		return "is of another subject than its verdict", "的人员与结论不一致"
	case v.job != "" && v.site != j.site:
		return "is of another site than its verdict", "的地点与结论不一致"
	case j.state == results.Done && v.job == "" && !i.isErased(j.subject):
		return "is done and has no verdict", "已完成但没有结论"
	case j.state == results.Done && j.revision > v.revision:
		return fmt.Sprintf("names revision %d of its verdict, and the newest is %d", j.revision, v.revision), fmt.Sprintf("所指的结论为第 %d 版，而最新为第 %d 版", j.revision, v.revision)
	case j.state == results.Refused && !ended(results.EventJobRefused) && !i.isErased(j.subject), j.state == results.Dead && !ended(results.EventJobDead) && !i.isErased(j.subject):
		return fmt.Sprintf("is %s, and the log says nothing of that", j.state), fmt.Sprintf("状态为 %s，而日志中没有相应记录", j.state)
	}
	return "", ""
}
