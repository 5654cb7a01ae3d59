package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Subject is an employee's record.
type Subject struct {
	ID           string     `json:"id"`
	Label        string     `json:"label,omitempty"`
	EnrolmentRev int        `json:"enrolment_rev"`
	CreatedAt    time.Time  `json:"created_at"`
	ErasedAt     *time.Time `json:"erased_at,omitempty"`
}

// Subject asks for a subject.
func (c *Client) Subject(ctx context.Context, id string) (Subject, error) {
	var out Subject
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("subjects", id), repeat: true, into: &out})
	return out, err
}

// CreateSubject makes a subject.
func (c *Client) CreateSubject(ctx context.Context, id, label string) (Subject, error) {
	var out Subject
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("subjects"), body: encode(map[string]string{"id": id, "label": label}), into: &out})
	return out, err
}

// PutSubject makes a subject, or changes its label.
func (c *Client) PutSubject(ctx context.Context, id, label string) (Subject, error) {
	var out Subject
	_, err := c.do(ctx, call{method: http.MethodPut, path: at("subjects", id), body: encode(map[string]string{"label": label}), repeat: true, into: &out})
	return out, err
}

// Consent is a consent to face processing.
type Consent struct {
	ID          string     `json:"id,omitempty"`
	Purpose     string     `json:"purpose,omitempty"`
	Notice      string     `json:"notice"`
	Reference   string     `json:"reference,omitempty"`
	GivenAt     time.Time  `json:"given_at,omitzero"`
	WithdrawnAt *time.Time `json:"withdrawn_at,omitempty"`
}

// Consents lists a subject's consents.
func (c *Client) Consents(ctx context.Context, subject string) ([]Consent, error) {
	var out Page[Consent]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("subjects", subject, "consents"), repeat: true, into: &out})
	return out.Items, err
}

// GiveConsent records a consent.
func (c *Client) GiveConsent(ctx context.Context, subject string, given Consent) (Consent, error) {
	var out Consent
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("subjects", subject, "consents"), body: encode(given), into: &out})
	return out, err
}

// Photo is an enrolled photo, without the picture.
type Photo struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	SHA256    string          `json:"sha256"`
	Bytes     int64           `json:"bytes"`
	Quality   json.RawMessage `json:"quality,omitempty"`
	CreatedAt time.Time       `json:"created_at,omitzero"`
}

// Photos lists the enrolled photos of a subject.
func (c *Client) Photos(ctx context.Context, subject string) ([]Photo, error) {
	var out Page[Photo]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("subjects", subject, "photos"), repeat: true, into: &out})
	return out.Items, err
}

// LookAlike is another subject with a very similar face.
type LookAlike struct {
	Subject    string  `json:"subject"`
	Similarity float64 `json:"similarity"`
}

// Enrolled is what an enrolment did.
type Enrolled struct {
	EnrolmentRev int         `json:"enrolment_rev"`
	Added        []Photo     `json:"added"`
	Known        []string    `json:"known"`
	LookAlikes   []LookAlike `json:"look_alikes,omitempty"`
}

// Enrol sends photos of a subject: all are enrolled or none. It may be repeated: photos are known by their bytes.
func (c *Client) Enrol(ctx context.Context, subject string, photos []File, progress func(sent, total int64)) (Enrolled, error) {
	f := newForm(progress)
	var errs []error
	for _, p := range photos {
		errs = append(errs, f.file("photo", p, ""))
	}
	body, err := f.end()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Enrolled{}, err
	}
	var out Enrolled
	_, err = c.do(ctx, call{method: http.MethodPost, path: at("subjects", subject, "photos"), body: body, repeat: true, into: &out})
	return out, err
}

// BulkRow is what became of one row of a list.
type BulkRow struct {
	Line         int         `json:"line"`
	Subject      string      `json:"subject"`
	Status       string      `json:"status"` // enrolled, unchanged, would_enrol, refused
	EnrolmentRev int         `json:"enrolment_rev,omitempty"`
	Added        []string    `json:"added,omitempty"`
	Known        []string    `json:"known,omitempty"`
	LookAlikes   []LookAlike `json:"look_alikes,omitempty"`
	NotLookedAt  bool        `json:"photos_not_looked_at,omitempty"`
	Problem      *Problem    `json:"problem,omitempty"`
}

// Bulk is the answer to a list.
type Bulk struct {
	DryRun    bool      `json:"dry_run"`
	Enrolled  int       `json:"enrolled"`
	Unchanged int       `json:"unchanged"`
	Refused   int       `json:"refused"`
	Rows      []BulkRow `json:"rows"`
}

// codeLoading is the problem of a service that has just started; of a row, the answer has no Retry-After for it.
const (
	codeLoading = "models_loading"
	loadingWait = 5 * time.Second
)

func (r *BulkRow) loading() bool { return r.Problem != nil && r.Problem.Code == codeLoading }

// Bulk sends a list of people (CSV or NDJSON) and their photos, whose names are those of the list, in the order of its rows. Rows that came
// while the models were being loaded are sent again, with all others, whose first answer stays.
func (c *Client) Bulk(ctx context.Context, people []byte, photos []File, dryRun bool, progress func(sent, total int64)) (Bulk, error) {
	f := newForm(progress)
	errs := []error{f.file("people", File{Name: "people", Bytes: people}, "text/plain; charset=utf-8")}
	for _, p := range photos {
		errs = append(errs, f.file(p.Name, p, ""))
	}
	body, err := f.end()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Bulk{}, err
	}
	q := url.Values{}
	if dryRun {
		q.Set("dry_run", "true")
	}
	var got, out Bulk
	early := func() error {
		out, got = got.over(out), Bulk{}
		for i := range out.Rows {
			if out.Rows[i].loading() {
				p := *out.Rows[i].Problem
				p.Status, p.RetryAfter = http.StatusServiceUnavailable, loadingWait
				return &p
			}
		}
		return nil
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: at("subjects", "bulk"), query: q, body: body, repeat: true, into: &got, again: early})
	var p *Problem
	if errors.As(err, &p) && p.Code == codeLoading && len(out.Rows) > 0 {
		return out, nil // not all could be done; the rows say which
	}
	return out, err
}

// over is the answer to a list that was sent again: what was done by the first time is not called unchanged.
func (b Bulk) over(first Bulk) Bulk {
	if len(first.Rows) != len(b.Rows) {
		return b
	}
	b.Enrolled, b.Unchanged, b.Refused = 0, 0, 0
	for i := range b.Rows {
		if !first.Rows[i].loading() {
			b.Rows[i] = first.Rows[i]
		}
		switch b.Rows[i].Status {
		case "refused":
			b.Refused++
		case "unchanged":
			b.Unchanged++
		default:
			b.Enrolled++
		}
	}
	return b
}
