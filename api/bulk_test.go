package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

const people = `subject,label,photos,consent_notice,consent_reference
p1,Ann,p1/a.jpg;p1/b.jpg,v1,HR/1
p2,Bob,p2.jpg,v1,HR/2
p3,Cem,p3.jpg,,
p4,Dee,p4.jpg,v1,HR/4
p5,Eve,,v1,HR/5
`

var peoplePhotos = []string{"p1/a.jpg", "face of ann", "p1/b.jpg", "face of ann, 2", "p2.jpg", "blurred bob", "p3.jpg", "face of cem", "p4.jpg", "face of dee"}

func (d *desk) bulk(query, list string, parts ...string) (Bulk, answer) {
	d.t.Helper()
	a := d.send(post, "/v1/subjects/bulk"+query, nil, append([]string{"people", list}, parts...)...)
	var b Bulk
	if a.status == http.StatusOK {
		a.into(&b)
	}
	return b, a
}

func statuses(b Bulk) string {
	var out []string
	for _, r := range b.Rows {
		s := fmt.Sprintf("%d %s %s", r.Line, r.Subject, r.Status)
		if r.Problem != nil {
			s += " " + r.Problem.Code
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestBulk(t *testing.T) {
	d := newDesk(t)
	b, a := d.bulk("?dry_run=true", people, peoplePhotos...)
	require.Equal(t, 200, a.status, string(a.body))
	require.Equal(t, "2 p1 would_enrol; 3 p2 would_enrol; 4 p3 refused no_consent; 5 p4 would_enrol; 6 p5 would_enrol", statuses(b))
	require.True(t, b.DryRun)
	d.tidy(0)
	d.ask(get, "/v1/subjects/p1", nil).problem(404, codeNotFound)
	require.Zero(t, d.core.seen(), "no consent is on record: no face is looked at")
	require.True(t, b.Rows[0].NotLookedAt)
	require.False(t, b.Rows[4].NotLookedAt, "it has no photos")
	d.core.during = func(ctx context.Context) {
		all, err := d.store.AuditLog(ctx, "acme", results.Page{Limit: 500})
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(all), "consent.given", "on record before a face is looked at")
	}

	b, _ = d.bulk("", people, peoplePhotos...)
	require.Equal(t, "2 p1 enrolled; 3 p2 refused photos_refused; 4 p3 refused no_consent; 5 p4 enrolled; 6 p5 enrolled", statuses(b))
	require.Equal(t, []int{3, 0, 2}, []int{b.Enrolled, b.Unchanged, b.Refused})
	require.Equal(t, []string{"p1/a.jpg", "p1/b.jpg"}, b.Rows[0].Added)
	require.Equal(t, "blurred", b.Rows[1].Problem.Errors[0].Code)
	require.Equal(t, "form.p2.jpg", b.Rows[1].Problem.Errors[0].Field)
	require.NotEmpty(t, b.Rows[1].Problem.Errors[0].Detail)
	d.tidy(3)
	consents, err := d.store.Consents(context.Background(), "acme", "p1")
	require.NoError(t, err)
	require.Len(t, consents, 1)
	d.ask(get, "/v1/subjects/p3", nil).problem(404, codeNotFound)
	consents, err = d.store.Consents(context.Background(), "acme", "p2")
	require.NoError(t, err)
	require.Len(t, consents, 1, "the consent under which the photo was looked at stays on record")
	looked := d.core.seen()
	b, _ = d.bulk("?dry_run=true", people, peoplePhotos...)
	require.Equal(t, "2 p1 unchanged; 3 p2 refused photos_refused; 4 p3 refused no_consent; 5 p4 unchanged; 6 p5 unchanged", statuses(b))
	require.Equal(t, looked+1, d.core.seen(), "with a consent in force a dry run looks")

	// Sent again, with what was wrong corrected: the rest is as it was.
	corrected := append([]string{}, peoplePhotos...)
	corrected[5] = "face of bob"
	b, _ = d.bulk("", strings.Replace(people, "p3.jpg,,", "p3.jpg,v1,HR/3", 1), corrected...)
	require.Equal(t, "2 p1 unchanged; 3 p2 enrolled; 4 p3 enrolled; 5 p4 unchanged; 6 p5 unchanged", statuses(b))
	require.Equal(t, []string{"p1/a.jpg", "p1/b.jpg"}, b.Rows[0].Known)
	d.tidy(5)
	consents, err = d.store.Consents(context.Background(), "acme", "p1")
	require.NoError(t, err)
	require.Len(t, consents, 1, "the same consent is recorded once")
	d.do(get, "/v1/subjects/p1", d.key("other", admin), nil).problem(404, codeNotFound)
}

func TestBulkRowsFailByThemselves(t *testing.T) {
	d := newDesk(t)
	list := `{"subject":"p1","photos":["a"],"consent":{"notice":"v1"}}
{"subject":"p2","photos":["b"],"consent":{"notice":"v1"}}
{"subject":"p3","photos":["c","d"],"consent":{"notice":"v1"}}
{"subject":"p4","photos":["e"],"consent":{"notice":"v1","given_at":"2999-01-01T00:00:00Z"}}
{"subject":"p5","photos":["f"],"consent":{"notice":"v1"}}
`
	b, a := d.bulk("", list, "zzz", "not named", "c", "face of cem", "a", "", "b", "face of bob"+strings.Repeat("x", maxPhotoBytes), "e", "face of eve", "f", "face of flo")
	require.Equal(t, 200, a.status, string(a.body))
	require.Equal(t, "1 p1 refused invalid; 2 p2 refused too_large; 3 p3 refused invalid; 4 p4 refused invalid; 5 p5 enrolled", statuses(b))
	require.Equal(t, []string{"zzz"}, b.Unused)
	require.Equal(t, "row.photos", b.Rows[2].Problem.Errors[0].Field)
	require.Contains(t, b.Rows[2].Problem.Errors[0].Detail, `"d"`)
	d.tidy(1)

	// A subject that was erased is not made again by a list.
	d.ok(200, del, "/v1/subjects/p5", nil)
	b, _ = d.bulk("", "subject,label\np5,again\n")
	require.Equal(t, "2 p5 refused subject_erased", statuses(b))
}

func TestBulkRefusesLists(t *testing.T) {
	d := newDesk(t)
	_, a := d.bulk("", "subject,foto\np1,a.jpg\n")
	a.field(422, codeInvalid, "form.people[1]", "row")
	_, a = d.bulk("", "subject\np1\np1\n-\n")
	require.Len(t, a.problem(422, codeInvalid).Errors, 2)
	var many strings.Builder
	many.WriteString("subject\n")
	for i := range bulkPeople + 1 {
		fmt.Fprintf(&many, "q%d\n", i)
	}
	_, a = d.bulk("", many.String())
	a.field(422, codeInvalid, "form.people", "too_many")
	d.send(post, "/v1/subjects/bulk", nil, "photo", "face of ann").field(422, codeInvalid, "form.people", "missing")
	d.send(post, "/v1/subjects/bulk", nil).field(422, codeInvalid, "form.people", "missing")
	d.ask(post, "/v1/subjects/bulk", "subject\np1\n").problem(415, codeContentType)
	d.ask(get, "/v1/subjects/p1", nil).problem(404, codeNotFound)
}

// A list that breaks off keeps what was done, and sent again goes on from there.
func TestBulkBreaksOff(t *testing.T) {
	d := newDesk(t)
	body, kind := pieces(t, append([]string{"people", people}, peoplePhotos...)...)
	whole, err := readAll(body)
	require.NoError(t, err)
	at := bytes.Index(whole, []byte("face of dee"))
	a := d.ask(post, "/v1/subjects/bulk", bytes.NewReader(whole[:at+4]), "Content-Type", kind)
	require.Equal(t, 400, a.status, string(a.body))
	d.tidy(2)
	b, _ := d.bulk("", people, peoplePhotos...)
	require.Equal(t, "2 p1 unchanged; 3 p2 refused photos_refused; 4 p3 refused no_consent; 5 p4 enrolled; 6 p5 unchanged", statuses(b))
}

func FuzzFormReader(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"site\"\r\n\r\nid: a\r\n--b--\r\n"), "multipart/form-data; boundary=b")
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"p\"; filename=\"..\\\\x\"\r\n\r\n\r\n--b\r\n"), "multipart/form-data; boundary=b")
	f.Add([]byte("--b--"), "multipart/form-data; boundary=\"b\"")
	f.Fuzz(func(t *testing.T, raw []byte, kind string) {
		in := &Stream{contentType: kind, body: bound(bytes.NewReader(raw), 1<<20, "body")}
		form, err := in.form()
		if err != nil {
			return
		}
		for {
			p, err := form.next()
			if err != nil {
				return
			}
			require.True(t, plainName(p.name) && p.name != "")
			require.NotContains(t, p.label(), "/")
			if text, err := p.text(100); err == nil {
				require.LessOrEqual(t, len(text), 100)
			}
		}
	})
}
