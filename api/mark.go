package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
)

const (
	opMark   = "create-mark"
	opMarks  = "list-marks"
	opUnmark = "revoke-mark"
)

// Mark is what an investigator said about a match of the reuse check.
type Mark struct {
	ID         string           `json:"id"`
	Kind       results.MarkKind `json:"kind" enum:"pair,background"`
	Job        string           `json:"job" doc:"pair: the later one of the two"`
	Other      string           `json:"other,omitempty" doc:"pair: the earlier one"`
	AtMS       *int64           `json:"at_ms,omitempty" doc:"background: time of the marked keyframe in the clip"`
	Site       string           `json:"site,omitempty" doc:"background: the only site that it holds for; missing: it holds everywhere"`
	Note       string           `json:"note"`
	Actor      string           `json:"actor" doc:"id of the API key"`
	Position   int64            `json:"position" doc:"in the sequence of marks; a verdict made at inputs.marks_as_of goes by the marks up to there"`
	CreatedAt  time.Time        `json:"created_at"`
	RevokedAt  *time.Time       `json:"revoked_at,omitempty" doc:"missing: in force"`
	RevokedBy  string           `json:"revoked_by,omitempty"`
	RevokedPos int64            `json:"revoked_position,omitempty"`
}

// MarkInput is what an investigator says.
type MarkInput struct {
	Kind  string `json:"kind" enum:"pair,background" doc:"pair: job and other are not the same recording, or one event that was handed in twice. background: what a keyframe of the job shows (a company's wall, a fixed camera's view) says nothing about reuse"`
	Job   string `json:"job" minLength:"26" maxLength:"26" doc:"id of the job"`
	Other string `json:"other,omitempty" maxLength:"26" doc:"pair: id of the other job; the order of the two does not matter"`
	AtMS  *int64 `json:"at_ms,omitempty" minimum:"0" doc:"background: a time in the clip, 0 for a photo; the nearest keyframe is marked"`
	Site  string `json:"site,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"1 to 64 of letters, digits, . _ - beginning with a letter or digit" doc:"background: id of the only site that it is to hold for; left out: it holds in the whole tenant"`
	Note  string `json:"note" minLength:"1" maxLength:"500" doc:"why; for whoever asks later. No names: it is not sealed"`
}

// MarkAnswer is a mark with what became of the verdict of its job.
type MarkAnswer struct {
	Mark
	Verdict MarkedVerdict `json:"verdict"`
}

// MarkedVerdict says what a change of marks did to the verdict of the marked job: the only one that is looked at again.
type MarkedVerdict struct {
	Job      string            `json:"job"`
	Changed  bool              `json:"changed" doc:"a further revision was written"`
	Revision int               `json:"revision,omitempty" doc:"the newest one"`
	Decision pipeline.Decision `json:"decision,omitempty"`
	Why      *Remark           `json:"why,omitempty" doc:"why it was not compared again: no_verdict (it will be made under the marks), no_fingerprint, other_policy, not_now (a worker does it soon). The mark is in force all the same"`
}

// ErrNoFootage says that a job's footage cannot be compared any more.
var ErrNoFootage = errors.New("the job's fingerprint is not kept any more")

// MarkQuery is what a list of marks may be narrowed by; its JSON is part of the cursor.
type MarkQuery struct {
	Job     string `query:"job" maxLength:"26" doc:"only those of this job, either one of a pair"`
	Kind    string `query:"kind" enum:"pair,background"`
	InForce bool   `query:"in_force" doc:"without those that were revoked"`
}

// markOutput is the answer to a change.
type markOutput struct{ Body MarkAnswer }

