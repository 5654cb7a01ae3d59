package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/models"
)

// compiledDir is the folder of the built program, which TestMain removes.
var compiledDir string

// compiled builds the program once: the processes of these tests are killed, and must be the real thing.
var compiled = sync.OnceValues(func() (string, error) {
	var err error
	if compiledDir, err = os.MkdirTemp("", "onsite-e2e-"); err != nil {
		return "", err
	}
	path := filepath.Join(compiledDir, "onsite")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build onsite: %w: %s", err, out)
	}
	return path, nil
})

func built(t *testing.T) string {
	t.Helper()
	path, err := compiled()
	require.NoError(t, err)
	return path
}

// decoder is the child that `make build` puts into bin/.
func decoder(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ONSITE_DECODER"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../bin/onsite-decode")
	require.NoError(t, err)
	require.FileExists(t, path, "run `make build` first")
	return path
}

// output is what a process printed, read while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// server is an `onsite serve` process.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	data   string
	out    output
	log    output
	exited chan struct{}
}

func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start starts serve on a data folder and waits until it is ready.
func start(t *testing.T, data string, env ...string) *server {
	t.Helper()
	listen := address(t)
	s := &server{t: t, url: "http://" + listen, data: data, exited: make(chan struct{})}
	s.cmd = exec.Command(built(t), "serve", "--data", data, "--listen", listen)
	s.cmd.Env = append(os.Environ(), append([]string{"ONSITE_DECODER=" + decoder(t), "ONSITE_CACHE=" + models.CacheDir()}, env...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.log
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // its state is looked at
		close(s.exited)
	}()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	require.Eventually(t, func() bool {
		r, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	}, 60*time.Second, 50*time.Millisecond, "serve is not ready; its log: %s", &s.log)
	return s
}

// stop asks it to end in order and gives its exit state.
func (s *server) stop(sig syscall.Signal) int {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(sig))
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		require.Fail(s.t, "serve does not end", s.log.String())
	}
	http.DefaultClient.CloseIdleConnections()
	return s.cmd.ProcessState.ExitCode()
}

// ask sends a request with the first admin key and reads the answer.
func (s *server) ask(method, path, contentType string, body io.Reader, into any) int {
	s.t.Helper()
	key, err := os.ReadFile(filepath.Join(s.data, "admin-key"))
	require.NoError(s.t, err)
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, body)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	r, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	if into != nil {
		require.NoError(s.t, json.Unmarshal(raw, into), string(raw))
	}
	return r.StatusCode
}

func (s *server) submit(subject string, media []byte) string {
	s.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(s.t, w.WriteField("subject", subject))
	part, err := w.CreateFormFile("media", "clip.mp4")
	require.NoError(s.t, err)
	_, err = part.Write(media)
	require.NoError(s.t, err)
	require.NoError(s.t, w.Close())
	var a struct{ Job string }
	require.Equal(s.t, http.StatusAccepted, s.ask(http.MethodPost, "/v1/submissions", w.FormDataContentType(), &form, &a))
	return a.Job
}

// The README's lines work as they stand, from an empty folder to a real verdict; the Chinese one has the same, but for the comments.
func TestReadmeLines(t *testing.T) {
	t.Parallel()
	require.Equal(t, commands(t, "README.md"), commands(t, "README.zh-CN.md"))
	cmd := exec.CommandContext(t.Context(), mustAbs(t, "../../deploy/demo/serve.sh"))
	cmd.Env = append(os.Environ(), "ONSITE_API_LISTEN="+address(t), "ONSITE_BINARY="+built(t), "ONSITE_DECODER="+decoder(t), "ONSITE_CACHE="+models.CacheDir())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "the README's lines work")
}

// An upload straight into a real bucket ends in a verdict: API and worker on their own, with PostgreSQL, Redis and MinIO from `make dev-up`.
func TestManyMachines(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), mustAbs(t, "../../deploy/demo/many.sh"))
	cmd.Env = append(os.Environ(), "ONSITE_BINARY="+built(t), "ONSITE_DECODER="+decoder(t), "ONSITE_CACHE="+models.CacheDir(),
		"ONSITE_MEASURE=true", "ONSITE_WORKER_CORE="+config.CoreDecoding) // the other test has the models
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "from the bucket to the verdict")
}

