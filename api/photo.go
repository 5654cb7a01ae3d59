package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

// maxPhotos is how many enrolled photos a person may have.
const maxPhotos = 5

// enrolAtOnce is how many requests may have faces looked at at the same time: the rest waits its turn, so that a bulk enrolment leaves
// cores for submissions.
const enrolAtOnce = 2

// Photo is one enrolled photo, without the picture.
type Photo struct {
	ID        string          `json:"id"`
	Name      string          `json:"name" doc:"file name, for people"`
	SHA256    string          `json:"sha256"`
	Bytes     int64           `json:"bytes"`
	Quality   json.RawMessage `json:"quality,omitempty" doc:"what the enrolment measured: size of the face in pixels, sharpness, brightness"`
	CreatedAt time.Time       `json:"created_at"`
}

// Enrolled is the answer to an enrolment.
type Enrolled struct {
	EnrolmentRev int         `json:"enrolment_rev"`
	Added        []Photo     `json:"added" nullable:"false" doc:"photos that are enrolled now"`
	Known        []string    `json:"known" nullable:"false" doc:"names of photos that were enrolled before, byte for byte"`
	LookAlikes   []LookAlike `json:"look_alikes,omitempty" doc:"other subjects with a very similar face, where the tenant's settings ask for it: a hint for a person to look at, nothing else"`
}

// LookAlike is another subject with a very similar face.
type LookAlike struct {
	Subject    string  `json:"subject"`
	Similarity float64 `json:"similarity" doc:"0 to 1"`
}

type photosInput struct {
	SubjectPath
	Stream
}

type enrolledOutput struct{ Body Enrolled }

type photosOutput struct {
	Body struct {
		EnrolmentRev int     `json:"enrolment_rev"`
		Items        []Photo `json:"items" nullable:"false"`
	}
}

// PhotoPath names one photo.
type PhotoPath struct {
	SubjectPath
	Photo string `path:"photo" minLength:"26" maxLength:"26" pattern:"^[0-9A-Z]{26}$" doc:"id of the photo"`
}

type contentOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

func (s *Server) photoRoutes() {
	photos := func(op *huma.Operation) {
		op.MaxBodyBytes = maxPhotos*maxPhotoBytes + 1<<20
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: "object", Required: []string{"photo"},
			Properties: map[string]*huma.Schema{"photo": {Type: "array", Items: binary("one photo"), Description: "one to five photos, each as a part of this name"}},
		}}}}
	}
	register(s, describe(post, "/v1/subjects/{id}/photos", "enrol-photos", "subjects", "Enrol photos", answers(http.StatusCreated), photos,
		explained("One to five photos; a person has five at most. Each must show one good face, and all must show the same person, also as those that are enrolled already. "+
			"What is wrong with any of them is said at once, and then nothing is enrolled. Refused without a consent in force, before any face is looked at.")), s.enrolPhotos)
	register(s, describe(get, "/v1/subjects/{id}/photos", "list-photos", "subjects", "List enrolled photos"), s.listPhotos)
	register(s, describe(get, "/v1/subjects/{id}/photos/{photo}/content", "get-photo", "subjects", "Read an enrolled photo",
		explained("Every reading stands in the audit log.")), s.getPhoto)
	register(s, describe(del, "/v1/subjects/{id}/photos/{photo}", "delete-photo", "subjects", "Delete an enrolled photo",
		explained("The photo and what was computed from it are gone. Earlier verdicts keep naming it by its id.")), s.deletePhoto)
}

