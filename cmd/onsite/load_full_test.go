package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/api/client"
	"onsite/api/roster"
	"onsite/workers/chaos"
)

// registrar takes sites and people as a service does. It refuses everybody's photo as often as it is told to.
type registrar struct {
	refuse int
	sites  []string
	people []string
}

func (s *registrar) open(t *testing.T) *client.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/sites/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.sites = append(s.sites, r.PathValue("id"))
		_ = json.NewEncoder(w).Encode(map[string]any{"id": r.PathValue("id"), "revision": 1})
	})
	mux.HandleFunc("POST /v1/subjects/bulk", func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("people")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var out client.Bulk
		for lines := json.NewDecoder(file); lines.More(); {
			var p roster.Person
			if err := lines.Decode(&p); err != nil || p.Consent == nil || len(p.Photos) != 1 || r.MultipartForm.File[p.Photos[0]] == nil {
				http.Error(w, "no consent, or no photo", http.StatusBadRequest)
				return
			}
			row := client.BulkRow{Subject: p.Subject, Status: "enrolled"}
			if s.refuse > 0 {
				s.refuse--
				out.Refused++
				row.Status, row.Problem = "refused", &client.Problem{Code: "no_face", Title: "there is no face"}
			} else if r.URL.Query().Get("dry_run") == "" {
				s.people = append(s.people, p.Subject)
			}
			out.Rows = append(out.Rows, row)
		}
		_ = json.NewEncoder(w).Encode(out)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{Server: server.URL, Key: "ons_x"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestCrew(t *testing.T) {
	ctx, clips := context.Background(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(clips, "a.mp4"), chaos.Clip(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(clips, "b.mp4"), chaos.Clip(), 0o600))
	w, err := (&loadCmd{Clips: clips, Employees: 4}).newCrew(ctx, &env{}, t.TempDir())
	require.NoError(t, err)
	service := &registrar{refuse: 1}
	require.NoError(t, w.enter(ctx, service.open(t), func(int, int) {}))
	require.Equal(t, []string{"morning-0000", "morning-0001"}, service.sites)
	require.Equal(t, []string{w.subject(0), w.subject(1), w.subject(2), w.subject(3)}, service.people, "the first photo of the first clip shows no face: the next one does")
	require.Equal(t, []string{w.siteID(0), w.siteID(0), w.siteID(1), w.siteID(1)}, []string{w.site(0), w.site(1), w.site(2), w.site(3)}, "each site sees each clip once")
	first, err := os.ReadFile(w.media(0).Path)
	require.NoError(t, err)
	third, err := os.ReadFile(w.media(2).Path)
	require.NoError(t, err)
	require.NotEqual(t, first, third, "the same clip of another employee is another upload")
	require.Contains(t, string(third), "employee 2", "and so in its packets")

	one := *w
	one.sites = 1
	require.Equal(t, one.site(0), one.site(3))
	err = one.enter(ctx, (&registrar{refuse: 100}).open(t), func(int, int) {})
	var usage *usageError
	require.ErrorAs(t, err, &usage)
	require.Contains(t, usage.text.EN, "there is no face")
	require.True(t, strings.Contains(usage.text.EN, "a.mp4") && strings.Contains(usage.text.ZH, "a.mp4"))
}

// A clip is to blame for uploads that cannot be made only if its video is no H.264.
func TestUploadsThatFail(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	good, other := filepath.Join(dir, "a.mp4"), filepath.Join(dir, "b.mp4")
	require.NoError(t, os.WriteFile(good, chaos.Clip(), 0o600))
	require.NoError(t, withFFmpeg(ctx, "-i", good, "-frames:v", "2", "-c:v", "mpeg4", other))
	var usage *usageError
	require.ErrorAs(t, (&crew{dir: dir, employees: 1}).uploads(ctx, []string{other}), &usage)
	require.Contains(t, usage.text.EN, "is mpeg4")
	require.Contains(t, usage.text.ZH, "mpeg4")
	err := (&crew{dir: filepath.Join(dir, "none"), employees: 1}).uploads(ctx, []string{good})
	require.ErrorContains(t, err, "No such file")
	require.NotErrorAs(t, err, &usage, "the folder is missing, the clip is fine")
	stopped, stop := context.WithCancel(ctx)
	stop()
	require.ErrorIs(t, (&crew{dir: dir, employees: 1}).uploads(stopped, []string{good}), context.Canceled)
}
