package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"onsite/models/plain"
	"onsite/pipeline"
)

// maxFileBytes bounds the configuration and every value that comes from a file.
const maxFileBytes = 1 << 20

// Source is where settings come from.
type Source struct {
	File    string            // YAML; "" is that of ONSITE_CONFIG, or none
	Environ []string          // os.Environ()
	Flags   map[string]string // key -> value
	// FlagNames says under which flag a key was given, for messages; else it is "--set key".
	FlagNames map[string]string
}

// Load reads and merges all sources. What the settings must be for a role is said by Check. The error is an *Error, and beside it stand the settings that could be
// read: Join makes one error of what is wrong with both.
func Load(s Source) (Config, error) {
	l := loader{keys: map[string]Key{}, envs: map[string]string{}, k: koanf.New("."), given: map[string]string{}}
	for _, k := range Keys() {
		l.keys[k.Name] = k
		l.envs[k.Env] = k.Name
	}
	environ := s.Environ
	file := s.File
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, "ONSITE_CONFIG="); ok && file == "" {
			file = v
		}
	}
	if file != "" {
		l.file(file)
	}
	l.env(environ)
	l.flags(s)
	c := l.decode()
	if len(l.problems) > 0 {
		return c, &Error{Problems: l.problems, unread: l.unread}
	}
	return c, nil
}

type loader struct {
	keys     map[string]Key
	envs     map[string]string // variable -> key
	k        *koanf.Koanf
	given    map[string]string
	unread   bool // the file could not be read: what is not set may stand in it
	problems []Problem
}

// value is one setting as given in one layer.
type value struct {
	raw  any
	from string // for messages
}

func (l *loader) add(p Problem) { l.problems = append(l.problems, p) }

// layer merges one source over those before. A key with "_file" behind it names a file that holds the value.
func (l *loader) layer(values map[string]value) {
	merged := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		if _, ok := l.keys[name]; !ok {
			of := strings.TrimSuffix(name, "_file")
			if _, both := values[of]; both {
				l.add(Problem{
					Key:  v.from,
					Want: pipeline.Text{EN: "the value itself is given, too", ZH: "同时给出了值本身"},
					Fix:  pipeline.Text{EN: "keep one of the two", ZH: "请只保留一个"},
				})
				continue
			}
			text, ok := l.content(v)
			if !ok {
				l.given[of] = v.from // nobody is told that it is missing, too
				continue
			}
			name, v.raw = of, text
		}
		merged[name], l.given[name] = v.raw, v.from
	}
	if err := l.k.Load(confmap.Provider(merged, "."), nil); err != nil {
		l.add(Problem{
			Key:  "settings",
			Want: pipeline.Text{EN: "cannot be merged: " + err.Error(), ZH: "无法合并：" + err.Error()},
			Fix:  pipeline.Text{EN: "report this", ZH: "请报告此问题"},
		})
	}
}

// known says whether a name is a setting or the file of one.
func (l *loader) known(name string) bool {
	if _, ok := l.keys[name]; ok {
		return true
	}
	of, ok := strings.CutSuffix(name, "_file")
	if !ok {
		return false
	}
	_, ok = l.keys[of]
	return ok
}

// content reads the file that a *_file setting names; the newline that editors put at the end is no part of it.
func (l *loader) content(v value) (string, bool) {
	path, isText := v.raw.(string)
	if !isText || path == "" {
		l.add(Problem{Key: v.from, Given: fmt.Sprint(v.raw), Want: pipeline.Text{EN: "the path of a file is wanted", ZH: "需要文件路径"}, Fix: forms[formText].fix})
		return "", false
	}
	raw, err := readFile(path)
	if err == nil && (len(bytes.TrimSpace(raw)) == 0 || bytes.IndexByte(raw, 0) >= 0) {
		err = errors.New("it is empty or no text")
	}
	if err != nil {
		l.add(fileProblem(v.from, path, err))
		return "", false
	}
	return strings.TrimRight(string(raw), "\r\n"), true
}

func fileProblem(key, path string, err error) Problem {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return Problem{
		Key: key, Given: path,
		Want: pipeline.Text{EN: "the file cannot be used: " + err.Error(), ZH: "文件无法使用：" + err.Error()},
		Fix:  pipeline.Text{EN: "check the path, its permissions and its content", ZH: "请检查路径、权限和内容"},
	}
}

func readFile(path string) ([]byte, error) {
	// A named pipe without a writer would wait for ever.
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(raw) > maxFileBytes {
		err = fmt.Errorf("it is larger than %d bytes", maxFileBytes)
	}
	return raw, err
}

// file reads the YAML layer.
func (l *loader) file(path string) {
	raw, err := readFile(path)
	if err != nil {
		l.unread = true
		l.add(fileProblem("--config", path, err))
		return
	}
	tree := map[string]any{}
	if err := plain.Decode(raw, &tree); err != nil && !errors.Is(err, plain.ErrEmpty) {
		l.unread = true
		l.add(Problem{
			Key: "--config", Given: path,
			Want: pipeline.Text{EN: err.Error(), ZH: err.Error()},
			Fix:  pipeline.Text{EN: "correct the YAML there", ZH: "请改正该处的 YAML"},
		})
		return
	}
	values := map[string]value{}
	l.flatten(filepath.Base(path), "", tree, values)
	l.layer(values)
}

