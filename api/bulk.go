package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"onsite/api/roster"
	"onsite/pipeline"
	"onsite/results"
)

// Bounds of one request for many people.
const (
	bulkPeople    = 1_000
	bulkFormBytes = 8 << 30
	bulkHeld      = 256 << 20 // photos that wait for the others of their row
)

// BulkRow is what became of one row.
type BulkRow struct {
	Line         int         `json:"line" doc:"in the list, from 1"`
	Subject      string      `json:"subject"`
	Status       string      `json:"status" enum:"enrolled,unchanged,would_enrol,refused" doc:"enrolled: something was written; unchanged: all of it was there already; would_enrol: in a dry run; refused: see problem"`
	EnrolmentRev int         `json:"enrolment_rev,omitempty"`
	Added        []string    `json:"added,omitempty" doc:"photos that were enrolled now"`
	Known        []string    `json:"known,omitempty" doc:"photos that were enrolled before, byte for byte"`
	LookAlikes   []LookAlike `json:"look_alikes,omitempty"`
	NotLookedAt  bool        `json:"photos_not_looked_at,omitempty" doc:"in a dry run: no consent is in force yet, so the photos were not looked at; enrolling may still refuse them"`
	Problem      *Problem    `json:"problem,omitempty"`
}

// Bulk is the answer to an enrolment in bulk.
type Bulk struct {
	DryRun    bool      `json:"dry_run"`
	Enrolled  int       `json:"enrolled"`
	Unchanged int       `json:"unchanged"`
	Refused   int       `json:"refused"`
	Rows      []BulkRow `json:"rows" nullable:"false"`
	Unused    []string  `json:"unused,omitempty" doc:"photos that came and that no row names"`
}

type bulkInput struct {
	DryRun   bool   `query:"dry_run" doc:"store nothing; photos are looked at only where a consent is in force already"`
	Language string `header:"Accept-Language" maxLength:"256"`
	Stream
}

type bulkOutput struct{ Body Bulk }

func (s *Server) bulkRoutes() {
	register(s, describe(post, "/v1/subjects/bulk", "bulk-subjects", "subjects", "Enrol many people",
		takes(map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: "object", Required: []string{"people"},
			Properties: map[string]*huma.Schema{"people": {Type: "string", Description: "CSV with the columns subject,label,photos,consent_notice,consent_reference,consent_given_at " +
				"(photos separated by ;), or NDJSON with the fields subject, label, photos, consent {notice, reference, given_at}"}},
			AdditionalProperties: binary("a photo, as a part with the name that the list has for it; in the order of the rows"),
		}}}),
		func(op *huma.Operation) { op.MaxBodyBytes = bulkFormBytes },
		explained(fmt.Sprintf("A list of up to %d people, then their photos. Each row is enrolled by itself as soon as its photos are there, and the answer says what became of each. "+
			"Sent again, rows that are done already are unchanged: photos are known by their bytes. What is wrong with the list itself is said before anything is done. "+
			"Subject and consent of a row are recorded before its photos are looked at, and stay when the photos are refused.", bulkPeople))), s.bulk)
}

// bulkRun is one request for many people.
type bulkRun struct {
	*Server
	in      *Stream
	dry     bool
	people  []roster.Person
	wants   map[string]int // the row of each photo
	held    map[string]*memory
	faults  map[int]error // of photos that could not be taken, by row
	missing []int         // photos that each row still waits for
	size    int64
	rows    []BulkRow
	lang    string
	unused  []string
}

func (s *Server) bulk(ctx context.Context, in *bulkInput) (*bulkOutput, error) {
	if s.Core == nil {
		return nil, problem(codeOff).with("This server enrols nobody: it has no models.", "该服务器没有模型，无法登记。")
	}
	f, err := in.form()
	if err != nil {
		return nil, err
	}
	b := &bulkRun{Server: s, in: &in.Stream, dry: in.DryRun, wants: map[string]int{}, held: map[string]*memory{}, faults: map[int]error{}, lang: langOf(in.Language)}
	defer b.release()
	defer in.done()
	if err := b.list(f); err != nil {
		return nil, err
	}
	for i := range b.people {
		if b.missing[i] == 0 {
			b.row(ctx, i)
		}
	}
	for {
		p, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := b.take(ctx, p); err != nil {
			return nil, err
		}
	}
	return &bulkOutput{Body: b.answer(ctx)}, nil
}