// A second signal ends the program at once, whatever still runs.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"), "ONSITE_MEASURE=true", "ONSITE_WORKER_CORE=noop")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	key, err := os.ReadFile(filepath.Join(s.data, "admin-key"))
	require.NoError(t, err)
	// An upload that does not go on: the server would wait for it.
	_, err = fmt.Fprintf(conn, "POST /v1/submissions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\n"+
		"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", strings.TrimSpace(string(key)))
	require.NoError(t, err)
	first := make([]byte, 12)
	_, err = io.ReadFull(conn, first) // it is being read
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100", string(first))
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, time.Minute, 10*time.Millisecond, "it is stopping")
	began := time.Now()
	require.Equal(t, -1, s.stop(syscall.SIGTERM), "it was ended by the signal")
	require.Less(t, time.Since(began), 8*time.Second, "not after the requests got their time")
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	require.NoError(t, err)
	return abs
}

func commands(t *testing.T, readme string) (out []string) {
	t.Helper()
	raw, err := os.ReadFile("../../" + readme)
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(raw), "<!-- run: use -->\n```sh\n")
	require.True(t, ok)
	block, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	for line := range strings.Lines(block) {
		if !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// A killed service loses nothing: what was accepted is finished after the restart, each job with exactly one verdict, also when Redis lost
// everything in between.
func TestServeSurvivesAKill(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	measuring := []string{"ONSITE_MEASURE=true", "ONSITE_WORKER_CONCURRENCY=1"}
	clip, err := os.ReadFile(ffmpeg(t, "clip.mp4", "-ss", "20", "-t", "3", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "ultrafast"))
	require.NoError(t, err)

	s := start(t, data, append(measuring, "ONSITE_WORKER_CORE=decoding")...)
	require.Contains(t, s.out.String(), s.url)
	key, err := os.ReadFile(filepath.Join(data, "admin-key"))
	require.NoError(t, err)
	require.NotContains(t, s.out.String()+s.log.String(), strings.TrimSpace(string(key)), "no terminal, so nobody but the file is told")
	for path, mode := range map[string]os.FileMode{"": 0o700, "admin-key": 0o600, "kek": 0o600, "onsite.db": 0o600} {
		info, err := os.Stat(filepath.Join(data, path))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	require.Equal(t, http.StatusCreated, s.ask(http.MethodPut, "/v1/subjects/e1", "application/json", strings.NewReader(`{"label": "e1"}`), nil))
	jobs := make([]string, 30)
	for i := range jobs {
		jobs[i] = s.submit("e1", clip)
	}

	// A second one on the same folder, and one on the same port, are refused and say why.
	second := ended(t, "serve", "--data", data, "--listen", "127.0.0.1:0")
	require.Equal(t, 1, second.code)
	require.Contains(t, second.err, fmt.Sprintf("another onsite (process %d) uses the data folder", s.cmd.Process.Pid))
	taken := ended(t, "serve", "--data", filepath.Join(t.TempDir(), "other"), "--listen", strings.TrimPrefix(s.url, "http://"))
	require.Equal(t, 1, taken.code)
	require.Contains(t, taken.err, "is taken by another program")

	s.stop(syscall.SIGKILL)
	require.NoError(t, os.RemoveAll(filepath.Join(data, "redis", "appendonlydir")), "Redis forgets everything, too")

	s = start(t, data, append(measuring, "ONSITE_WORKER_CORE=noop")...)
	for _, job := range jobs {
		var j struct {
			State    string
			Revision int
		}
		require.Equal(t, http.StatusOK, s.ask(http.MethodGet, "/v1/jobs/"+job+"?wait=30s", "", nil, &j))
		require.Equal(t, "done", j.State, job)
		require.Positive(t, j.Revision)
	}
	type verdictOf struct {
		Job      string
		Revision int
	}
	var feed struct{ Items []verdictOf }
	require.Eventually(t, func() bool { // positions are given after the commits
		s.ask(http.MethodGet, "/v1/verdicts/changes?after=0&limit=100", "", nil, &feed)
		// They are all one recording: one that ran beside another before the kill may have been compared with it afterwards.
		feed.Items = slices.DeleteFunc(feed.Items, func(v verdictOf) bool { return v.Revision > 1 })
		return len(feed.Items) >= len(jobs)
	}, time.Minute, 50*time.Millisecond)
	got := map[string]int{}
	for _, v := range feed.Items {
		got[v.Job]++
	}
	require.Len(t, got, len(jobs))
	for _, job := range jobs {
		require.Equal(t, 1, got[job])
	}

	// Commands on the store of a running service, and an end in order.
	require.Equal(t, 0, ended(t, "tenant", "add", "acme", "--name", "Acme Ltd", "--data", data).code)
	require.Contains(t, ended(t, "tenant", "list", "--data", data).out, "Acme Ltd")
	require.JSONEq(t, `{"events":[]}`, ended(t, "intake", "--state", "unread", "--json", "--data", data).out)
	added := ended(t, "key", "add", "--tenant", "acme", "--role", "read", "--data", data)
	require.Regexp(t, `^ons_[a-z]{12}_[0-9A-Za-z]{43}\n$`, added.out)
	id := strings.Split(added.out, "_")[1]
	require.Equal(t, 0, ended(t, "key", "revoke", id, "--tenant", "acme", "--data", data).code)
	require.Contains(t, ended(t, "key", "list", "--tenant", "acme", "--data", data).out, "revoked")
	require.JSONEq(t, `{"events":[]}`, ended(t, "intake", "--state", "unread", "--json", "--data", data).out)
	require.Contains(t, ended(t, "migrate", "status", "--data", data).out, "up to date")
	require.Equal(t, 0, s.stop(syscall.SIGTERM), s.log.String())
	require.Contains(t, s.log.String(), "worker stopped")
}

type ran struct {
	code     int
	out, err string
}

// ended runs the built program to its end.
func ended(t *testing.T, args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, built(t), args...)
	cmd.Env = append(os.Environ(), "ONSITE_DECODER="+decoder(t), "ONSITE_CACHE="+models.CacheDir(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run() // its state is looked at
	return ran{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// What is wrong at the start is said in words, with what to do, and nothing is left behind that would make the next start different.
func TestServeRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		want string
	}{
		"open to all without TLS":  {[]string{"--listen", "0.0.0.0:0"}, nil, 2, "--insecure"},
		"folder cannot be":         {[]string{"--data", file}, nil, 1, "cannot be used"},
		"folder of somebody else":  {[]string{"--data", dir}, nil, 1, "holds other things"},
		"unknown setting":          {nil, map[string]string{"ONSITE_WROKER_CORE": "noop"}, 2, "did you mean ONSITE_WORKER_CORE?"},
		"two mistakes at once":     {[]string{"--set", "worker.lease=soon", "--set", "api.max_waiting=x"}, nil, 2, "worker.lease"},
		"no value":                 {[]string{"--set", "worker.lease"}, nil, 2, "write --set KEY=VALUE"},
		"secret on a command line": {[]string{"--set", "kek.text=abc"}, nil, 2, "ONSITE_KEK_TEXT_FILE"},
		"no redis-server":          {nil, map[string]string{"PATH": dir}, 1, "redis-server was not found on the PATH"},
		"no decoder":               {nil, map[string]string{"ONSITE_DECODER": filepath.Join(dir, "none")}, 1, "make build"},
		"no such file":             {[]string{"--config", filepath.Join(dir, "none.yaml")}, nil, 2, "none.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			data := filepath.Join(t.TempDir(), "data")
			args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, c.args...)
			t.Setenv("ONSITE_LOG_LEVEL", "error")
			code, out, errOut := onsite(t, args...)
			require.Equal(t, c.code, code, errOut)
			require.Empty(t, out)
			require.Contains(t, errOut, c.want)
		})
	}
}

// terminal opens a pseudo-terminal: what is written to the second file is read from the first.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = screen.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	return screen, tty
}

