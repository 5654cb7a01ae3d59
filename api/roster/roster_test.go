package roster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadCSV(t *testing.T) {
	people, err := Read([]byte("\ufeffSubject, label ,photos,consent_notice,consent_reference,consent_given_at\n" +
		"e1,王伟,e1/a.jpg; e1/b.jpg,v2,HR/17,2026-03-01\n" +
		"e2,,\"e2.jpg\",,,\n" +
		"e3\n"))
	require.NoError(t, err)
	require.Equal(t, []Person{
		{Line: 2, Subject: "e1", Label: "王伟", Photos: []string{"e1/a.jpg", "e1/b.jpg"},
			Consent: &Consent{Notice: "v2", Reference: "HR/17", GivenAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}},
		{Line: 3, Subject: "e2", Photos: []string{"e2.jpg"}},
		{Line: 4, Subject: "e3"},
	}, people)
}

func TestReadNDJSON(t *testing.T) {
	people, err := Read([]byte("\n{\"subject\":\"e1\",\"photos\":[\"a.jpg\"],\"consent\":{\"notice\":\"v2\",\"given_at\":\"2026-03-01T09:00:00Z\"}}\n\n{\"subject\":\"e2\"}"))
	require.NoError(t, err)
	require.Len(t, people, 2)
	require.Equal(t, 2, people[0].Line)
	require.Equal(t, "v2", people[0].Consent.Notice)
	require.Equal(t, 4, people[1].Line)
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		list  string
		line  int
		field string
		want  string
	}{
		"empty":              {" \n", 0, "", "is empty"},
		"only a header":      {"subject,label\n", 0, "", "names nobody"},
		"GBK":                {"subject,label\ne1,\xcd\xf5\xce\xb0\n", 0, "", "CSV UTF-8"},
		"no subject column":  {"label\nx\n", 1, "subject", "is missing"},
		"unknown column":     {"subject,foto\ne1,a.jpg\n", 1, `"foto"`, "is no column"},
		"column twice":       {"subject,label,label\ne1,a,b\n", 1, "label", "twice"},
		"too many cells":     {"subject,label\ne1,a,b\n", 2, "", "more cells"},
		"quotation mark":     {"subject,label\ne1,\"a\n", 2, "", "quotation"},
		"no subject":         {"subject,label\n,a\n", 2, "subject", "is missing"},
		"subject's form":     {"subject\n-e1\n", 2, "subject", "must be"},
		"subject twice":      {"subject\ne1\ne1\n", 3, "subject", "line 2 already"},
		"photo twice":        {"subject,photos\ne1,a.jpg\ne2,a.jpg\n", 3, "photos", "line 2 already"},
		"same photo in row":  {"subject,photos\ne1,a.jpg;a.jpg\n", 2, "photos", "line 2 already"},
		"photo outside":      {"subject,photos\ne1,../a.jpg\n", 2, "photos", "inside"},
		"absolute photo":     {"subject,photos\ne1,/etc/passwd\n", 2, "photos", "inside"},
		"Windows path":       {"subject,photos\ne1,a\\b.jpg\n", 2, "photos", "inside"},
		"six photos":         {"subject,photos\ne1,1;2;3;4;5;6\n", 2, "photos", "at most 5"},
		"consent no notice":  {"subject,consent_reference\ne1,x\n", 2, "consent_notice", "is missing"},
		"consent time":       {"subject,consent_notice,consent_given_at\ne1,v1,yesterday\n", 2, "consent_given_at", "not a time"},
		"label too long":     {"subject,label\ne1," + strings.Repeat("x", 201) + "\n", 2, "label", "at most 200"},
		"JSON field":         {"{\"subject\":\"e1\",\"name\":\"x\"}\n", 1, "", "JSON object"},
		"two objects a line": {"{\"subject\":\"e1\"} {\"subject\":\"e2\"}\n", 1, "", "JSON object"},
		"JSON then CSV":      {"{\"subject\":\"e1\"}\ne2,x\n", 2, "", "JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			people, err := Read([]byte(c.list))
			require.Nil(t, people)
			var all Errors
			require.ErrorAs(t, err, &all)
			require.Equal(t, c.line, all[0].Line, err)
			require.Equal(t, c.field, all[0].Field, err)
			require.Contains(t, all[0].Error(), c.want)
			require.NotEmpty(t, all[0].Words().ZH)
		})
	}
}

func TestReadGivesEverythingThatIsWrong(t *testing.T) {
	_, err := Read([]byte("subject,photos\n-,\ne1,../x\ne1,\n"))
	var all Errors
	require.ErrorAs(t, err, &all)
	require.Len(t, all, 3)
	require.Contains(t, all.Words().ZH, "第 2 行")
	require.Contains(t, err.Error(), "line 4")
}

func TestReadIsBounded(t *testing.T) {
	_, err := Read([]byte(strings.Repeat("x", MaxBytes+1)))
	require.ErrorContains(t, err, "longer than")
	var b strings.Builder
	b.WriteString("subject\n")
	for i := range MaxPeople + 1 {
		fmt.Fprintf(&b, "e%d\n", i)
	}
	_, err = Read([]byte(b.String()))
	require.ErrorContains(t, err, "more than 20000 people")
	_, err = Read([]byte("subject\n" + strings.Repeat("-\n", 1000)))
	var all Errors
	require.ErrorAs(t, err, &all)
	require.Len(t, all, maxErrors)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("subject,photos\ne1,a.jpg;b.jpg\n"))
	f.Add([]byte("{\"subject\":\"e1\",\"photos\":[\"a\"]}\n"))
	f.Add([]byte("subject,consent_notice,consent_given_at\ne1,v,2026-01-01\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		people, err := Read(raw)
		if err != nil {
			require.Empty(t, people)
			require.NotEmpty(t, err.Error())
			return
		}
		for _, p := range people {
			require.Regexp(t, subjectForm, p.Subject)
			require.LessOrEqual(t, len(p.Photos), MaxPhotos)
			for _, name := range p.Photos {
				require.True(t, plainPath(name))
			}
		}
	})
}