func (s *Server) enrolPhotos(ctx context.Context, in *photosInput) (*enrolledOutput, error) {
	// Before a byte of a picture is read: without consent there is nothing to do with it.
	if err := s.mayEnrol(ctx, in.ID); err != nil {
		return nil, err
	}
	f, err := in.form()
	if err != nil {
		return nil, err
	}
	var held []*memory
	var fields []string
	defer func() { release(held) }()
	for {
		p, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			return nil, err
		case p.name != "photo":
			return nil, problem(codeUnreadable).field("form."+p.name, "unknown_field", nil, say("there is no such field", "没有该字段"), say("send photos as parts named photo", "照片请以名为 photo 的部分发送"))
		case len(held) == maxPhotos:
			return nil, tooManyPhotos("form.photo")
		}
		m, err := hold(p.label(), p.bounded(maxPhotoBytes))
		if err != nil {
			return nil, err
		}
		fields = append(fields, fmt.Sprintf("form.photo[%d]", len(held)))
		held = append(held, m)
	}
	if len(held) == 0 {
		return nil, problem(codeUnreadable).field("form.photo", "missing", nil, say("is missing", "缺失"), say("send one to five photos as parts named photo", "请以名为 photo 的部分发送一至五张照片"))
	}
	in.done()
	out, err := s.enrol(ctx, &enrolment{subject: in.ID, photos: held, fields: fields})
	return &enrolledOutput{Body: out}, err
}

func release(held []*memory) {
	for _, m := range held {
		m.Close()
	}
}

func tooManyPhotos(field string) *Problem {
	return invalid(field, "too_many", maxPhotos, say("a person has at most %d enrolled photos", "每人最多 %d 张登记照片", maxPhotos),
		say("delete the worst ones first, or send fewer", "请先删除质量较差的照片，或减少发送数量"))
}

// mayEnrol refuses whoever is unknown, erased, or has not consented.
func (s *Server) mayEnrol(ctx context.Context, subject string) error {
	if s.Core == nil {
		return problem(codeOff).with("This server enrols nobody: it has no models.", "该服务器没有模型，无法登记。")
	}
	if err := s.alive(ctx, subject); err != nil {
		return err
	}
	return s.consented(ctx, subject)
}

func (s *Server) consented(ctx context.Context, subject string) error {
	ok, err := s.Store.Consented(ctx, PrincipalOf(ctx).Tenant, subject, results.PurposeFace)
	if err == nil && !ok {
		return problem(codeNoConsent)
	}
	return err
}

// enrolment is one call of enrol.
type enrolment struct {
	*Server
	subject string
	photos  []*memory
	fields  []string        // where each photo stands in the request
	dry     bool            // only look
	ids     []string        // of the photos
	rows    []results.Photo // sealed, and not the subject's yet
}

// enrolTries is how often an enrolment starts again because somebody else changed the photos meanwhile.
const enrolTries = 3

// enrol adds photos to a subject: all or none.
func (s *Server) enrol(ctx context.Context, e *enrolment) (Enrolled, error) {
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return Enrolled{}, ctx.Err()
	}
	e.Server = s
	for range e.photos {
		e.ids = append(e.ids, ulid.Make().String())
	}
	out, err := e.run(ctx)
	if err != nil {
		e.undo(ctx)
	}
	return out, err
}

func (e *enrolment) run(ctx context.Context) (Enrolled, error) {
	var err error
	for range enrolTries {
		var out Enrolled
		if out, err = e.try(ctx); !errors.Is(err, results.ErrConflict) {
			return out, err
		}
	}
	return Enrolled{}, err
}