// The first key is shown to a person at a terminal, and to nobody else.
func TestFirstKeyIsForTerminals(t *testing.T) {
	ready := service.Ready{URL: "http://127.0.0.1:1", KeyFile: "/data/admin-key", FirstKey: "ons_secret"}
	for _, lang := range []string{"en", "zh"} {
		var plain bytes.Buffer
		(&env{out: &plain, lang: lang}).ready(ready, config.RoleServe, false)
		(&env{out: &plain, lang: lang}).ready(ready, config.RoleServe, true)
		require.Contains(t, plain.String(), ready.URL)
		require.Contains(t, plain.String(), ready.KeyFile)
		require.NotContains(t, plain.String(), ready.FirstKey)
	}
	screen, tty := terminal(t)
	(&env{out: tty, lang: "en"}).ready(ready, config.RoleServe, false)
	shown := make([]byte, 4096)
	n, err := screen.Read(shown)
	require.NoError(t, err)
	for !bytes.Contains(shown[:n], []byte(ready.FirstKey)) {
		more, err := screen.Read(shown[n:])
		require.NoError(t, err)
		n += more
	}
}

// A short run of the harness, which starts this program with settings of its own.
func TestChaosCommand(t *testing.T) {
	got := ended(t, "chaos", "--jobs", "4", "--store", "sqlite", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var r struct{ Accepted, Verdicts, Refused, Dead, Lost int }
	require.NoError(t, json.Unmarshal([]byte(got.out), &r), got.out)
	require.Equal(t, 4, r.Accepted, got.out)
	require.Equal(t, 4, r.Verdicts+r.Refused+r.Dead, got.out)
	require.Zero(t, r.Lost, got.out)
}
