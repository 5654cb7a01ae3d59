package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"onsite/pipeline"
	"onsite/results"
)

// Source is what an inspection reads of the results store.
type Source interface {
	LogHead(ctx context.Context, tenant string) (results.LogHead, error)
	LogHashes(ctx context.Context, tenant string, indexes []int64) ([][]byte, error)
	LogEntries(ctx context.Context, tenant string, from int64, n int) ([]results.LoggedEntry, error)
	LogWaiting(ctx context.Context, tenant, after string, n int) ([]results.LoggedEntry, error)
	LogKey(ctx context.Context, tenant string) (results.LogKey, error)
	Checkpoints(ctx context.Context, tenant string, after int64, n int) ([]results.Checkpoint, error)
	Verdicts(ctx context.Context, tenant string, f results.VerdictFilter, p results.Page) ([]results.Verdict, error)
	Logged(ctx context.Context, tenant string) ([]results.Logged, error)
	Reverifications(ctx context.Context, tenant, job string, p results.Page) ([]results.Reverification, error)
	Tenant(ctx context.Context, id string) (results.Tenant, error)
	Jobs(ctx context.Context, tenant string, f results.JobFilter, p results.Page) ([]results.Job, error)
	Now() time.Time
}

// Rule names what an inspection found.
type Rule string

// The rules, each with what it means.
const (
	EntryChanged    Rule = "entry_changed"    // an entry is not what its leaf commits to
	EntryMissing    Rule = "entry_missing"    // the log has a leaf at this place, and the store no entry
	SaltMissing     Rule = "salt_missing"     // an entry cannot be checked, and its subject was not erased
	EntryAdded      Rule = "entry_added"      // an entry claims a place that the log does not have
	TreeChanged     Rule = "tree_changed"     // the kept hashes of the tree do not follow from its leaves
	HeadChanged     Rule = "head_changed"     // size or root of the log are not those of its entries
	CheckpointBad   Rule = "checkpoint_bad"   // a checkpoint is not signed by the log's key, or cannot be read
	Diverged        Rule = "diverged"         // a signed checkpoint says otherwise than the log: it was rewritten, or there are two
	LogShort        Rule = "log_short"        // a signed checkpoint is of more entries than the log has: its end was cut off
	VerdictChanged  Rule = "verdict_changed"  // a verdict is not what its entry was written for
	VerdictUnlogged Rule = "verdict_unlogged" // a verdict has no entry
	VerdictMissing  Rule = "verdict_missing"  // a verdict was logged and is not there, though its time is not over
	CheckpointNone  Rule = "checkpoint_none"  // the log says that it was signed, and no checkpoint is there
	PolicyChanged   Rule = "policy_changed"   // the revisions of a policy are not those that were logged
	SiteChanged     Rule = "site_changed"     // the revisions of a site are not those that were logged
	PhotosChanged   Rule = "photos_changed"   // somebody's enrolled photos are not those that were logged
	ConsentChanged  Rule = "consent_changed"  // a consent is not what was logged
	MarkChanged     Rule = "mark_changed"     // a mark of the reuse check is not what was logged
	AgainChanged    Rule = "again_changed"    // a verdict that was made again is not what was logged
	ClaimChanged    Rule = "claim_changed"    // a submission's claim is not the one that its verdict names
	RowChanged      Rule = "row_changed"      // settings, an API key, a webhook, a bucket, a subject, a challenge or a model is not what was logged last
	JobChanged      Rule = "job_changed"      // a job's row is gone, or not what its verdict or its entries say
	EntryDisguised  Rule = "entry_disguised"  // an entry passes for one of an erased subject, or one of theirs is gone
	PrintChanged    Rule = "print_changed"    // the row of a fingerprint, or its frame hashes, are not what the fingerprint says
	ObjectBad       Rule = "object_bad"       // a kept file cannot be opened, or is another one
	ObjectMissing   Rule = "object_missing"   // a kept file is not there
)

