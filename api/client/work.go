package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/verify"
)

// Claim is what a submission says.
type Claim struct {
	Subject  string
	Site     string
	Policy   string
	Priority string // clock_in, bulk; "": clock_in
	TakenAt  time.Time
	Location *pipeline.Location
	Beacons  []string
	WiFi     []string
	Device   *pipeline.Device
	// Challenge is the id of the challenge that the recording answers.
	Challenge string
}

// fields are the claim as fields of a form: one by one where single fields can say it, else as JSON.
func (c Claim) fields() ([][2]string, error) {
	if c.Location == nil && c.Device == nil && len(c.Beacons)+len(c.WiFi) == 0 {
		return [][2]string{{"subject", c.Subject}, {"site", c.Site}, {"policy", c.Policy}, {"priority", c.Priority}, {"challenge", c.Challenge}, {"taken_at", stamp(c.TakenAt)}}, nil
	}
	raw, err := json.Marshal(struct {
		Subject   string             `json:"subject"`
		Site      string             `json:"site,omitempty"`
		Policy    string             `json:"policy,omitempty"`
		Priority  string             `json:"priority,omitempty"`
		TakenAt   string             `json:"taken_at,omitempty"`
		Location  *pipeline.Location `json:"location,omitempty"`
		Beacons   []string           `json:"beacons,omitempty"`
		WiFi      []string           `json:"wifi,omitempty"`
		Device    *pipeline.Device   `json:"device,omitempty"`
		Challenge string             `json:"challenge,omitempty"`
	}{c.Subject, c.Site, c.Policy, c.Priority, stamp(c.TakenAt), c.Location, c.Beacons, c.WiFi, c.Device, c.Challenge})
	return [][2]string{{"claim", string(raw)}}, err
}

// Accepted is an accepted submission.
type Accepted struct {
	Job      string `json:"job"`
	State    string `json:"state"`
	Repeated bool   `json:"-"` // its Idempotency-Key was used before: this is the job of then
}

