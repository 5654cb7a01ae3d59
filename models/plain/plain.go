package plain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// ErrEmpty is the error of a file without a value.
var ErrEmpty = errors.New("the file is empty")

// Tokenize splits YAML into tokens and gives the first anchor, alias, tag or merge key among them, nil when there is none. Callers must
// refuse such a file before the library parses it: our forms need none of these, and some send the library into endless recursion, which
// no recover can stop (found by fuzzing v1.19.2). Other bytes can make the library panic, here and later; callers recover.
func Tokenize(raw []byte) (all token.Tokens, refused *token.Token) {
	all = lexer.Tokenize(string(raw))
	for _, t := range all {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			return all, t
		default:
		}
	}
	return all, nil
}

// Decode reads one YAML document into a pointer. Unknown and repeated keys, a second document, anchors, aliases, tags and merge keys are
// refused. The error is one line with the position, [line:column]; it is ErrEmpty for a file without a value.
func Decode(raw []byte, into any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("this is not YAML that can be read")
		}
	}()
	if _, t := Tokenize(raw); t != nil {
		return fmt.Errorf("[%d:%d] anchors, aliases, tags and merge keys are not accepted; write the value itself", t.Position.Line, t.Position.Column)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict())
	switch err := d.Decode(into); {
	case errors.Is(err, io.EOF):
		return ErrEmpty
	case err != nil:
		return &syntaxError{line: oneLine(err), err: err}
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one YAML document; keep one per file")
	}
	return nil
}

// syntaxError shows a YAML error as one line with its position, without the excerpt of the file that the library adds.
type syntaxError struct {
	line string
	err  error
}

func (e *syntaxError) Error() string { return e.line }
func (e *syntaxError) Unwrap() error { return e.err }

func oneLine(err error) string {
	line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	return strings.TrimSpace(strings.ReplaceAll(line, "Go struct field", "the field"))
}