// Finding is one thing that does not agree.
type Finding struct {
	Rule Rule          `json:"rule"`
	What string        `json:"what"`          // entry 17, verdict 01J... revision 1, checkpoint of 40 entries, ...
	ID   string        `json:"id,omitempty"`  // of the entry, the job, the object
	Seq  *int64        `json:"seq,omitempty"` // place in the log, from 0
	Text pipeline.Text `json:"text"`
}

// Report is what an inspection of one tenant says.
type Report struct {
	Tenant      string    `json:"tenant"`
	Entries     int64     `json:"entries"`
	Root        string    `json:"root,omitempty"` // hex; of the tree of those entries, made anew
	Hidden      int64     `json:"hidden"`         // entries of erased subjects: in the tree, but nobody can tell any more what they say
	Waiting     int64     `json:"waiting"`        // entries without a place yet
	Checkpoints int       `json:"checkpoints"`    // compared, those from outside among them
	Verdicts    int       `json:"verdicts"`       // compared with their entries
	Erased      int       `json:"erased"`         // verdicts of erased subjects: what is biometric was taken out of them, so they cannot be compared
	Unlogged    int       `json:"unlogged"`       // revisions whose entry has no digest that can be compared: an earlier program wrote it
	Documents   int       `json:"documents"`      // revisions of sites, policies and enrolled photos, consents, marks, reverifications and rows of one state, compared with their entries
	Objects     int       `json:"objects"`        // opened and compared
	Untimed     int       `json:"untimed"`        // files that are not there, and of which nobody can say whether their time was over: an earlier program logged a change of settings without the days
	Key         string    `json:"key,omitempty"`
	Pinned      bool      `json:"pinned"` // the key was given by the caller; without one the store's own word is taken for it
	Findings    []Finding `json:"findings"`
	More        int       `json:"more,omitempty"` // findings beyond maxFindings, not listed

	gone  []string // subjects that the log says were erased
	terms terms    // for how long things were kept, as the log says
}

// maxFindings bounds the list: whoever lost a table need not read a line for each row.
const maxFindings = 200

// Intact says that nothing was found.
func (r *Report) Intact() bool { return len(r.Findings) == 0 }

func (r *Report) add(rule Rule, what, id string, seq int64, en, zh string) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	f := Finding{Rule: rule, What: what, ID: id, Text: pipeline.Text{EN: en, ZH: zh}}
	if seq >= 0 {
		f.Seq = &seq
	}
	r.Findings = append(r.Findings, f)
}

// Options of an inspection.
type Options struct {
	Public  string   // the log's public key as the caller knows it; "": the store's own
	Witness []string // signed checkpoints that were kept elsewhere
}

// page is how many entries are read at a time.
const page = 500

// Inspect makes the whole tree of a tenant anew from the store's entries, and compares it with the kept hashes, the signed checkpoints (the
// store's and those from elsewhere), and the verdicts, policies, sites, enrolled photos, consents, marks, jobs and whatever else is logged with its digest. What does not agree is in the report; an error says that something could
// not be read. The log may grow meanwhile: what comes after the beginning is left to the next inspection.
func Inspect(ctx context.Context, s Source, tenant string, o Options) (*Report, error) {
	i := &inspection{
		from: s, Report: &Report{Tenant: tenant, Key: o.Public, Pinned: o.Public != "", Findings: []Finding{}}, tenant: tenant,
		about: map[string][]results.LoggedEntry{}, seen: map[string]bool{}, erased: map[string]results.LoggedEntry{}, theirs: map[string]map[string]int64{},
		tree: map[int64]tlog.Hash{},
	}
	head, err := s.LogHead(ctx, tenant)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return nil, err
	}
	i.began = head.Size
	// What entries are about first, then entries, those without a place before those with one: what is written or placed meanwhile is seen.
	jobs, err := i.listJobs(ctx)
	if err != nil {
		return nil, err
	}
	verdicts, err := i.verdicts(ctx)
	if err != nil {
		return nil, err
	}
	logged, err := s.Logged(ctx, tenant)
	if err != nil {
		return nil, err
	}
	again, err := i.reverifications(ctx)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{i.waiting, i.key, func(ctx context.Context) error { return i.checkpoints(ctx, o.Witness) }, i.entries, i.beyond} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	i.hiddenOnes()
	i.terms = i.readTerms()
	i.compareConfig(logged)
	i.comparePeople(logged)
	i.compareRows(logged)
	t, err := s.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	keep := t.Settings.Filled().VerdictDays
	i.compareMarks(logged, keep)
	i.compareVerdicts(verdicts, keep)
	i.compareJobs(jobs, verdicts, keep)
	i.compareAgain(again, keep)
	i.gone = slices.Collect(maps.Keys(i.erased))
	return i.Report, nil
}

