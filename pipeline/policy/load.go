package policy

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"onsite/models/plain"
	"onsite/pipeline"
)

// maxFileBytes bounds a policy file. The built-in ones are under 3 KB; a longer file is not a policy.
const maxFileBytes = 64 << 10

//go:embed photo.yaml video15.yaml shop_morning.yaml office.yaml no_face.yaml
var files embed.FS

// Names lists the built-in policies.
var Names = []string{"photo", "video15", "shop_morning", "office", "no_face"}

// Default gives a built-in policy by name.
func Default(name string) (Policy, error) {
	raw, err := Source(name)
	if err != nil {
		return Policy{}, err
	}
	return Parse(name, raw)
}

// Source gives the YAML of a built-in policy.
func Source(name string) ([]byte, error) {
	for _, n := range Names {
		if n != name {
			continue
		}
		raw, err := files.ReadFile(n + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("read the built-in policy %q: %w", name, err)
		}
		return raw, nil
	}
	return nil, &Fault{Source: strconv.Quote(clip(name)), Why: pipeline.Text{
		EN: "there is no built-in policy of that name; use one of " + strings.Join(Names, ", ") + ", or the path of a YAML file",
		ZH: "没有该名称的内置策略；请使用 " + strings.Join(Names, "、") + " 之一，或 YAML 文件的路径",
	}}
}

// Load reads and validates a policy file.
func Load(path string) (Policy, error) {
	raw, err := pipeline.ReadFile(path, maxFileBytes)
	switch {
	case errors.Is(err, pipeline.ErrTooLong):
		return Policy{}, tooLong(path)
	case err != nil:
		return Policy{}, &Fault{Source: path, Why: saidf("cannot be read: %v", "无法读取：%v", err), err: err}
	}
	return Parse(path, raw)
}

// Find gives the built-in policy of that name, or else reads the file at that path.
func Find(nameOrPath string) (Policy, error) {
	for _, n := range Names {
		if n == nameOrPath {
			return Default(n)
		}
	}
	if _, err := os.Stat(nameOrPath); err != nil && errors.Is(err, os.ErrNotExist) {
		return Default(nameOrPath)
	}
	return Load(nameOrPath)
}

// Parse decodes and validates a policy. Unknown keys, repeated keys and a second document are refused; what a rule leaves out is set
// to the strict usual: fail is abnormal, everything else is review. source names the origin in errors.
func Parse(source string, raw []byte) (Policy, error) {
	if len(raw) > maxFileBytes {
		return Policy{}, tooLong(source)
	}
	var p Policy
	switch err := plain.Decode(raw, &p); {
	case errors.Is(err, plain.ErrEmpty):
		return Policy{}, &Fault{Source: source, Why: said("the file is empty; start from a built-in one", "文件是空的；请从内置策略开始编写"), err: err}
	case err != nil:
		return Policy{}, &Fault{Source: source, Why: saidf("%v; correct that place, see the built-in policies for the form", "%v；请更正该处，格式可参考内置策略", err), err: err}
	}
	p.fill()
	if err := p.problems(); len(err) > 0 {
		return Policy{}, &Fault{Source: source, Why: err.Text(), err: err}
	}
	return p, nil
}

func tooLong(source string) error {
	return &Fault{Source: source, Why: saidf("the file is longer than %d bytes; a policy is a short YAML file, see the built-in ones",
		"文件超过 %d 字节；策略是一个简短的 YAML 文件，可参考内置策略", maxFileBytes)}
}

// fill sets what the rules leave out. A check that is not named is not wanted.
func (p *Policy) fill() {
	if p.Checks == nil {
		p.Checks = map[pipeline.CheckName]Rule{}
	}
	for name, r := range p.Checks {
		p.Checks[name] = r.filled()
	}
	for _, name := range pipeline.CheckNames {
		if _, ok := p.Checks[name]; !ok {
			p.Checks[name] = Rule{Need: Never}.filled()
		}
	}
	p.History = p.History.Filled()
	p.Challenge = p.Challenge.Filled()
}

func (r Rule) filled() Rule {
	set := func(a *Action, to Action) {
		if *a == "" {
			*a = to
		}
	}
	set(&r.OnFail, Abnormal)
	set(&r.OnUncertain, weaker(Review, r.OnFail))
	return r
}

// clip shortens an outside value for an error message.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