func (s *Server) markRoutes() {
	tags := []string{"reuse"}
	effect := "Later uploads are compared under the marks that are in force when their check begins (inputs.marks_as_of). Of the finished jobs only the marked one is compared again, at once or soon by a worker, and gets a " +
		"further revision where that changes its verdict; others keep what they say. "
	register(s, huma.Operation{OperationID: opMark, Method: http.MethodPost, Path: "/v1/reuse/marks", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Mark a match of the reuse check as wrong", Errors: []int{400, 401, 403, 404, 409, 410, 422, 503},
		Description: effect + "A marked pair leads to no finding, not even where its bytes are the same. A marked background no longer makes a question of likeness alone (same_content); the same recording is found as ever."}, s.createMark)
	register(s, huma.Operation{OperationID: opMarks, Method: http.MethodGet, Path: "/v1/reuse/marks", Tags: tags, Summary: "List marks, newest first",
		Description: "Also those that were revoked: verdicts of their time go by them.", Errors: []int{400, 401, 403, 422, 503}}, s.listMarks)
	register(s, huma.Operation{OperationID: opUnmark, Method: http.MethodDelete, Path: "/v1/reuse/marks/{id}", Tags: tags, Summary: "Revoke a mark",
		Description: effect + "The mark stays in the list.", Errors: []int{401, 403, 404, 409, 422, 503}}, s.revokeMark)
}

func showMark(m results.Mark) Mark {
	out := Mark{ID: m.ID, Kind: m.Kind, Job: m.Job, Other: m.Other, Site: m.Site, Note: m.Note, Actor: m.Actor, Position: m.Seq, CreatedAt: m.CreatedAt.UTC(), RevokedBy: m.RevokedBy, RevokedPos: m.RevokedSeq}
	if m.Kind == results.MarkBackground {
		out.AtMS = &m.AtMS
	}
	if !m.RevokedAt.IsZero() {
		at := m.RevokedAt.UTC()
		out.RevokedAt = &at
	}
	return out
}

func (s *Server) createMark(ctx context.Context, in *struct{ Body MarkInput }) (*markOutput, error) {
	noteJob(ctx, in.Body.Job)
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	j, err := s.job(ctx, in.Body.Job)
	if err != nil {
		return nil, err
	}
	m := results.Mark{ID: ulid.Make().String(), Tenant: j.Tenant, Kind: results.MarkKind(in.Body.Kind), Job: j.ID, Site: in.Body.Site, Note: in.Body.Note, Actor: PrincipalOf(ctx).Key, CreatedAt: s.stamp()}
	if m.Kind == results.MarkPair {
		other, err := s.job(ctx, in.Body.Other)
		if err != nil {
			return nil, err
		}
		// Ids of jobs are in the order of their acceptance, and the later one is the one that is compared.
		if m.Other = other.ID; m.Other > m.Job {
			m.Job, m.Other = m.Other, m.Job
		}
	} else if err := s.background(ctx, &m, *in.Body.AtMS); err != nil {
		return nil, err
	}
	subjects, err := s.about(ctx, m)
	if err != nil {
		return nil, err
	}
	m, err = s.Store.CreateMark(ctx, m, s.entries(ctx, "mark.created", m.ID, subjects)...)
	switch {
	case errors.Is(err, results.ErrExists):
		return nil, problem(codeExists).with("This is marked already, and in force; GET /v1/reuse/marks?job=%s shows it.", "该内容已被标记且有效；可用 GET /v1/reuse/marks?job=%s 查看。", m.Job).because(err)
	case errors.Is(err, results.ErrFull):
		return nil, problem(codeState).with("There are %d marked backgrounds for this site (or, without a site, for the whole tenant), as many as there may be. Revoke one that is not needed any more.",
			"该地点（未指定地点时为整个租户）已有 %d 个背景标记，达到上限。请先撤销不再需要的标记。", results.MaxBackgrounds).because(err)
	case err != nil:
		return nil, err
	}
	return &markOutput{MarkAnswer{showMark(m), s.reconsider(ctx, m)}}, nil
}