type inspection struct {
	*Report
	from   Source
	tenant string
	began  int64                            // entries of the log before anything else was read: what these are about was there
	size   int64                            // entries of the log when the walk over them began
	heads  []signedHead                     // by size
	about  map[string][]results.LoggedEntry // verdict, site or policy and its id -> its entries, in order; see topic
	seen   map[string]bool                  // entries that are in about already, while they waited
	hidden []results.LoggedEntry            // entries without a nonce: whoever they are about must have been erased
	erased map[string]results.LoggedEntry   // subjects that the log says were erased, with that entry
	kept   [][]byte                         // hashes of the kept tree from index first on; nil: none
	first  int64
	theirs map[string]map[string]int64 // of each subject the entries that nobody can check: id and place
	tree   map[int64]tlog.Hash         // the tree made anew, of complete subtrees what is needed to go on
	jobs   map[string]string           // by the sum of their ids
	good   int64                       // the largest size at which a signed checkpoint agreed
}

type signedHead struct {
	Head
	from string // for people
}

func (i *inspection) key(ctx context.Context) error {
	if i.Key != "" {
		return nil
	}
	k, err := i.from.LogKey(ctx, i.tenant)
	if errors.Is(err, results.ErrNotFound) {
		return nil
	}
	i.Key = k.Public
	return err
}

// checkpoints reads all signed heads.
func (i *inspection) checkpoints(ctx context.Context, witness []string) error {
	open := func(text, from string) {
		i.Checkpoints++
		h, err := Open(text, i.Key)
		if err == nil && h.Origin != Origin(i.tenant) {
			err = fmt.Errorf("%w: it is of %q", ErrHead, h.Origin)
		}
		if err != nil {
			i.add(CheckpointBad, from, "", -1, from+": "+err.Error(), from+"：签名检查点无效或不是由该密钥签署")
			return
		}
		i.heads = append(i.heads, signedHead{h, from})
	}
	head, err := i.from.LogHead(ctx, i.tenant) // before them: a checkpoint is there before the head says so
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	for after := int64(-1); ; {
		some, err := i.from.Checkpoints(ctx, i.tenant, after, page)
		if err != nil {
			return err
		}
		for _, c := range some {
			before := len(i.heads)
			open(c.Note, fmt.Sprintf("checkpoint of %d entries", c.Size))
			if len(i.heads) > before && i.heads[before].Size != c.Size {
				i.add(CheckpointBad, i.heads[before].from, "", -1,
					fmt.Sprintf("the checkpoint that is kept for %d entries is of %d", c.Size, i.heads[before].Size),
					fmt.Sprintf("为 %d 条记录保存的检查点实际对应 %d 条", c.Size, i.heads[before].Size))
			}
			after = c.Size
		}
		if len(some) < page {
			break
		}
	}
	if head.Signed > 0 && !slices.ContainsFunc(i.heads, func(h signedHead) bool { return h.Size == head.Signed }) {
		i.add(CheckpointNone, fmt.Sprintf("checkpoint of %d entries", head.Signed), "", -1,
			fmt.Sprintf("the log says that its first %d entries were signed, and no such checkpoint is there", head.Signed), fmt.Sprintf("日志记载前 %d 条已签名，但没有对应的检查点", head.Signed))
	}
	for n, text := range witness {
		open(text, fmt.Sprintf("checkpoint %d from elsewhere", n+1))
	}
	slices.SortStableFunc(i.heads, func(a, b signedHead) int { return int(min(max(a.Size-b.Size, -1), 1)) })
	return nil
}

