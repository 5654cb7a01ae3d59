package policy

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"onsite/pipeline"
)

// maxFileBytes bounds a policy file. The built-in ones are under 3 KB; a longer file is not a policy.
const maxFileBytes = 64 << 10

//go:embed photo.yaml video15.yaml no_face.yaml
var files embed.FS

// Names lists the built-in policies.
var Names = []string{"photo", "video15", "no_face"}

// Default gives a built-in policy by name.
func Default(name string) (Policy, error) {
	for _, n := range Names {
		if n != name {
			continue
		}
		raw, err := files.ReadFile(n + ".yaml")
		if err != nil {
			return Policy{}, fmt.Errorf("read the built-in policy %q: %w", name, err)
		}
		return Parse(name, raw)
	}
	return Policy{}, fmt.Errorf("policy %q: there is no built-in policy of that name; use one of %s, or the path of a YAML file", clip(name), strings.Join(Names, ", "))
}

// Load reads and validates a policy file.
func Load(path string) (Policy, error) {
	raw, err := pipeline.ReadFile(path, maxFileBytes)
	switch {
	case errors.Is(err, pipeline.ErrTooLong):
		return Policy{}, tooLong(path)
	case err != nil:
		return Policy{}, fmt.Errorf("read the policy %s: %w", path, err)
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
	p, err := decode(raw)
	switch {
	case errors.Is(err, io.EOF):
		return Policy{}, fmt.Errorf("policy %s: the file is empty; start from a built-in one", source)
	case err != nil:
		return Policy{}, fmt.Errorf("policy %s: %w; correct that place, see the built-in policies for the form", source, err)
	}
	p.fill()
	if err := p.Validate(); err != nil {
		return Policy{}, fmt.Errorf("policy %s: %w", source, err)
	}
	return p, nil
}

func tooLong(source string) error {
	return fmt.Errorf("policy %s: the file is longer than %d bytes; a policy is a short YAML file, see the built-in ones", source, maxFileBytes)
}

// decode reads exactly one YAML document of plain mappings, lists and scalars. Anchors, aliases and tags are refused before the library
// sees them: a policy needs none, and some of them send it into endless recursion, which no recover can stop. Other bytes can still make
// it panic (found by FuzzParse); that is an error of the file here, not of the program.
func decode(raw []byte) (p Policy, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = Policy{}, errors.New("this is not YAML that can be read")
		}
	}()
	for _, t := range lexer.Tokenize(string(raw)) {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			return Policy{}, fmt.Errorf("[%d:%d] anchors, aliases, tags and merge keys are not accepted; write the value itself", t.Position.Line, t.Position.Column)
		default:
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict())
	if err = dec.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			return Policy{}, err
		}
		return Policy{}, &decodeError{line: oneLine(err), err: err}
	}
	var more any
	if err = dec.Decode(&more); !errors.Is(err, io.EOF) {
		return Policy{}, errors.New("there is more than one YAML document; keep one policy per file")
	}
	return p, nil
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

// decodeError shows a YAML error as one line with its position, without the excerpt of the file that the library adds.
type decodeError struct {
	line string
	err  error
}

func (e *decodeError) Error() string { return e.line }
func (e *decodeError) Unwrap() error { return e.err }

func oneLine(err error) string {
	line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	return strings.TrimSpace(strings.ReplaceAll(line, "Go struct field", "the field"))
}

// clip shortens an outside value for an error message.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