// try looks at the photos beside those that are enrolled now, and enrols them.
func (e *enrolment) try(ctx context.Context) (Enrolled, error) {
	tenant := PrincipalOf(ctx).Tenant
	sub, err := e.Store.Subject(ctx, tenant, e.subject)
	if err != nil {
		return Enrolled{}, err
	}
	enrolled, err := e.Store.Photos(ctx, tenant, e.subject, 0)
	if err != nil {
		return Enrolled{}, err
	}
	out := Enrolled{EnrolmentRev: sub.Rev, Added: []Photo{}, Known: []string{}}
	fresh := e.fresh(enrolled, &out)
	if len(fresh) == 0 {
		return out, nil
	}
	if len(enrolled)+len(fresh) > maxPhotos {
		return out, tooManyPhotos("form.photo")
	}
	// Of whom no consent is in force no face is looked at, whoever calls this.
	if err := e.consented(ctx, e.subject); err != nil {
		return out, err
	}
	found, err := e.look(ctx, tenant, enrolled, fresh)
	if err != nil {
		return out, err
	}
	if out.LookAlikes, err = e.alike(ctx, tenant, found); err != nil || e.dry {
		for _, i := range fresh {
			out.Added = append(out.Added, Photo{Name: e.photos[i].name, SHA256: e.photos[i].sha256, Bytes: e.photos[i].bytes})
		}
		return out, err
	}
	rows, err := e.seal(ctx, tenant, fresh, found)
	if err != nil {
		return out, err
	}
	// Somebody may have withdrawn while faces were looked at: nothing is written for them.
	if err := e.consented(ctx, e.subject); err != nil {
		return out, err
	}
	target := e.ids[fresh[0]]
	if len(fresh) > 1 {
		target = fmt.Sprintf("%d photos", len(fresh))
	}
	out.EnrolmentRev, err = e.Store.Enrol(ctx, tenant, e.subject, sub.Rev, rows, found.Templates, nil, e.entry(ctx, "photo.enrolled", e.subject, target, ""))
	if err == nil || !unwritten(err) {
		e.rows = nil // they belong to the subject now, or the janitor finds out whether they do
	}
	if err != nil {
		return out, err
	}
	for _, r := range rows {
		out.Added = append(out.Added, showPhoto(r))
	}
	return out, e.afterwards(ctx, rows)
}

// afterwards takes back what was enrolled in the moment in which a consent was withdrawn.
func (e *enrolment) afterwards(ctx context.Context, rows []results.Photo) error {
	ctx = context.WithoutCancel(ctx)
	err := e.consented(ctx, e.subject)
	var p *Problem
	if errors.As(err, &p) && p.Code == string(codeNoConsent) {
		if _, derr := e.dropPhotos(ctx, e.subject, -1, rows); derr != nil {
			return errors.Join(derr, err)
		}
	}
	return err
}

// fresh gives the indices of photos that are not enrolled yet, and notes the others as known.
func (e *enrolment) fresh(enrolled []results.Photo, out *Enrolled) []int {
	seen := map[string]bool{}
	for _, p := range enrolled {
		seen[p.SHA256] = true
	}
	var fresh []int
	for i, m := range e.photos {
		if seen[m.sha256] {
			out.Known = append(out.Known, m.name)
			continue
		}
		seen[m.sha256] = true
		fresh = append(fresh, i)
	}
	return fresh
}

// look has the core look at the new photos; what is wrong with them is one problem that names each.
func (e *enrolment) look(ctx context.Context, tenant string, enrolled []results.Photo, fresh []int) (Looked, error) {
	add := make([]NewPhoto, len(fresh))
	for k, i := range fresh {
		add[k] = NewPhoto{ID: e.ids[i], Media: e.photos[i]}
	}
	found, err := e.Core.Enroll(ctx, tenant, e.subject, add, enrolled)
	if err != nil {
		return found, coreFault(fmt.Errorf("look at photos of subject %s: %w", e.subject, err))
	}
	p, bad := problem(codePhotos), 0
	for k, f := range found.Photos {
		if f.Code == "" {
			continue
		}
		bad++
		p = p.field(e.fields[fresh[k]], f.Code, nil, f.Text, pipeline.Text{})
	}
	if bad == 0 {
		return found, nil
	}
	return found, p.with("%d of %d photos cannot be enrolled, so none was; see errors.", "%d 张照片无法登记（共 %d 张），因此均未登记，详见 errors。", bad, len(fresh))
}

// alike looks for the same face under other names, where the tenant wants that.
func (e *enrolment) alike(ctx context.Context, tenant string, found Looked) ([]LookAlike, error) {
	t, err := e.tenant(ctx)
	if err != nil || !t.Settings.LookAlike {
		return nil, err
	}
	all, err := e.Core.LookAlike(ctx, tenant, e.subject, found.Templates)
	if err != nil {
		return nil, coreFault(fmt.Errorf("look for faces like that of subject %s: %w", e.subject, err))
	}
	return all, nil
}