// list reads the people, who come first.
func (b *bulkRun) list(f *formReader) error {
	p, err := f.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err != nil || p.name != "people" {
		return invalid("form.people", "missing", nil, say("is missing, or is not the first part", "缺失，或不是第一部分"), say("send the list as the part named people, then the photos", "请先以名为 people 的部分发送名单，再发送照片"))
	}
	raw, err := p.text(roster.MaxBytes)
	if err != nil {
		return err
	}
	b.people, err = roster.Read(raw)
	var all roster.Errors
	if errors.As(err, &all) {
		p := problem(codeInvalid)
		for _, one := range all {
			p = p.field(fmt.Sprintf("form.people[%d]", one.Line), "row", nil, one.Words(), pipeline.Text{})
		}
		return p
	}
	if err == nil && len(b.people) > bulkPeople {
		err = invalid("form.people", "too_many", bulkPeople, say("has more than %d rows", "超过 %d 行", bulkPeople), say("send it in parts", "请分批发送"))
	}
	if err != nil {
		return err
	}
	b.rows, b.missing = make([]BulkRow, len(b.people)), make([]int, len(b.people))
	for i, one := range b.people {
		b.rows[i] = BulkRow{Line: one.Line, Subject: one.Subject}
		b.missing[i] = len(one.Photos)
		for _, name := range one.Photos {
			b.wants[name] = i
		}
	}
	return nil
}

// take holds one photo, and does its row when that was the last one.
func (b *bulkRun) take(ctx context.Context, p *part) error {
	i, wanted := b.wants[p.name]
	if !wanted {
		if len(b.unused) < bulkPeople {
			b.unused = append(b.unused, p.name)
		}
		return nil
	}
	delete(b.wants, p.name) // a second one of the same name is not wanted
	b.missing[i]--
	from := p.bounded(maxPhotoBytes)
	m, err := hold(p.name, from) // the path in the list, by which people find it again
	var fault *Problem
	switch {
	case errors.As(err, &fault) && (fault.Code == string(codeTooLarge) || fault.Code == string(codeInvalid)):
		b.faults[i] = err // the row's own fault; the rest of the part is skipped
	case err != nil:
		return err
	default:
		b.held[p.name] = m
		b.size += m.bytes
	}
	if b.missing[i] == 0 {
		b.row(ctx, i)
		return nil
	}
	if b.size > bulkHeld {
		return problem(codeTooLarge).with("Too many photos wait for the others of their row. Send the photos in the order of the rows.", "等待同一行其他照片的照片过多。请按行的顺序发送照片。")
	}
	return nil
}

// row enrols one person and lets go of the photos.
func (b *bulkRun) row(ctx context.Context, i int) {
	b.in.pause() // looking at photos is our time
	person := b.people[i]
	var photos []*memory
	var fields []string
	for _, name := range person.Photos {
		if m := b.held[name]; m != nil {
			photos, fields = append(photos, m), append(fields, "form."+name)
		}
	}
	err := b.faults[i]
	if err == nil {
		err = b.person(ctx, person, photos, fields, &b.rows[i])
	}
	if err != nil {
		p := fault(err)
		if p.Status >= 500 {
			b.Log.ErrorContext(ctx, "a row of a list could not be enrolled", "request", RequestID(ctx), "line", person.Line, "error", p.Error())
		}
		b.rows[i].Status, b.rows[i].Problem = "refused", p.in(b.lang, RequestID(ctx))
	}
	for _, name := range person.Photos {
		if m := b.held[name]; m != nil {
			b.size -= m.bytes
			m.Close()
			delete(b.held, name)
		}
	}
}

