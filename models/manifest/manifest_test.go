package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuiltinCoversEveryTask(t *testing.T) {
	ms, err := Builtin()
	require.NoError(t, err)
	var tasks []string
	for _, m := range ms {
		tasks = append(tasks, m.Task)
		require.NotEmpty(t, m.Golden, "%s has no golden sample", m.Task)
		require.True(t, m.Source.NPM != "" || m.Source.Embedded, m.Task)
		if strings.HasPrefix(m.Name, "faceplugin") {
			require.Contains(t, m.Licence.Note, "does not disclose the training data", m.Task)
		}
	}
	require.Equal(t, Tasks(), append(tasks[:len(tasks)-1:len(tasks)-1], "transcribe", tasks[len(tasks)-1]), "all but the speech model, which nobody ships")
	for _, m := range ms {
		if m.Task == "face_embed" {
			require.Equal(t, 512, m.Dimension())
			v, ok := m.Threshold("fmr_1e-3")
			require.True(t, ok)
			require.InDelta(t, 0.308, v, 1e-9)
			_, ok = m.Threshold("nothing")
			require.False(t, ok)
		}
	}
}

// sample is the text of one built-in manifest.
func sample(t testing.TB, task string) string {
	t.Helper()
	data, err := builtin.ReadFile("builtin/" + task + ".yaml")
	require.NoError(t, err)
	return string(data)
}

// example is one of the templates for a speech model, filled in.
func example(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("example", "transcribe_"+name+".yaml"))
	require.NoError(t, err)
	text := string(data)
	require.NotRegexp(t, `sha256: [0-9a-f]{64}`, text, "a template names no digest that nobody has seen")
	text = strings.ReplaceAll(text, "SHA256-OF-THE-FILE", strings.Repeat("ab", 32))
	return []byte(strings.ReplaceAll(text, "SIZE-OF-THE-FILE", "1000"))
}

func TestTemplatesOfSpeechModels(t *testing.T) {
	for _, name := range []string{"wave", "fbank"} {
		m, err := Parse(name, example(t, name))
		require.NoError(t, err)
		require.Equal(t, "transcribe", m.Task)
		require.NotNil(t, m.Keys)
		require.Contains(t, m.Source.Note, "sha256sum")
	}
	for _, c := range []struct{ from, to, want string }{
		{"rate: 16000", "rate: 8000", "input.rate"},
		{"bins: 80", "bins: 4", "input.bins"},
		{"low_hz: 20", "low_hz: 9000", "input.low_hz"},
		{"layout: fbank", "layout: wave", "takes no bins"},
		{"scale: 1", "scale: 0", "input.scale"},
		{"name: ctc_speech", "name: silero", "decoder.name"},
		{"blank: 0", "blank: 9999999", "decoder.params.blank"},
		{"layout: fbank", "layout: pcm", "input.layout"},
	} {
		text := string(example(t, "fbank"))
		require.Contains(t, text, c.from)
		_, err := Parse("broken", []byte(strings.Replace(text, c.from, c.to, 1)))
		require.ErrorContains(t, err, c.want)
	}
	_, err := Parse("broken", []byte(strings.Replace(sample(t, "liveness"), "input:", "input:\n  bins: 80", 1)))
	require.ErrorContains(t, err, "takes no speech fields")
}

func TestAnchors(t *testing.T) {
	a := Anchors(300, 300, .2, .95)
	require.Len(t, a, 1917, "19, 10, 5, 3, 2 and 1 squared, with 3 boxes each on the first layer and 6 on the others")
	require.Equal(t, Anchor{X: .5 / 19, Y: .5 / 19, W: .1, H: .1}, a[0])
	last := a[len(a)-1]
	require.InDeltaSlice(t, []float64{.5, .5, .97468, .97468}, []float64{last.X, last.Y, last.W, last.H}, 1e-5)
	require.InDelta(t, .95*1.7320508, a[len(a)-3].W, 1e-6, "aspect 3")
}

