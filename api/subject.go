package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// Subject is an employee as its administrator sees the record.
type Subject struct {
	ID           string     `json:"id"`
	Label        string     `json:"label,omitempty" doc:"what people call the record; need not be a name"`
	EnrolmentRev int        `json:"enrolment_rev" doc:"rises with every change of the photos; 0 before the first"`
	CreatedAt    time.Time  `json:"created_at"`
	ErasedAt     *time.Time `json:"erased_at,omitempty" doc:"erased for good; the id is not given to anybody else"`
}

type createSubjectInput struct {
	Body struct {
		ID    string `json:"id" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"your own id of the employee"`
		Label string `json:"label,omitempty" maxLength:"200" doc:"what people call the record; need not be a name"`
	}
}

type putSubjectInput struct {
	SubjectPath
	Body struct {
		Label string `json:"label" maxLength:"200"`
	}
}

type subjectOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     Subject
}

type subjectsOutput struct{ Body List[Subject] }

// Erasure says what became of a person's data.
type Erasure struct {
	Subject  string    `json:"subject"`
	ErasedAt time.Time `json:"erased_at"`
	Erased   []Remark  `json:"erased" nullable:"false"`
	Remains  []Remark  `json:"remains" nullable:"false" doc:"what is kept, and why"`
}

// Remark is one sentence in both languages, with a stable name.
type Remark struct {
	Kind string        `json:"kind"`
	Text pipeline.Text `json:"text"`
}

type erasureOutput struct{ Body Erasure }

func (s *Server) subjectRoutes() {
	register(s, describe(post, "/v1/subjects", "create-subject", "subjects", "Make a subject", answers(http.StatusCreated)), s.createSubject)
	register(s, describe(get, "/v1/subjects", "list-subjects", "subjects", "List subjects"), s.listSubjects)
	register(s, describe(get, "/v1/subjects/{id}", "get-subject", "subjects", "Read a subject"),
		func(ctx context.Context, in *SubjectPath) (*subjectOutput, error) {
			sub, err := s.Store.Subject(ctx, PrincipalOf(ctx).Tenant, in.ID)
			return &subjectOutput{Status: http.StatusOK, Body: showSubject(sub)}, err
		})
	register(s, describe(put, "/v1/subjects/{id}", "put-subject", "subjects", "Make a subject, or change its label",
		explained("201: it was made; 200: it was there, and has this label now.")), s.putSubject)
	register(s, describe(del, "/v1/subjects/{id}", "erase-subject", "subjects", "Erase a subject for good",
		explained("Destroys the key under which everything biometric of the person is sealed, and deletes it: also copies in backups can no longer be read. "+
			"It cannot be undone. The answer says what remains.")), s.eraseSubject)
	register(s, describe(get, "/v1/subjects/{id}/export", "export-subject", "subjects", "Everything that a person may ask for about themselves",
		explained("Consents, the list of enrolled photos, and every verdict as the notice that the person is shown: reasons and what to do, no scores.")), s.exportSubject)
}

func (s *Server) createSubject(ctx context.Context, in *createSubjectInput) (*subjectOutput, error) {
	sub := results.Subject{Tenant: PrincipalOf(ctx).Tenant, ID: in.Body.ID, Label: in.Body.Label, CreatedAt: s.stamp()}
	if err := s.Store.CreateSubject(ctx, sub, s.entry(ctx, "subject.created", sub.ID, sub.ID, "")); err != nil {
		return nil, err
	}
	return &subjectOutput{Status: http.StatusCreated, Location: subjectURL(sub.ID), Body: showSubject(sub)}, nil
}

func (s *Server) putSubject(ctx context.Context, in *putSubjectInput) (*subjectOutput, error) {
	sub, err := s.Store.Relabel(ctx, PrincipalOf(ctx).Tenant, in.ID, in.Body.Label, s.entry(ctx, "subject.relabelled", in.ID, in.ID, ""))
	if !errors.Is(err, results.ErrNotFound) {
		return &subjectOutput{Status: http.StatusOK, Location: subjectURL(sub.ID), Body: showSubject(sub)}, err
	}
	made := &createSubjectInput{}
	made.Body.ID, made.Body.Label = in.ID, in.Body.Label
	return s.createSubject(ctx, made)
}