// entries walks over the log in order, and compares its end.
func (i *inspection) entries(ctx context.Context) error {
	head, err := i.from.LogHead(ctx, i.tenant)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	i.size = head.Size
	i.agree(0)
	for i.Entries < i.size {
		some, err := i.from.LogEntries(ctx, i.tenant, i.Entries, page)
		if err != nil {
			return err
		}
		end := i.size
		if len(some) == page {
			end = min(end, some[page-1].Seq+1)
		}
		for i.Entries < end {
			var e *results.LoggedEntry
			if len(some) > 0 && some[0].Seq == i.Entries {
				e, some = &some[0], some[1:]
			}
			if err := i.place(ctx, e); err != nil {
				return err
			}
		}
	}
	root, err := i.root()
	if err != nil {
		return err
	}
	i.Root = hex.EncodeToString(root[:])
	if i.size > 0 && !slices.Equal(head.Root, root[:]) {
		i.add(HeadChanged, "head of the log", "", -1, fmt.Sprintf("the head of the log has root %x; its %d entries make %s", head.Root, i.size, i.Root),
			fmt.Sprintf("日志头记载的根为 %x；而其 %d 条记录得出 %s", head.Root, i.size, i.Root))
	}
	for _, signed := range i.heads {
		if signed.Size > i.size {
			i.add(LogShort, signed.from, "", -1,
				fmt.Sprintf("%s: %d entries were signed, and the log has %d: its end was cut off, or this is another log", signed.from, signed.Size, i.size),
				fmt.Sprintf("%s：签名时有 %d 条，而日志只有 %d 条：末尾被截断，或这是另一份日志", signed.from, signed.Size, i.size))
		}
	}
	return nil
}

// place takes the next place of the log, with the entry that claims it; nil: none does.
func (i *inspection) place(ctx context.Context, e *results.LoggedEntry) error {
	seq := i.Entries
	first, end := tlog.StoredHashCount(seq), tlog.StoredHashCount(seq+1)
	if err := i.keep(ctx, seq, first, end); err != nil {
		return err
	}
	kept := i.kept[first-i.first : end-i.first]
	var leaf tlog.Hash // of what cannot be known: agrees with nothing
	copy(leaf[:], kept[0])
	switch {
	case e == nil:
		i.add(EntryMissing, fmt.Sprintf("entry %d", seq), "", seq, fmt.Sprintf("entry %d is in the log and not in the store: it was removed", seq), fmt.Sprintf("第 %d 条记录在日志中但不在结果库中：已被删除", seq))
	case e.Nonce == nil:
		i.Hidden++
		i.hide(*e)
	default:
		own := Leaf(e.Nonce, e.AuditEntry)
		switch {
		case own == leaf:
			i.note(*e)
		case kept[0] == nil:
			leaf = own
		default:
			when := e.At.UTC().Format("2006-01-02 15:04:05Z")
			i.add(EntryChanged, fmt.Sprintf("entry %d", seq), e.ID, seq,
				fmt.Sprintf("entry %d (%s, %s, %s) is not what was logged: the entry, its salt or its place was changed", seq, e.ID, e.Action, when),
				fmt.Sprintf("第 %d 条记录（%s，%s，%s）与写入日志时不一致：记录、盐值或位置已被改动", seq, e.ID, e.Action, when))
		}
	}
	// The tree that follows from the leaf, compared with what is kept of it.
	add, err := tlog.StoredHashesForRecordHash(seq, leaf, tlog.HashReaderFunc(i.border))
	if err != nil {
		return err
	}
	for n, h := range add {
		x := first + int64(n)
		if i.tree[x] = h; !slices.Equal(h[:], kept[n]) {
			i.add(TreeChanged, fmt.Sprintf("hash %d", x), "", seq,
				fmt.Sprintf("hash %d of the tree (made with entry %d) is missing or does not follow from its leaves", x, seq),
				fmt.Sprintf("哈希树的第 %d 个哈希（随第 %d 条记录生成）缺失或与其叶子不符", x, seq))
		}
	}
	i.Entries++
	i.forget()
	if slices.ContainsFunc(i.heads, func(h signedHead) bool { return h.Size == i.Entries }) {
		i.agree(i.Entries)
	}
	return nil
}

