package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

// Consent is one recorded consent, to face processing or to listening, and its withdrawal.
type Consent struct {
	ID          string     `json:"id"`
	Purpose     string     `json:"purpose" enum:"face,sound"`
	Notice      string     `json:"notice" doc:"version of the text that the person agreed to"`
	Reference   string     `json:"reference,omitempty" doc:"where the signed record is, in your own files"`
	RecordedBy  string     `json:"recorded_by" doc:"API key that recorded it"`
	GivenAt     time.Time  `json:"given_at"`
	WithdrawnAt *time.Time `json:"withdrawn_at,omitempty"`
}

// ConsentInput is what a consent record must say.
type ConsentInput struct {
	Purpose   string    `json:"purpose,omitempty" enum:"face,sound" default:"face"`
	Notice    string    `json:"notice" minLength:"1" maxLength:"200" doc:"version of the text that the person agreed to"`
	Reference string    `json:"reference,omitempty" maxLength:"500" doc:"where the signed record is, in your own files"`
	GivenAt   time.Time `json:"given_at,omitempty" required:"false" doc:"when it was given; left out: now"`
}

type giveConsentInput struct {
	SubjectPath
	Body ConsentInput
}

type consentOutput struct{ Body Consent }

type consentsOutput struct{ Body List[Consent] }

// Withdrawn says what a withdrawal did.
type Withdrawn struct {
	Consents      List[Consent] `json:"consents"`
	PhotosDeleted int           `json:"photos_deleted"`
	EnrolmentRev  int           `json:"enrolment_rev"`
}

type withdrawInput struct {
	SubjectPath
	Purpose string `path:"purpose" enum:"face,sound" doc:"what the consent is for"`
}

type withdrawOutput struct{ Body Withdrawn }

func (s *Server) consentRoutes() {
	register(s, describe(post, "/v1/subjects/{id}/consents", "give-consent", "subjects", "Record a consent", answers(http.StatusCreated),
		explained("Without a consent to face in force no face of the person is processed, at enrolment and in submissions. Without one to sound nobody listens to the person's recordings: speech is not checked, and no fingerprint of the sound is made.")), s.giveConsent)
	register(s, describe(get, "/v1/subjects/{id}/consents", "list-consents", "subjects", "List consents, also withdrawn ones"),
		func(ctx context.Context, in *SubjectPath) (*consentsOutput, error) {
			if _, err := s.Store.Subject(ctx, PrincipalOf(ctx).Tenant, in.ID); err != nil {
				return nil, err
			}
			all, err := s.consents(ctx, in.ID)
			return &consentsOutput{Body: all}, err
		})
	register(s, describe(del, "/v1/subjects/{id}/consents/{purpose}", "withdraw-consent", "subjects", "Withdraw a consent",
		explained("From now on no face of the person is processed, or nobody listens to the person's recordings, and the sound of earlier ones is not compared any more. With a consent to face the enrolled photos and what was computed from them are deleted.")), s.withdrawConsent)
}