func subjectURL(id string) string { return "/v1/subjects/" + id }

func (s *Server) listSubjects(ctx context.Context, in *PageInput) (*subjectsOutput, error) {
	p, err := s.page(ctx, "subjects", nil, *in)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Subjects(ctx, PrincipalOf(ctx).Tenant, p)
	if err != nil {
		return nil, err
	}
	return &subjectsOutput{Body: list(s, ctx, "subjects", nil, p, rows, func(r results.Subject) string { return r.ID }, showSubject)}, nil
}

// alive gives ErrNotFound or ErrErased for a subject with whom nothing can be done.
func (s *Server) alive(ctx context.Context, id string) error {
	sub, err := s.Store.Subject(ctx, PrincipalOf(ctx).Tenant, id)
	if err == nil && !sub.ErasedAt.IsZero() {
		err = results.ErrErased
	}
	return err
}

func (s *Server) eraseSubject(ctx context.Context, in *SubjectPath) (*erasureOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	if _, err := s.Store.Subject(ctx, tenant, in.ID); err != nil {
		return nil, err
	}
	// Asked again after it broke off, it goes on where it was; what was erased before stays so.
	err := s.Vault.Erase(context.WithoutCancel(ctx), tenant, in.ID, s.entry(ctx, "subject.erased", in.ID, in.ID, ""))
	if err != nil && !errors.Is(err, results.ErrErased) {
		return nil, err
	}
	s.names.forget("subject\x00" + tenant + "\x00" + in.ID)
	sub, err := s.Store.Subject(ctx, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	return &erasureOutput{Body: Erasure{Subject: sub.ID, ErasedAt: sub.ErasedAt, Erased: erased, Remains: remains}}, nil
}

// What an erasure does and does not reach. docs/privacy.md says the same at length.
var (
	erased = []Remark{
		{"key", pipeline.Text{EN: "The key of this person is destroyed; whatever was sealed with it can never be read again, also in backups.",
			ZH: "该人员的密钥已销毁；用它加密的内容（包括备份中的）永远无法再读取。"}},
		{"biometrics", pipeline.Text{EN: "Enrolled photos, face templates, submitted media, keyframes and fingerprints are deleted.",
			ZH: "登记照片、人脸模板、提交的媒体、关键帧和指纹已删除。"}},
		{"marks", pipeline.Text{EN: "What investigators marked about this person's submissions is deleted.", ZH: "调查人员对该人员提交内容所作的标记已删除。"}},
		{"jobs", pipeline.Text{EN: "Submissions that were not finished are refused.", ZH: "尚未完成的提交已被拒绝处理。"}},
	}
	remains = []Remark{
		{"verdicts", pipeline.Text{EN: "Verdicts without biometrics remain until their retention ends: id, decision, reasons, times, digests.",
			ZH: "不含生物特征的核验结论（编号、结论、原因、时间、摘要）保留至其保存期限。"}},
		{"record", pipeline.Text{EN: "The id remains, so that it is not given to another person; consents and their withdrawal remain as proof.",
			ZH: "编号保留，以免分配给他人；同意及撤回记录作为证明保留。"}},
		{"audit", pipeline.Text{EN: "Entries of the audit log remain; they hold ids and digests, never faces or names.",
			ZH: "审计日志条目保留；其中只有编号和摘要，不含人脸或姓名。"}},
		{"exported", pipeline.Text{EN: "What was exported or delivered before is out of reach: evidence packages, webhooks, answers of this API.",
			ZH: "此前已导出或发送的内容（证据包、回调通知、接口响应）无法追回。"}},
	}
)

func showSubject(sub results.Subject) Subject {
	return Subject{ID: sub.ID, Label: sub.Label, EnrolmentRev: sub.Rev, CreatedAt: sub.CreatedAt, ErasedAt: moment(sub.ErasedAt)}
}