// keep has the kept hashes of the place seq, from index first to end, at hand.
func (i *inspection) keep(ctx context.Context, seq, first, end int64) error {
	if i.kept != nil && first >= i.first && end <= i.first+int64(len(i.kept)) {
		return nil
	}
	var indexes []int64
	for x := first; x < tlog.StoredHashCount(min(seq+page, i.size)); x++ {
		indexes = append(indexes, x)
	}
	var err error
	i.first = first
	i.kept, err = i.from.LogHashes(ctx, i.tenant, indexes)
	return err
}

// beyond looks for entries that claim places which the log does not have. What was placed since the beginning is checked the next time.
func (i *inspection) beyond(ctx context.Context) error {
	for from := i.size; ; {
		some, err := i.from.LogEntries(ctx, i.tenant, from, page)
		if err != nil || len(some) == 0 {
			return err
		}
		head, err := i.from.LogHead(ctx, i.tenant) // read after them: it has grown with every one that is right
		if err != nil && !errors.Is(err, results.ErrNotFound) {
			return err
		}
		for _, e := range some {
			if e.Seq >= head.Size {
				i.add(EntryAdded, fmt.Sprintf("entry %d", e.Seq), e.ID, e.Seq,
					fmt.Sprintf("entry %s (%s) claims place %d, and the log ends before it", e.ID, e.Action, e.Seq), fmt.Sprintf("记录 %s（%s）声称位于第 %d 位，但日志在此之前已结束", e.ID, e.Action, e.Seq))
				continue
			}
			i.note(e)
		}
		from = some[len(some)-1].Seq + 1
	}
}

// waiting takes note of the entries that have no place yet.
func (i *inspection) waiting(ctx context.Context) error {
	for after := ""; ; {
		some, err := i.from.LogWaiting(ctx, i.tenant, after, page)
		for _, e := range some {
			if i.Waiting++; e.Hidden {
				i.hide(e)
			} else {
				i.note(e)
			}
			after = e.ID
		}
		if err != nil || len(some) < page {
			return err
		}
	}
}

// border reads hashes of the tree that was made anew.
func (i *inspection) border(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for n, x := range indexes {
		h, ok := i.tree[x]
		if !ok {
			return nil, fmt.Errorf("hash %d of the tree was dropped too early", x)
		}
		out[n] = h
	}
	return out, nil
}

// forget drops what is inside complete subtrees: of n leaves only one hash for each bit of n is needed to go on.
func (i *inspection) forget() {
	if i.Entries%1024 != 0 {
		return
	}
	need := map[int64]tlog.Hash{}
	for level, n := 0, i.Entries; n > 0; level, n = level+1, n/2 {
		if n%2 == 1 {
			x := tlog.StoredHashIndex(level, n-1)
			need[x] = i.tree[x]
		}
	}
	i.tree = need
}

func (i *inspection) root() (tlog.Hash, error) {
	return tlog.TreeHash(i.Entries, tlog.HashReaderFunc(i.border))
}

func (i *inspection) agree(size int64) {
	root, err := i.root()
	for _, h := range i.heads {
		if h.Size != size {
			continue
		}
		if err == nil && root == h.Root {
			i.good = size
			continue
		}
		i.add(Diverged, h.from, "", -1,
			fmt.Sprintf("%s: the log's first %d entries are others than those that were signed; the difference lies after entry %d (the last checkpoint that agrees is of %d entries)", h.from, size, i.good-1, i.good),
			fmt.Sprintf("%s：日志的前 %d 条记录与签名时不同；差异在第 %d 条之后（最后一个一致的检查点含 %d 条）", h.from, size, i.good-1, i.good))
	}
}
