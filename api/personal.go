package api

import (
	"context"
	"time"

	"onsite/results"
)

// Export is everything that a person may ask for about themselves. It has no scores, thresholds or templates.
type Export struct {
	Subject   Subject          `json:"subject"`
	Consents  []Consent        `json:"consents" nullable:"false"`
	Photos    []Photo          `json:"photos" nullable:"false" doc:"the pictures themselves: GET /v1/subjects/{id}/photos/{photo}/content"`
	Verdicts  []ExportedNotice `json:"verdicts" nullable:"false" doc:"newest first"`
	CreatedAt time.Time        `json:"created_at"`
}

// ExportedNotice is what the person is shown about one upload.
type ExportedNotice struct {
	SubmittedAt time.Time `json:"submitted_at"`
	Site        string    `json:"site,omitempty"`
	Notice
}

type exportSubjectInput struct {
	SubjectPath
	Lang     string `query:"lang" enum:"en,zh" doc:"language of the notices; left out: as Accept-Language says"`
	Language string `header:"Accept-Language" maxLength:"256"`
}

type exportSubjectOutput struct {
	Disposition string `header:"Content-Disposition"`
	Body        Export
}

// exportedVerdicts bounds an export: ten years of four uploads a day.
const exportedVerdicts = 15_000

func (s *Server) exportSubject(ctx context.Context, in *exportSubjectInput) (*exportSubjectOutput, error) {
	tenant, err := s.tenant(ctx)
	if err != nil {
		return nil, err
	}
	sub, err := s.Store.Subject(ctx, tenant.ID, in.ID)
	if err != nil {
		return nil, err
	}
	lang := in.Lang
	if lang == "" {
		lang = langOf(in.Language)
	}
	out := Export{Subject: showSubject(sub), Photos: []Photo{}, Verdicts: []ExportedNotice{}, CreatedAt: s.stamp()}
	consents, err := s.consents(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out.Consents = consents.Items
	photos, err := s.Store.Photos(ctx, tenant.ID, in.ID, 0)
	if err != nil {
		return nil, err
	}
	for _, p := range photos {
		shown := showPhoto(p)
		shown.Quality = nil // measurements are no business of a notice
		out.Photos = append(out.Photos, shown)
	}
	appeal := appealOf(tenant.Settings, lang)
	for p := (results.Page{Limit: 500}); len(out.Verdicts) < exportedVerdicts; {
		rows, err := s.Store.Verdicts(ctx, tenant.ID, results.VerdictFilter{Subject: in.ID}, p)
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			n := Notice{Job: v.Job, Lang: lang, Reasons: []NoticeReason{}, Next: []string{}, Appeal: appeal}
			n.checked(v)
			out.Verdicts = append(out.Verdicts, ExportedNotice{SubmittedAt: v.SubmittedAt, Site: v.Site, Notice: n})
		}
		if len(rows) < p.Limit {
			break
		}
		p.After = verdictPlace(rows[len(rows)-1])
	}
	if err := s.Store.Append(ctx, s.entry(ctx, "subject.exported", in.ID, in.ID, "")); err != nil {
		return nil, err
	}
	return &exportSubjectOutput{Disposition: `attachment; filename="` + in.ID + `.json"`, Body: out}, nil
}

// appealOf is how to appeal, in the tenant's words or ours.
func appealOf(set results.Settings, lang string) string {
	if text := pick(set.Appeal, lang); text != "" {
		return text
	}
	return pick(noticeAppeal, lang)
}