// Submit sends a photo or video. key is the Idempotency-Key: with the same key and the same claim and bytes it is one job, however often
// it is sent; without one it is sent once.
func (c *Client) Submit(ctx context.Context, claim Claim, media File, key string, progress func(sent, total int64)) (Accepted, error) {
	f := newForm(progress)
	var errs []error
	fields, err := claim.fields()
	if err != nil {
		return Accepted{}, fmt.Errorf("write the claim: %w", err)
	}
	for _, field := range fields {
		if field[1] != "" {
			errs = append(errs, f.field(field[0], field[1]))
		}
	}
	errs = append(errs, f.file("media", media, ""))
	body, err := f.end()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Accepted{}, err
	}
	var out Accepted
	header, err := c.do(ctx, call{method: http.MethodPost, path: at("submissions"), body: body, header: map[string]string{"Idempotency-Key": key}, repeat: key != "", into: &out})
	out.Repeated = header.Get("Idempotent-Replayed") == "true"
	return out, err
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// Job is the state of a job.
type Job struct {
	Job        string     `json:"job"`
	Subject    string     `json:"subject"`
	Site       string     `json:"site"`
	Priority   string     `json:"priority"`
	State      string     `json:"state"`
	Final      bool       `json:"final"`
	Held       bool       `json:"held"`
	Attempt    int        `json:"attempt"`
	Failures   int        `json:"failures"`
	Crashes    int        `json:"crashes"`
	Error      *JobError  `json:"error"`
	Revision   int        `json:"revision"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	NotBefore  *time.Time `json:"not_before"`
	FinishedAt *time.Time `json:"finished_at"`
}

// JobError is the last thing that went wrong with a job.
type JobError struct {
	Rule string        `json:"rule"`
	Text pipeline.Text `json:"text"`
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // "": the end
}

// Job asks for a job; with a wait until it is final, at most so long.
func (c *Client) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	var out Job
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("jobs", id), query: waiting(wait), repeat: true, into: &out})
	return out, err
}

func waiting(wait time.Duration) url.Values {
	if wait <= 0 {
		return nil
	}
	return url.Values{"wait": {wait.String()}}
}

// longPoll is how long one question waits; the server allows a minute.
const longPoll = 30 * time.Second

// Await asks until the job is final.
func (c *Client) Await(ctx context.Context, id string) (Job, error) {
	for {
		j, err := c.Job(ctx, id, longPoll)
		if err != nil || j.Final || j.Held {
			return j, err
		}
	}
}

// JobFilter narrows a list of jobs.
type JobFilter struct {
	Subject, Site string
	States        []string
}

// Jobs lists jobs, newest first.
func (c *Client) Jobs(ctx context.Context, f JobFilter, cursor string, limit int) (Page[Job], error) {
	q := page(cursor, limit)
	set(q, "subject", f.Subject)
	set(q, "site", f.Site)
	set(q, "state", strings.Join(f.States, ","))
	var out Page[Job]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("jobs"), query: q, repeat: true, into: &out})
	return out, err
}

// DeadLetters lists dead and held jobs, newest first.
func (c *Client) DeadLetters(ctx context.Context, cursor string, limit int) (Page[Job], error) {
	var out Page[Job]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("dead-letters"), query: page(cursor, limit), repeat: true, into: &out})
	return out, err
}

// Requeue lets a dead or held job run again.
func (c *Client) Requeue(ctx context.Context, id string) (Job, error) {
	var out Job
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("jobs", id, "requeue"), into: &out})
	return out, err
}

// Verdict gives the newest verdict of a job, as it is stored.
func (c *Client) Verdict(ctx context.Context, job string) (pipeline.Verdict, json.RawMessage, error) {
	var raw json.RawMessage
	if _, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts", job), repeat: true, into: &raw}); err != nil {
		return pipeline.Verdict{}, nil, err
	}
	var v pipeline.Verdict
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, raw, fmt.Errorf("read the verdict of job %s: %w", job, err)
	}
	return v, raw, nil
}

// VerdictRow is one revision of a verdict, in short.
type VerdictRow struct {
	Job         string            `json:"job"`
	Revision    int               `json:"revision"`
	Seq         int64             `json:"seq"`
	Subject     string            `json:"subject"`
	Site        string            `json:"site,omitempty"`
	Decision    pipeline.Decision `json:"decision"`
	Codes       []pipeline.Code   `json:"codes"`
	Policy      string            `json:"policy,omitempty"`
	SubmittedAt time.Time         `json:"submitted_at"`
	CreatedAt   time.Time         `json:"created_at"`
}

// VerdictFilter narrows a list of verdicts.
type VerdictFilter struct {
	Subject, Site, Decision, Reason string
	Model                           string // the first digits of the sha256 of its file, 8 at least
	From, To                        time.Time
}

func (f VerdictFilter) query(q url.Values) url.Values {
	for name, value := range map[string]string{"subject": f.Subject, "site": f.Site, "decision": f.Decision, "reason": f.Reason, "model": f.Model, "from": stamp(f.From), "to": stamp(f.To)} {
		set(q, name, value)
	}
	return q
}

// Verdicts lists the newest verdicts of jobs, newest first.
func (c *Client) Verdicts(ctx context.Context, f VerdictFilter, cursor string, limit int) (Page[VerdictRow], error) {
	var out Page[VerdictRow]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts"), query: f.query(page(cursor, limit)), repeat: true, into: &out})
	return out, err
}

// Changes is a part of the feed.
type Changes struct {
	Items    []VerdictRow `json:"items"`
	Position int64        `json:"position"`
	More     bool         `json:"more"`
}

// Changes gives what was committed after a position of the feed; with a wait it waits for something new, at most so long.
func (c *Client) Changes(ctx context.Context, after int64, limit int, wait time.Duration) (Changes, error) {
	q := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(limit)}}
	if wait > 0 {
		q.Set("wait", wait.String())
	}
	var out Changes
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts", "changes"), query: q, repeat: true, into: &out})
	return out, err
}

// Export streams all verdicts that the filter leaves: ndjson or csv.
func (c *Client) Export(ctx context.Context, f VerdictFilter, format string, to io.Writer) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts", "export"), query: f.query(url.Values{"format": {format}}), into: to})
	return err
}

// Evidence writes the signed evidence package of a verdict; revision 0 is the newest.
func (c *Client) Evidence(ctx context.Context, job string, revision int, recipient string, pdf bool, to io.Writer) error {
	q := url.Values{"recipient": {recipient}}
	if revision > 0 {
		q.Set("revision", strconv.Itoa(revision))
	}
	if pdf {
		q.Set("pdf", "true")
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts", job, "evidence"), query: q, into: to})
	return err
}

// Reverification is what came of making a verdict again.
type Reverification struct {
	ID        string             `json:"id,omitempty"` // "": nothing was kept, since the person was erased
	Job       string             `json:"job"`
	Asked     string             `json:"asked"` // pinned, current
	MadeAt    time.Time          `json:"made_at"`
	MadeBy    string             `json:"made_by"`
	Agreement string             `json:"agreement"` // equal, within_tolerance, near_threshold, different, impossible
	State     string             `json:"state,omitempty"`
	Text      *pipeline.Text     `json:"text,omitempty"`
	Before    pipeline.Decision  `json:"before,omitempty"`
	Now       pipeline.Decision  `json:"now,omitempty"`
	Checks    []verify.CheckDiff `json:"checks"`
	Recipe    []string           `json:"recipe"`
	Gone      int                `json:"gone"`
	InForce   *InForce           `json:"in_force,omitempty"` // nil: the first revision, which is the one that was made again
}

// InForce is the newest revision of a verdict that was changed since its first.
type InForce struct {
	Revision int               `json:"revision"`
	Decision pipeline.Decision `json:"decision"`
}

// Reverify makes a verdict again by a recipe: "pinned" (the one that it names), "current" (the models and the policy's newest revision that hold
// there) or the digest of another verdict's. While the server makes another one it is asked again.
func (c *Client) Reverify(ctx context.Context, job, recipe string) (Reverification, error) {
	q := url.Values{"recipe": {recipe}}
	var out Reverification
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("verdicts", job, "reverify"), query: q, repeat: true, into: &out})
	return out, err
}

// Reverifications lists what came of making a verdict again, newest first.
func (c *Client) Reverifications(ctx context.Context, job, cursor string, limit int) (Page[Reverification], error) {
	var out Page[Reverification]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts", job, "reverifications"), query: page(cursor, limit), repeat: true, into: &out})
	return out, err
}

// Revisions lists those of a job's verdict, oldest first.
func (c *Client) Revisions(ctx context.Context, job string) ([]VerdictRow, error) {
	var out Page[VerdictRow]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("verdicts", job, "revisions"), repeat: true, into: &out})
	return out.Items, err
}

func page(cursor string, limit int) url.Values {
	q := url.Values{}
	set(q, "cursor", cursor)
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