func TestParseRefuses(t *testing.T) {
	cases := []struct{ name, task, from, to, want string }{
		{"unknown key", "liveness", "outputs:", "colour: red\noutputs:", "colour"},
		{"repeated key", "liveness", "outputs:", "name: again\noutputs:", "name"},
		{"task", "liveness", "task: liveness", "task: dance", "task: \"dance\""},
		{"no name", "liveness", "name: faceplugin-liveness", "name: \"\"", "name: is missing"},
		{"file path", "liveness", "name: fr_liveness.onnx", "name: ../fr_liveness.onnx", "file.name"},
		{"bytes", "liveness", "bytes: 1886811", "bytes: 0", "file.bytes"},
		{"sha256", "liveness", "sha256: afa7", "sha256: AFA7", "file.sha256"},
		{"member", "liveness", "member: model/", "member: ../", "file.member"},
		{"no member", "liveness", "  member: model/fr_liveness.onnx\n", "", "file.member: is missing"},
		{"npm", "liveness", "npm: faceplugin-face-recognition-js", "npm: --evil", "source.npm"},
		{"version", "liveness", "version: \"0.0.1\"\n  tarball", "version: latest\n  tarball", "source.version"},
		{"tarball", "liveness", "tarball_sha256: 7ea0", "tarball_sha256: zea0", "source.tarball_sha256"},
		{"layout", "liveness", "layout: nchw", "layout: hwcn", "input.layout"},
		{"colour", "liveness", "colour: bgr", "colour: hsv", "input.colour"},
		{"width", "liveness", "width: 128", "width: 100000", "input.width"},
		{"dynamic", "liveness", "width: 128", "width: 0", "input.multiple"},
		{"align", "face_embed", "  height: 112", "  height: 112\n  align: [[38, 51], [73, 51], [56, 171], [41, 92], [70, 92]]", "point 3 is [56 171]"},
		{"scale", "liveness", "scale: 1", "scale: 0", "input.scale"},
		{"nan", "liveness", "scale: 1", "scale: .nan", "input.scale"},
		{"mean", "liveness", "mean: [0, 0, 0]", "mean: [0]", "input.mean"},
		{"std", "liveness", "std: [1, 1, 1]", "std: [1, 0, 1]", "input.std"},
		{"outputs", "head_pose", "  - {name: \"618\", shape: [1, 66]}\n", "", "outputs: has 2 entries"},
		{"output twice", "head_pose", "\"618\", shape", "\"617\", shape", "outputs[2].name"},
		{"shape", "head_pose", "\"618\", shape: [1, 66]", "\"618\", shape: [1, 67]", "outputs[2].shape"},
		{"pool of half a channel", "text_detect", "shape: [1, 384]", "shape: [1, 383]", "outputs[1].shape: [1 383] is no pool"},
		{"pool with a map's shape", "text_detect", "shape: [1, 384]", "shape: [1, 384, 1, 1]", "outputs[1].shape"},
		{"two pools", "text_detect", "  - {name: pool,", "  - {name: more, shape: [1, 2], pool_of: x}\n  - {name: pool,", "outputs[2].pool_of: one pool is read"},
		{"pool before the map", "text_detect", "shape: [1, 1, -1, -1]}", "shape: [1, 1, -1, -1], pool_of: x}", "decoder dbmap reads 1"},
		{"pool nobody reads", "liveness", "outputs:\n  - {name: output, shape: [1, 3]}", "outputs:\n  - {name: output, shape: [1, 3]}\n  - {name: pool, shape: [1, 2], pool_of: x}", "decoder softmax_live reads no pool"},
		{"decoder", "liveness", "name: softmax_live", "name: magic", "decoder.name"},
		{"decoder of another task", "liveness", "name: softmax_live", "name: eye2", "does not answer liveness"},
		{"parameter missing", "liveness", "  params: {live_index: 0}\n", "", "decoder.params.live_index"},
		{"parameter unknown", "liveness", "{live_index: 0}", "{live_index: 0, x: 1}", "decoder.params.x"},
		{"index", "liveness", "{live_index: 0}", "{live_index: 3}", "not an index below 3"},
		{"anchors", "face_detect", "boxes, shape: [1, 4420, 4]", "boxes, shape: [1, 4421, 4]", "number of anchors"},
		{"threshold", "liveness", "name: live\n", "name: \"\"\n", "thresholds[0].name"},
		{"calibration", "eye_state", "calibrated: not calibrated; the two classes of the model are equally likely there", "calibrated: \"\"", "thresholds[0].calibrated"},
		{"golden", "liveness", "output: output", "output: other", "golden[0].expect[0].output"},
		{"tolerance", "liveness", "tolerance: 1e-4", "tolerance: 0", "golden[0].tolerance"},
		{"optimise", "face_embed", "optimise: all", "optimise: more", "optimise: \"more\""},
		{"keys", "text_recognize", "decoder:\n  name: ctc\n  params: {blank: 0, pixels_per_step: 8}", "decoder:\n  name: dbmap", "keys:"},
		{"steps", "text_recognize", "pixels_per_step: 8", "pixels_per_step: 7", "pixels_per_step"},
		{"rate", "voice_activity", "rate: 16000", "rate: 0", "input.rate"},
		{"context", "voice_activity", "context: 64", "context: 1000", "input.context"},
		{"sound with colour", "voice_activity", "rate: 16000", "rate: 16000\n  colour: rgb", "takes no picture fields"},
		{"convert from", "object_detect", "from: tflite", "from: caffe", "convert.from"},
		{"convert parts", "scene_embed", "from: tfjs", "from: tflite", "convert.parts: has 2 entries, tflite has 1"},
		{"convert part", "object_detect", "      sha256: 4709", "      sha256: X709", "convert.parts[0].sha256"},
		{"convert bytes", "object_detect", "end: 9987912", "end: 99999999", "convert.parts[0].end"},
		{"convert output", "scene_embed", "tensor: tower_0/wh", "tensor: \"\"", "convert.outputs[2]"},
		{"converted member", "scene_embed", "  name: scene_embed.onnx\n", "  name: scene_embed.onnx\n  member: a\n", "file.member"},
		{"labels", "object_detect", "  background, ", "  ", "labels: has 23 entries, the model has 24 classes"},
		{"labels of none", "liveness", "outputs:", "labels: [a]\noutputs:", "labels: has 1 entries, the model has 0"},
		{"ssd anchors", "object_detect", "boxes, shape: [1, 1917, 4]", "boxes, shape: [1, 1916, 4]", "1917 anchors"},
		{"map", "scene_embed", "sizes, shape: [1, 4, 128, 128]", "sizes, shape: [1, 4, 128, 64]", "same, fixed map"},
		{"long view", "scene_embed", "shape: [1, 528]", "shape: [1, 2049]", "2049 values are more than the 2048"},
		{"by hand without note", "liveness", "source:\n  npm: faceplugin-face-recognition-js\n  version: \"0.0.1\"\n", "source:\n", "source:"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := sample(t, c.task)
			require.Contains(t, text, c.from)
			_, err := Parse("here.yaml", []byte(strings.Replace(text, c.from, c.to, 1)))
			require.ErrorContains(t, err, "here.yaml")
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := Parse("big.yaml", make([]byte, MaxBytes+1))
	require.ErrorContains(t, err, "limit")
	_, err = Parse("tag.yaml", []byte("outputs:\n    ! 0"))
	require.ErrorContains(t, err, "tag.yaml")
}

// A model that was uploaded before folders were named after models is still read.
func TestAnOlderNameIsRead(t *testing.T) {
	m, err := Parse("row", []byte(strings.Replace(sample(t, "liveness"), "name: faceplugin-liveness", "name: My Embed", 1)))
	require.NoError(t, err)
	require.Equal(t, "My Embed", m.Name)
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	err := Manifest{path: "empty.yaml"}.Validate()
	for _, w := range []string{"task:", "name:", "version:", "licence.spdx:", "file.name:", "file.sha256:", "source:", "input.name:", "input.layout:", "decoder.name:"} {
		require.ErrorContains(t, err, "model manifest empty.yaml: "+w)
	}
}

func TestLoadDir(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadDir(dir)
	require.ErrorContains(t, err, "no *.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(sample(t, "liveness")), 0o600))
	ms, err := LoadDir(dir)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "fr_liveness.onnx"), ms[0].Path(ms[0].File, "/cache/models"), "beside its manifest")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.yaml"), []byte(sample(t, "liveness")), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.yaml"), []byte("task: [\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "d.yaml"), make([]byte, MaxBytes+1), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "e.yaml"), []byte("&0: *0\n*0:\n*0:"), 0o600)) // the library would recurse without end
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "f.yaml"), 0o600))                           // nobody writes to it: waiting would never end
	_, err = LoadDir(dir)
	for _, w := range []string{"already described by", "c.yaml", "d.yaml", "e.yaml: [1:1] anchors, aliases", "f.yaml: it is no regular file"} {
		require.ErrorContains(t, err, w)
	}
}

func TestDecodersAndTasksAgree(t *testing.T) {
	used := map[string]bool{}
	for task, ds := range taskDecoders {
		for _, d := range ds {
			require.Contains(t, decoderParams, d, task)
			require.Contains(t, decoderShapes, d, task)
			used[d] = true
		}
	}
	for _, d := range Decoders() {
		require.True(t, used[d], "decoder %s answers no task", d)
	}
}

func FuzzParse(f *testing.F) {
	for _, task := range Tasks() {
		if task != "transcribe" {
			f.Add([]byte(sample(f, task)))
		}
	}
	for _, name := range []string{"wave", "fbank"} {
		f.Add(example(f, name))
	}
	f.Add([]byte("outputs:\n    ! 0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		require.Equal(t, filepath.Join("/cache", m.File.Name), m.Path(m.File, "/cache"))
		require.NotZero(t, m.Dimension())
		require.Len(t, m.Input.Std, len(m.Input.Mean))
	})
}