func (l *loader) flatten(file, prefix string, tree map[string]any, into map[string]value) {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		v, at := tree[name], prefix+name
		from := file + ": " + at
		section := l.section(at)
		switch sub, isMap := v.(map[string]any); {
		case v == nil && (section || l.known(at)): // "redis:" with nothing under it
		case isMap && section:
			l.flatten(file, at+".", sub, into)
		case section:
			l.add(Problem{Key: from, Given: fmt.Sprint(v), Want: forms[formSection].want, Fix: forms[formSection].fix})
		case !l.known(at):
			l.unknown(from, at, l.names(prefix))
		case isMap:
			want := forms[l.formOf(at)]
			l.add(Problem{Key: from, Want: want.want, Fix: want.fix})
		default:
			into[at] = value{v, from}
		}
	}
}

func (l *loader) formOf(name string) form {
	k, ok := l.keys[name]
	if !ok {
		return formText
	}
	return formOf(reflect.ValueOf(Defaults()).FieldByIndex(k.index))
}

// section says whether settings lie under a name.
func (l *loader) section(name string) bool {
	for k := range l.keys {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// names are what may stand under a prefix, in full, and every setting after them.
func (l *loader) names(prefix string) []string {
	all := slices.Sorted(maps.Keys(l.keys))
	var out []string
	for _, k := range all {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			first, _, _ := strings.Cut(rest, ".")
			out = append(out, prefix+first)
		}
	}
	return append(slices.Compact(out), all...)
}

func (l *loader) unknown(from, name string, known []string) {
	fix := pipeline.Text{
		EN: "docs/operations.md lists the settings; or take it out",
		ZH: "可用的设置见 docs/operations.md；或将其删除",
	}
	if near := nearest(name, known); near != "" {
		fix = pipeline.Text{EN: "did you mean " + near + "?", ZH: "是否想写 " + near + "？"}
	}
	l.add(Problem{Key: from, Want: pipeline.Text{EN: "there is no such setting", ZH: "没有这个设置"}, Fix: fix})
}

// env reads the layer of variables. An empty one is as good as none: that is how compose files leave one out.
func (l *loader) env(environ []string) {
	values := map[string]value{}
	all := append(slices.Sorted(maps.Keys(l.envs)), slices.Sorted(maps.Keys(Others))...)
	p := env.Provider("\x00", env.Opt{
		Prefix:      "ONSITE_",
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, v string) (string, any) {
			_, other := Others[name]
			if v == "" || other || strings.HasPrefix(name, OtherPrefix) {
				return "", nil
			}
			key, ok := l.envs[name]
			if of, isFile := strings.CutSuffix(name, "_FILE"); !ok && isFile {
				if key, ok = l.envs[of]; ok {
					key += "_file"
				}
			}
			if !ok {
				l.unknown(name, name, all)
				return "", nil
			}
			values[key] = value{v, name}
			return "", nil
		},
	})
	if _, err := p.Read(); err != nil { // the provider as it is written never fails
		l.add(Problem{Key: "ONSITE_*", Want: pipeline.Text{EN: err.Error(), ZH: err.Error()}, Fix: pipeline.Text{EN: "report this", ZH: "请报告此问题"}})
	}
	l.layer(values)
}

// flags reads the layer of flags. Every user of the machine can read those of a running program, so no secret may be among them.
func (l *loader) flags(s Source) {
	values := map[string]value{}
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		from := s.FlagNames[name]
		if from == "" {
			from = "--set " + name
		}
		switch {
		case !l.known(name):
			l.unknown(from, name, slices.Sorted(maps.Keys(l.keys)))
		case l.keys[name].Secret:
			l.add(Problem{
				Key:  from,
				Want: pipeline.Text{EN: "a secret on the command line can be read by everybody on this machine", ZH: "命令行中的机密可被本机所有用户看到"},
				Fix: pipeline.Text{
					EN: "give it in " + l.keys[name].Env + ", in a file named by " + l.keys[name].Env + "_FILE, or in the YAML file",
					ZH: "请用 " + l.keys[name].Env + "、用 " + l.keys[name].Env + "_FILE 指定的文件，或写在 YAML 文件中",
				},
			})
			l.given[name] = from
		default:
			values[name] = value{s.Flags[name], from}
		}
	}
	l.layer(values)
}

// decode reads the merged layers into the struct.
func (l *loader) decode() Config {
	c := Defaults()
	v := reflect.ValueOf(&c).Elem()
	flat := l.k.All()
	for _, key := range Keys() {
		raw, ok := flat[key.Name]
		if !ok {
			continue
		}
		if want, ok := set(v.FieldByIndex(key.index), raw); !ok {
			given := fmt.Sprint(raw)
			if key.Secret {
				given = masked
			}
			l.add(Problem{Key: l.given[key.Name], Given: given, Want: forms[want].want, Fix: forms[want].fix})
		}
	}
	c.given = l.given
	return c
}
