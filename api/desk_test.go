package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
	"onsite/results"
)

// fakeCore looks at photos by their words: "face of NAME" is a good photo of NAME, anything else begins with what is wrong with it.
type fakeCore struct {
	mu     sync.Mutex
	looked []string                  // what it was shown
	during func(ctx context.Context) // called while it looks
	err    error
	alike  []LookAlike
	people map[string]string                               // photo id -> NAME
	again  func(job string) (results.Verdict, bool, error) // what comparing a marked job again gives; nil: nothing new
}

func (f *fakeCore) seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.looked)
}

func (f *fakeCore) read(ctx context.Context, m pipeline.Media) string {
	file, err := m.Open(ctx)
	if err != nil {
		return "unreadable " + err.Error()
	}
	defer file.Close()
	raw, err := io.ReadAll(file)
	if err != nil {
		return "unreadable " + err.Error()
	}
	f.mu.Lock()
	f.looked = append(f.looked, string(raw))
	f.mu.Unlock()
	return string(raw)
}

func (f *fakeCore) Enroll(ctx context.Context, tenant, subject string, add []NewPhoto, enrolled []results.Photo) (Looked, error) {
	out := Looked{}
	if f.people == nil {
		f.people = map[string]string{}
	}
	who := ""
	for _, p := range enrolled {
		who = f.people[p.ID]
	}
	for _, p := range add {
		text := f.read(ctx, p.Media)
		finding := PhotoFinding{Quality: json.RawMessage(`{"size":200}`)}
		name, good := strings.CutPrefix(text, "face of ")
		name, _, _ = strings.Cut(name, ",")
		switch {
		case !good:
			finding.Code, _, _ = strings.Cut(text, " ")
			finding.Text = say("photo %s: %s", "照片 %s：%s", p.Media.Name(), text)
		case who != "" && name != who:
			finding.Code, finding.Text = "other_person", say("photo %s shows somebody else", "照片 %s 不是同一人", p.Media.Name())
		default:
			who = name
			f.people[p.ID] = name
			out.Templates = append(out.Templates, results.Template{Photo: p.ID, Tenant: tenant, Subject: subject, ModelSHA256: "m", Sealed: []byte(name)})
		}
		out.Photos = append(out.Photos, finding)
	}
	if f.during != nil {
		f.during(ctx)
	}
	return out, f.err
}

func (f *fakeCore) LookAlike(context.Context, string, string, []results.Template) ([]LookAlike, error) {
	return f.alike, f.err
}

func (f *fakeCore) Reconsider(_ context.Context, _, job string) (results.Verdict, bool, error) {
	if f.again == nil {
		return results.Verdict{Job: job, Revision: 1, Decision: pipeline.DecisionPass}, false, nil
	}
	return f.again(job)
}

func (f *fakeCore) Reverify(_ context.Context, _, _, recipe string) (Reverified, error) {
	if f.err != nil {
		return Reverified{}, f.err
	}
	r := Reverified{Comparison: verify.Comparison{Agreement: verify.Equal, Before: pipeline.DecisionPass, Now: pipeline.DecisionPass}, Gone: 2}
	if recipe == "current" {
		r.Agreement, r.Recipe = verify.Different, []string{"face_embed: a -> b"}
	}
	return r, nil
}

func (f *fakeCore) CheckSite(ctx context.Context, s *pipeline.Site) (*pipeline.RoomVectors, error) {
	var rooms *pipeline.RoomVectors
	bad := &scene.SiteError{Site: s.ID}
	for i, r := range s.References {
		text := f.read(ctx, r.Media)
		if r.Kind == pipeline.RefRoom {
			if rooms == nil {
				rooms = &pipeline.RoomVectors{Model: "m"}
			}
			rooms.Vectors = append(rooms.Vectors, text)
		}
		if !strings.HasPrefix(text, "picture") {
			bad.Problems = append(bad.Problems, scene.Problem{Trouble: scene.LittleTexture, Field: "references[" + string(rune('0'+i)) + "].photo", Value: r.Name, Text: say("has too little texture", "纹理过少")})
		}
	}
	if len(bad.Problems) > 0 {
		return nil, &verify.ReferenceError{Name: s.ID, Err: bad} // as the core wraps it
	}
	return rooms, f.err
}