// about gives the subjects whose footage a mark is about, that of the marked job first.
func (s *Server) about(ctx context.Context, m results.Mark) ([]string, error) {
	var subjects []string
	for _, id := range []string{m.Job, m.Other} {
		if id == "" {
			continue
		}
		j, err := s.job(ctx, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(subjects, j.Subject) {
			subjects = append(subjects, j.Subject)
		}
	}
	return subjects, nil
}

// entries are those of the audit log about one act, one for each subject that it is about.
func (s *Server) entries(ctx context.Context, action, target string, subjects []string) (all []results.AuditEntry) {
	for _, subject := range subjects {
		all = append(all, s.entry(ctx, action, subject, target, ""))
	}
	return all
}

// check holds the fields against each other.
func (in *MarkInput) check() error {
	p := problem(codeInvalid)
	surplus := func(field, kind string) {
		p.field("body."+field, "surplus", nil, say("does not belong to a mark of kind %s", "不适用于类型 %s 的标记", in.Kind), say("leave it out, or use kind %s", "请去掉该字段，或使用类型 %s", kind))
	}
	switch {
	case in.Kind == string(results.MarkPair):
		if in.AtMS != nil {
			surplus("at_ms", string(results.MarkBackground))
		}
		if in.Site != "" {
			surplus("site", string(results.MarkBackground))
		}
		switch in.Other {
		case "":
			p.field("body.other", "required", nil, say("is missing", "缺失"), say("name the other job of the pair", "请给出另一个任务的编号"))
		case in.Job:
			p.field("body.other", "same", nil, say("is the job itself", "与任务本身相同"), say("name the other job of the pair", "请给出另一个任务的编号"))
		}
	default:
		if in.Other != "" {
			surplus("other", string(results.MarkPair))
		}
		if in.AtMS == nil {
			p.field("body.at_ms", "required", nil, say("is missing", "缺失"), say("say which moment of the clip shows the background; 0 for a photo", "请给出显示该背景的时刻；照片为 0"))
		}
	}
	for _, r := range in.Note {
		if unicode.IsControl(r) && r != '\n' {
			p.field("body.note", "pattern", nil, say("has characters that are no text", "含有非文本字符"), say("leave them out", "请去掉这些字符"))
			break
		}
	}
	if len(p.Errors) > 0 {
		return p
	}
	return nil
}

// background finds the keyframe that is meant, and its hash as the verdict has it.
func (s *Server) background(ctx context.Context, m *results.Mark, atMS int64) error {
	if m.Site != "" {
		if _, err := s.Store.Site(ctx, m.Tenant, m.Site, 0); errors.Is(err, results.ErrNotFound) {
			return invalid("body.site", "unknown", nil, say("is no site of yours", "不是您的地点"), say("GET /v1/sites lists them", "可用 GET /v1/sites 查看"))
		} else if err != nil {
			return err
		}
	}
	row, err := s.verdict(ctx, m.Job, 0)
	if err != nil {
		return err
	}
	var v pipeline.Verdict
	if err := json.Unmarshal(row.Body, &v); err != nil {
		return fmt.Errorf("read the verdict of job %s: %w", m.Job, err)
	}
	if atMS > v.Media.DurationMS {
		return invalid("body.at_ms", "maximum", v.Media.DurationMS, say("is after the end of the clip", "超出录像时长"), say("give a time in milliseconds from the beginning", "请给出从开头起的毫秒数"))
	}
	found := false
	for _, k := range v.Media.Keyframes {
		if _, err := reuse.ParseBits256(k.PHash); err == nil && (!found || distance(k.PTSMS, atMS) < distance(m.AtMS, atMS)) {
			m.AtMS, m.Hash, found = k.PTSMS, k.PHash, true
		}
	}
	if !found {
		return problem(codeState).with("Nothing is known any more of what the pictures of this job show: its data was erased, or it never had any.", "该任务的画面信息已不可用：数据已删除，或从未存在。")
	}
	return nil
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// reconsiderFor bounds how long a change of marks waits for the marked job to be compared again.
const reconsiderFor = 20 * time.Second

// reconsider compares the marked job again. The mark is in force whatever comes of it, and also if the client goes away meanwhile.
func (s *Server) reconsider(ctx context.Context, m results.Mark) MarkedVerdict {
	out := MarkedVerdict{Job: m.Job}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconsiderFor)
	defer cancel()
	v, changed, err := results.Verdict{}, false, error(nil)
	select {
	case s.looking <- struct{}{}:
		v, changed, err = s.Core.Reconsider(ctx, m.Tenant, m.Job)
		<-s.looking
	case <-ctx.Done():
		err = ctx.Err()
	}
	out.Revision, out.Decision, out.Changed = v.Revision, v.Decision, changed && err == nil
	if out.Changed {
		s.Bell.Ring(ctx, results.BellVerdict)
		s.Bell.Ring(ctx, results.BellOutbox)
	}
	var other *verify.OtherPolicyError
	settled := true
	switch {
	case err == nil:
	case errors.Is(err, results.ErrNotFound), errors.Is(err, results.ErrErased):
		settled = false // it may be done by now
		out.Why = &Remark{"no_verdict", say("The job has no verdict yet: its check goes by the marks. If it runs already, the job is compared once more right after it.", "该任务尚无结论：检查将按标记执行；若检查已在进行，结束后会立即重新比对一次。")}
	case errors.Is(err, ErrNoFootage):
		out.Why = &Remark{"no_fingerprint", say("The job's fingerprint is not kept any more, so it cannot be compared again; its verdict stays as it is.", "该任务的指纹已不再保存，无法重新比对；其结论保持不变。")}
	case errors.As(err, &other):
		out.Why = &Remark{"other_policy", say("The policy that the verdict was made under is not there any more; it stays as it is.", "该结论所依据的策略已不存在；结论保持不变。")}
	default:
		s.Log.Warn("a marked job could not be compared again", "job", m.Job, "mark", m.ID, "error", err.Error())
		out.Why = &Remark{"not_now", say("The job could not be compared again while you waited. A worker does it as soon as it can; if that changes the verdict, there is a further revision and a webhook.", "未能在等待期间重新比对该任务。工作进程会尽快重新比对；若结论有变，将产生新的修订版并发送 Webhook。")}
		settled = false
	}
	if settled { // if this is not noted a worker compares it once more, and finds the same
		if err := s.Store.Rechecked(ctx, results.Late{Print: results.Print{Job: m.Job}, Jobs: []string{m.Job}}); err != nil {
			s.Log.Warn("a marked job was compared, but that could not be noted; it will be again", "job", m.Job, "error", err.Error())
		}
	}
	return out
}

func (s *Server) listMarks(ctx context.Context, in *struct {
	PageInput
	MarkQuery
}) (*struct{ Body List[Mark] }, error) {
	p, err := s.page(ctx, opMarks, in.MarkQuery, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Marks(ctx, PrincipalOf(ctx).Tenant, results.MarkFilter{Job: in.Job, Kind: results.MarkKind(in.Kind), InForce: in.InForce}, p)
	if err != nil {
		return nil, err
	}
	return &struct{ Body List[Mark] }{list(s, ctx, opMarks, in.MarkQuery, p, rows, func(m results.Mark) string { return m.ID }, showMark)}, nil
}

func (s *Server) revokeMark(ctx context.Context, in *ULIDPath) (*markOutput, error) {
	p := PrincipalOf(ctx)
	m, err := s.Store.Mark(ctx, p.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	noteJob(ctx, m.Job)
	subjects, err := s.about(ctx, m)
	if err != nil {
		return nil, err
	}
	m, err = s.Store.RevokeMark(ctx, p.Tenant, in.ID, p.Key, s.stamp(), s.entries(ctx, "mark.revoked", in.ID, subjects)...)
	if errors.Is(err, results.ErrStale) {
		return nil, problem(codeState).with("This mark was revoked before.", "该标记此前已被撤销。").because(err)
	}
	if err != nil {
		return nil, err
	}
	return &markOutput{MarkAnswer{showMark(m), s.reconsider(ctx, m)}}, nil
}
