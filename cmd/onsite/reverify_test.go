package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/verify"
)

// A run that broke off goes on from its log, with the recipe that it began with.
func TestReverifyGoesOn(t *testing.T) {
	var mu sync.Mutex // an interrupted request is still being served when the command has ended
	var asked []string
	broken, paused := true, false
	next := func(b, p bool) {
		mu.Lock()
		defer mu.Unlock()
		broken, paused, asked = b, p, nil
	}
	askedFor := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(asked)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			page := client.Page[client.VerdictRow]{}
			for _, job := range []string{"j1", "j2", "j3"} {
				page.Items = append(page.Items, client.VerdictRow{Job: job})
			}
			_ = json.NewEncoder(w).Encode(page)
			return
		}
		job := strings.Split(r.URL.Path, "/")[3]
		mu.Lock()
		asked = append(asked, job)
		broken, paused := broken, paused
		mu.Unlock()
		out := client.Reverification{Job: job, Asked: "pinned", Agreement: "equal"}
		switch {
		case paused: // Ctrl-C while the server is at it
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
			<-r.Context().Done()
			return
		case job == "j1":
			out.Agreement, out.State, out.Text = "impossible", "media_gone", &pipeline.Text{EN: "gone", ZH: "不存在"}
		case job == "j2" && broken:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"status": 500, "code": "internal", "title": "Broken"}`))
			return
		case job == "j2": // a line longer than a scanner takes
			out.Checks = []verify.CheckDiff{{Before: verify.Side{Codes: []pipeline.Code{pipeline.Code(strings.Repeat("x", 100<<10))}}}}
		}
		_ = json.NewEncoder(w).Encode(out)
	}))
	defer service.Close()
	t.Setenv("ONSITE_SERVER", service.URL)
	t.Setenv("ONSITE_KEY", "ons_abcdefghijkl_0123456789012345678901234567890123456789012")
	t.Setenv("ONSITE_KEY_FILE", "")
	t.Setenv("LC_ALL", "C.UTF-8")
	log := filepath.Join(t.TempDir(), "log")

	code, out, errOut := onsite(t, "reverify", "--log", log)
	require.Equal(t, exitOther, code)
	require.Contains(t, out, "j1: cannot be made again: gone", "that ends no run")
	require.Contains(t, errOut, "job j2, after 1 of 3 verdicts: Broken")
	require.Contains(t, errOut, log+" keeps what is done")
	require.NotContains(t, errOut, "--limit")

	next(false, true)
	before, err := os.ReadFile(log)
	require.NoError(t, err)
	code, _, errOut = onsite(t, "reverify", "--log", log)
	require.Equal(t, exitOther, code)
	require.Contains(t, errOut, "job j2, after 1 of 3 verdicts: interrupted")
	require.Contains(t, errOut, log+" keeps what is done")
	after, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, before, after)

	next(false, false)
	code, out, errOut = onsite(t, "reverify", "--log", log)
	require.Zero(t, code, errOut)
	require.Equal(t, []string{"j2", "j3"}, askedFor())
	require.Contains(t, out, "verdicts: 3 (2 equal, 1 cannot be made again)")

	next(false, false)
	code, _, errOut = onsite(t, "reverify", "--log", log, "--limit", "2")
	require.Zero(t, code, errOut)
	require.Empty(t, askedFor(), "long lines are read, too")
	require.Contains(t, errOut, "there are more than 2 verdicts")
	_, _, errOut = onsite(t, "--lang", "zh", "reverify", "--log", log, "--limit", "2")
	require.Contains(t, errOut, "结论超过 2 份")

	before, err = os.ReadFile(log)
	require.NoError(t, err)
	code, _, errOut = onsite(t, "reverify", "--log", log, "--recipe", "current")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "it was written with --recipe pinned")
	after, err = os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, os.WriteFile(log, []byte("no line of ours\n"), 0o600))
	code, _, errOut = onsite(t, "reverify", "--log", log)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "not what an earlier run wrote")
}

// A score near its threshold is named, also where the two agree.
func TestReverifySaysWhatIsNear(t *testing.T) {
	near, far := 0.41, 0.9
	var out bytes.Buffer
	e := &env{out: &out, lang: "en"}
	e.reverification(client.Reverification{Job: "j", Agreement: "near_threshold", Before: pipeline.DecisionPass, Now: pipeline.DecisionReview, Checks: []verify.CheckDiff{
		{Check: pipeline.CheckFace, Agreement: verify.NearLine, Before: verify.Side{Outcome: pipeline.Pass, Score: &near, Near: true}, Now: verify.Side{Outcome: pipeline.Uncertain, Score: &far}},
		{Check: pipeline.CheckScene, Agreement: verify.Equal, Before: verify.Side{Outcome: pipeline.Pass, Score: &near, Near: true}, Now: verify.Side{Outcome: pipeline.Pass, Score: &near, Near: true}},
		{Check: pipeline.CheckReuse, Agreement: verify.Equal, Before: verify.Side{Outcome: pipeline.Pass}, Now: verify.Side{Outcome: pipeline.Pass}},
	}})
	require.Equal(t, "j: differs near a threshold (pass -> review)\n    face: differs near a threshold; pass 0.4100 [] (near its threshold) -> uncertain 0.9000 []\n    scene: pass 0.4100 [] (near its threshold)\n", out.String())
	out.Reset()
	e.reverification(client.Reverification{Job: "j", Agreement: "equal", Before: pipeline.DecisionAbnormal, Now: pipeline.DecisionAbnormal, InForce: &client.InForce{Revision: 3, Decision: pipeline.DecisionPass}})
	require.Contains(t, out.String(), "j: equal (abnormal)\n    this is revision 1, what the program found; in force is revision 3 (pass)")
}