func (f *fakeCore) TrySite(ctx context.Context, s *pipeline.Site, photo pipeline.Media, at time.Time) (scene.Trial, error) {
	text := f.read(ctx, photo)
	if !strings.HasPrefix(text, "picture") {
		return scene.Trial{}, &media.Refusal{Rule: "media_unknown", Name: photo.Name(), Text: say("is no picture", "不是图片")}
	}
	t := scene.Trial{Check: pipeline.Check{Outcome: pipeline.Pass}}
	for i, r := range s.References {
		f.read(ctx, r.Media)
		t.References = append(t.References, scene.TriedReference{Number: i + 1, Name: r.Name, Now: at.Year() == 2026, Inliers: 12})
	}
	return t, f.err
}

func (f *fakeCore) Models() []Model {
	return []Model{{ModelRef: pipeline.ModelRef{Task: "face_embed", Name: "n", Version: "1", SHA256: "s"}, Licence: "MIT", State: "ready"}}
}

// desk is a stage with a core, for an administrator.
type desk struct {
	*stage
	core  *fakeCore
	admin string
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	core := &fakeCore{}
	s := newStage(t, func(s *Server) { s.Core = core })
	return &desk{stage: s, core: core, admin: s.key("acme", admin)}
}

func (d *desk) ask(method, path string, body any, headers ...string) answer {
	d.t.Helper()
	return d.do(method, path, d.admin, body, headers...)
}

// ok is ask for what must go well.
func (d *desk) ok(status int, method, path string, body any, headers ...string) answer {
	d.t.Helper()
	a := d.ask(method, path, body, headers...)
	require.Equal(d.t, status, a.status, string(a.body))
	return a
}

// pieces makes multipart/form-data of name, value, ...: every part with a file name, as curl sends them.
func pieces(t testing.TB, parts ...string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		f, err := w.CreateFormFile(parts[i], "DCIM/"+parts[i]+".jpg")
		require.NoError(t, err)
		_, err = io.WriteString(f, parts[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return &b, w.FormDataContentType()
}

func (d *desk) send(method, path string, headers []string, parts ...string) answer {
	d.t.Helper()
	body, kind := pieces(d.t, parts...)
	return d.ask(method, path, body, append(headers, "Content-Type", kind)...)
}

func (d *desk) photos(subject string, texts ...string) answer {
	d.t.Helper()
	var parts []string
	for _, text := range texts {
		parts = append(parts, "photo", text)
	}
	return d.send(post, "/v1/subjects/"+subject+"/photos", nil, parts...)
}

func (d *desk) consent(subject string) {
	d.t.Helper()
	d.ok(http.StatusCreated, post, "/v1/subjects/"+subject+"/consents", map[string]any{"notice": "v1", "reference": "HR/1"})
}

// actions are what the audit log says was done, oldest first.
func (d *desk) actions() []string {
	d.t.Helper()
	rows, err := d.store.AuditLog(context.Background(), "acme", results.Page{Limit: 500})
	require.NoError(d.t, err)
	var out []string
	for _, r := range rows {
		out = append(out, r.Action)
	}
	return out
}

// tidy says that nothing lies in the object folder that no row names.
func (d *desk) tidy(objects int) {
	d.t.Helper()
	require.Equal(d.t, objects, d.objects())
	orphans, err := d.store.Orphans(context.Background(), d.now().Add(48e9), 100)
	require.NoError(d.t, err)
	require.Empty(d.t, orphans)
}

var errNoModels = &models.MissingError{Task: models.FaceEmbed, Path: "/nowhere", Err: io.EOF}

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(r) }