// person does what a row asks for: subject, consent, photos, each only where it is not so already. Subject and consent are on record
// before any face is looked at: a consent that is in the list only would leave no trace if we broke off, and a dry run records none.
func (b *bulkRun) person(ctx context.Context, p roster.Person, photos []*memory, fields []string, row *BulkRow) error {
	plan, err := b.plan(ctx, p)
	if err != nil {
		return err
	}
	changed := len(plan.steps) > 0
	switch {
	case len(photos) > 0 && !plan.agreed:
		return problem(codeNoConsent)
	case b.dry && len(photos) > 0 && !plan.inForce:
		row.NotLookedAt, changed = true, true
	case len(photos) > 0:
		if !b.dry {
			if err := plan.do(ctx); err != nil {
				return err
			}
		}
		out, err := b.enrol(ctx, &enrolment{subject: p.Subject, photos: photos, fields: fields, dry: b.dry})
		if err != nil {
			return err
		}
		for _, a := range out.Added {
			row.Added = append(row.Added, a.Name)
		}
		row.Known, row.LookAlikes, row.EnrolmentRev = out.Known, out.LookAlikes, out.EnrolmentRev
		changed = changed || len(out.Added) > 0
	case !b.dry:
		if err := plan.do(ctx); err != nil {
			return err
		}
	}
	switch {
	case !changed:
		row.Status = "unchanged"
	case b.dry:
		row.Status = "would_enrol"
	default:
		row.Status = "enrolled"
	}
	return nil
}

// plan is what a row asks for beside photos.
type plan struct {
	steps   []func(context.Context) error
	inForce bool // a consent is in force now
	agreed  bool // one is, once the steps are done
}

func (p plan) do(ctx context.Context) error {
	for _, step := range p.steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// plan finds out what of a row is not so already.
func (b *bulkRun) plan(ctx context.Context, p roster.Person) (plan, error) {
	var out plan
	tenant := PrincipalOf(ctx).Tenant
	sub, err := b.Store.Subject(ctx, tenant, p.Subject)
	var given []results.Consent
	switch {
	case errors.Is(err, results.ErrNotFound):
		out.steps = append(out.steps, func(ctx context.Context) error {
			made := results.Subject{Tenant: tenant, ID: p.Subject, Label: p.Label, CreatedAt: b.stamp()}
			return b.Store.CreateSubject(ctx, made, b.entry(ctx, "subject.created", made.ID, made.ID, ""))
		})
	case err != nil:
		return out, err
	case !sub.ErasedAt.IsZero():
		return out, results.ErrErased
	default:
		if given, err = b.Store.Consents(ctx, tenant, p.Subject); err != nil {
			return out, err
		}
		if p.Label != "" && p.Label != sub.Label {
			out.steps = append(out.steps, func(ctx context.Context) error {
				_, err := b.Store.Relabel(ctx, tenant, p.Subject, p.Label, b.entry(ctx, "subject.relabelled", p.Subject, p.Subject, ""))
				return err
			})
		}
	}
	inForce := func(c results.Consent) bool { return c.Purpose == results.PurposeFace && c.WithdrawnAt.IsZero() }
	out.inForce = slices.ContainsFunc(given, inForce)
	out.agreed = out.inForce
	if p.Consent == nil {
		return out, nil
	}
	c, err := b.consentOf(ctx, p.Subject, ConsentInput{Notice: p.Consent.Notice, Reference: p.Consent.Reference, GivenAt: p.Consent.GivenAt}, "row.consent")
	if err != nil {
		return out, err
	}
	out.agreed = true
	if !slices.ContainsFunc(given, func(old results.Consent) bool {
		return inForce(old) && old.Notice == c.Notice && old.Reference == c.Reference
	}) {
		out.steps = append(out.steps, func(ctx context.Context) error {
			return b.Store.GiveConsent(ctx, c, b.entry(ctx, "consent.given", p.Subject, c.ID, ""))
		})
	}
	return out, nil
}

// answer ends the rows whose photos did not all come.
func (b *bulkRun) answer(ctx context.Context) Bulk {
	for i, n := range b.missing {
		if n == 0 {
			continue
		}
		p := problem(codeInvalid)
		for _, name := range b.people[i].Photos {
			if _, waits := b.wants[name]; waits {
				p = p.field("row.photos", "missing", nil, say("%q was not sent", "%q 未发送", name), say("send it as a part with exactly this name", "请以完全相同的名称作为表单的一部分发送"))
			}
		}
		b.rows[i].Status, b.rows[i].Problem = "refused", p.in(b.lang, RequestID(ctx))
	}
	out := Bulk{DryRun: b.dry, Rows: b.rows, Unused: b.unused}
	for _, r := range b.rows {
		switch r.Status {
		case "refused":
			out.Refused++
		case "unchanged":
			out.Unchanged++
		default:
			out.Enrolled++
		}
	}
	return out
}

func (b *bulkRun) release() {
	for _, m := range b.held {
		m.Close()
	}
}