// seal puts the new photos into the vault; they are there already when a try before this one got so far.
func (e *enrolment) seal(ctx context.Context, tenant string, fresh []int, found Looked) ([]results.Photo, error) {
	done := map[string]results.Photo{}
	for _, r := range e.rows {
		done[r.ID] = r
	}
	var rows []results.Photo
	for k, i := range fresh {
		m := e.photos[i]
		row, ok := done[e.ids[i]]
		if !ok {
			r, err := m.Open(ctx)
			if err != nil {
				return nil, fmt.Errorf("seal a photo: %w", err)
			}
			sealed, err := e.Vault.Put(ctx, tenant, e.subject, r)
			_ = r.Close()
			if err != nil {
				return nil, fmt.Errorf("seal a photo: %w", err)
			}
			row = results.Photo{ID: e.ids[i], Tenant: tenant, Subject: e.subject, Name: m.name, Key: sealed.Key, SHA256: sealed.SHA256, Bytes: sealed.Bytes, CreatedAt: e.stamp()}
			e.rows = append(e.rows, row)
		}
		row.Quality = found.Photos[k].Quality
		rows = append(rows, row)
	}
	return rows, nil
}

// undo deletes what was sealed for nothing.
func (e *enrolment) undo(ctx context.Context) {
	var keys []string
	for _, r := range e.rows {
		keys = append(keys, r.Key)
	}
	if len(keys) > 0 {
		e.discard(ctx, keys...)
	}
}

func (s *Server) listPhotos(ctx context.Context, in *SubjectPath) (*photosOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	sub, err := s.Store.Subject(ctx, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	photos, err := s.Store.Photos(ctx, tenant, in.ID, 0)
	out := &photosOutput{}
	out.Body.EnrolmentRev, out.Body.Items = sub.Rev, make([]Photo, 0, len(photos))
	for _, p := range photos {
		out.Body.Items = append(out.Body.Items, showPhoto(p))
	}
	return out, err
}

// photo finds one enrolled photo.
func (s *Server) photo(ctx context.Context, in *PhotoPath) (results.Photo, error) {
	photos, err := s.Store.Photos(ctx, PrincipalOf(ctx).Tenant, in.ID, 0)
	if err != nil {
		return results.Photo{}, err
	}
	i := slices.IndexFunc(photos, func(p results.Photo) bool { return p.ID == in.Photo })
	if i < 0 {
		return results.Photo{}, fmt.Errorf("photo %s of subject %s: %w", in.Photo, in.ID, results.ErrNotFound)
	}
	return photos[i], nil
}

func (s *Server) getPhoto(ctx context.Context, in *PhotoPath) (*contentOutput, error) {
	p, err := s.photo(ctx, in)
	if err != nil {
		return nil, err
	}
	// First the log, then the picture: a reading that cannot be told is none.
	if err := s.Store.Append(ctx, s.entry(ctx, "photo.read", in.ID, p.ID, p.SHA256)); err != nil {
		return nil, err
	}
	raw, err := s.Vault.Read(ctx, p.Key, maxPhotoBytes)
	if err != nil {
		return nil, fmt.Errorf("read photo %s: %w", p.ID, err)
	}
	return &contentOutput{ContentType: pictureType(raw), Disposition: `attachment; filename="` + p.ID + `"`, Body: raw}, nil
}

// pictureType names what browsers can show; anything else is bytes.
func pictureType(raw []byte) string {
	if kind := http.DetectContentType(raw); strings.HasPrefix(kind, "image/") && !strings.Contains(kind, "svg") {
		return kind
	}
	return "application/octet-stream"
}

func (s *Server) deletePhoto(ctx context.Context, in *PhotoPath) (*photosOutput, error) {
	p, err := s.photo(ctx, in)
	if err != nil {
		return nil, err
	}
	if _, err := s.dropPhotos(ctx, in.ID, -1, []results.Photo{p}); err != nil {
		return nil, err
	}
	return s.listPhotos(ctx, &in.SubjectPath)
}

func showPhoto(p results.Photo) Photo {
	return Photo{ID: p.ID, Name: p.Name, SHA256: p.SHA256, Bytes: p.Bytes, Quality: p.Quality, CreatedAt: p.CreatedAt}
}