func (s *Server) giveConsent(ctx context.Context, in *giveConsentInput) (*consentOutput, error) {
	c, err := s.consentOf(ctx, in.ID, in.Body, "body")
	if err != nil {
		return nil, err
	}
	if err := s.alive(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := s.Store.GiveConsent(ctx, c, s.entry(ctx, "consent.given", in.ID, c.ID, "")); err != nil {
		return nil, err
	}
	return &consentOutput{Body: showConsent(c)}, nil
}

// consentOf checks what was said and makes the record; at names the part of the request that it stands in.
func (s *Server) consentOf(ctx context.Context, subject string, in ConsentInput, at string) (results.Consent, error) {
	now := s.stamp()
	c := results.Consent{
		ID: ulid.Make().String(), Tenant: PrincipalOf(ctx).Tenant, Subject: subject, Purpose: in.Purpose, Notice: strings.TrimSpace(in.Notice),
		Reference: strings.TrimSpace(in.Reference), RecordedBy: PrincipalOf(ctx).Key, GivenAt: in.GivenAt.UTC(),
	}
	if c.Purpose == "" {
		c.Purpose = results.PurposeFace
	}
	if in.GivenAt.IsZero() {
		c.GivenAt = now
	}
	switch {
	case c.Notice == "":
		return c, invalid(at+".notice", "missing", nil, say("is missing", "缺失"), say("name the version of the text that the person agreed to", "请填写本人所同意文本的版本"))
	case c.GivenAt.After(now.Add(clockSlack)):
		return c, invalid(at+".given_at", "future", nil, say("lies in the future", "晚于当前时间"), pipeline.Text{})
	}
	return c, nil
}

// clockSlack is how far a client's clock may be ahead of ours.
const clockSlack = 5 * time.Minute

func (s *Server) withdrawConsent(ctx context.Context, in *withdrawInput) (*withdrawOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	if _, err := s.Store.Subject(ctx, tenant, in.ID); err != nil {
		return nil, err
	}
	given := s.Store.WithdrawConsent(ctx, tenant, in.ID, in.Purpose, s.stamp(), s.entry(ctx, "consent.withdrawn", in.ID, in.Purpose, ""))
	if given != nil && !errors.Is(given, results.ErrNotFound) {
		return nil, given
	}
	if in.Purpose != results.PurposeFace {
		if given != nil {
			return nil, given
		}
		subject, err := s.Store.Subject(ctx, tenant, in.ID)
		if err != nil {
			return nil, err
		}
		all, err := s.consents(ctx, in.ID)
		return &withdrawOutput{Body: Withdrawn{Consents: all, EnrolmentRev: subject.Rev}}, err
	}
	// None in force may mean that an earlier withdrawal broke off before the photos were gone: they go in any case.
	deleted, rev, err := s.dropAllPhotos(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if given != nil && deleted == 0 {
		return nil, given
	}
	all, err := s.consents(ctx, in.ID)
	return &withdrawOutput{Body: Withdrawn{Consents: all, PhotosDeleted: deleted, EnrolmentRev: rev}}, err
}

// dropAllPhotos deletes what a subject has enrolled.
func (s *Server) dropAllPhotos(ctx context.Context, subject string) (n, rev int, err error) {
	tenant := PrincipalOf(ctx).Tenant
	photos, err := s.Store.Photos(ctx, tenant, subject, 0)
	if err != nil {
		return 0, 0, err
	}
	if len(photos) == 0 {
		sub, err := s.Store.Subject(ctx, tenant, subject)
		return 0, sub.Rev, err
	}
	rev, err = s.dropPhotos(ctx, subject, -1, photos)
	return len(photos), rev, err
}

// dropPhotos removes photos: the rows and templates in the store, then the sealed objects. Objects that cannot be deleted now stay pending
// in the store, and the janitor takes them.
func (s *Server) dropPhotos(ctx context.Context, subject string, ifRev int, photos []results.Photo) (rev int, err error) {
	var ids, keys []string
	for _, p := range photos {
		ids = append(ids, p.ID)
		if p.Key != "" {
			keys = append(keys, p.Key)
		}
	}
	target := ids[0]
	if len(ids) > 1 {
		target = fmt.Sprintf("%d photos", len(ids))
	}
	rev, err = s.Store.Enrol(ctx, PrincipalOf(ctx).Tenant, subject, ifRev, nil, nil, ids, s.entry(ctx, "photo.deleted", subject, target, ""))
	if err != nil {
		return 0, err
	}
	if len(keys) > 0 {
		s.discard(ctx, keys...)
	}
	return rev, nil
}

func (s *Server) consents(ctx context.Context, subject string) (List[Consent], error) {
	all, err := s.Store.Consents(ctx, PrincipalOf(ctx).Tenant, subject)
	out := List[Consent]{Items: make([]Consent, 0, len(all))}
	for _, c := range all {
		out.Items = append(out.Items, showConsent(c))
	}
	return out, err
}

func showConsent(c results.Consent) Consent {
	return Consent{ID: c.ID, Purpose: c.Purpose, Notice: c.Notice, Reference: c.Reference, RecordedBy: c.RecordedBy, GivenAt: c.GivenAt, WithdrawnAt: moment(c.WithdrawnAt)}
}
