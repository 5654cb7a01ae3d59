package scene

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"onsite/models/plain"
	"onsite/pipeline"
)

// shape is what a YAML value is.
type shape int

const (
	isNothing shape = iota
	isScalar
	isList
	isMapping
)

// value is one YAML value, with the line on which it starts.
type value struct {
	shape  shape
	scalar string
	list   []value
	keys   []string // in the order of the file
	fields []value
	line   int
}

func (v value) is(s shape) bool { return v.shape == s }

// show gives the value as an error names it.
func (v value) show() string {
	switch v.shape {
	case isScalar:
		return v.scalar
	case isList:
		parts := make([]string, len(v.list))
		for i, item := range v.list {
			parts[i] = item.show()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case isMapping:
		parts := make([]string, len(v.keys))
		for i, k := range v.keys {
			parts[i] = k + ": " + v.fields[i].show()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return ""
}

// place finds the position in the library's errors: [line:column].
var place = regexp.MustCompile(`^\[(\d{1,9}):(\d{1,9})\]`)

func atLine(line int, en, zh string) *pipeline.Text {
	return &pipeline.Text{EN: fmt.Sprintf("line %d: %s", line, en), ZH: fmt.Sprintf("第 %d 行：%s", line, zh)}
}

// deepest is how deep values may nest: the form needs four.
const deepest = 8

// parseYAML reads exactly one YAML document of plain mappings, lists and scalars. Anchors, aliases, tags and merge keys are refused before
// the library parses them: the form needs none, and some of them let the library recurse without end. Other bytes can make it panic;
// that is a problem of the file, not of the program.
func parseYAML(raw []byte) (top value, problem *Problem) {
	bad := func(en, zh string) *Problem {
		return &Problem{Trouble: NotYAML, Text: pipeline.Text{EN: en, ZH: zh}}
	}
	defer func() {
		if r := recover(); r != nil {
			top, problem = value{}, bad("this is not YAML that can be read", "无法作为 YAML 读取")
		}
	}()
	tokens, t := plain.Tokenize(raw)
	if t != nil {
		return value{}, bad(fmt.Sprintf("line %d: anchors, aliases, tags and merge keys are not accepted; write the value itself", t.Position.Line),
			fmt.Sprintf("第 %d 行：不接受锚点、别名、标签和合并键；请直接写出值", t.Position.Line))
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
		zh := "无法作为 YAML 读取"
		if at := place.FindStringSubmatch(line); at != nil { // the library's own words are English
			zh = fmt.Sprintf("第 %s 行第 %s 列：%s", at[1], at[2], zh)
		}
		return value{}, bad("this is not YAML that can be read: "+clip(line)+"; correct it there", zh+"；请更正该处")
	}
	var bodies []ast.Node
	for _, d := range file.Docs {
		if d != nil && d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) != 1 {
		return value{}, bad(fmt.Sprintf("there are %d YAML documents; a site file holds exactly one", len(bodies)), fmt.Sprintf("共有 %d 个 YAML 文档；地点文件应只有一个", len(bodies)))
	}
	top, wrong := valueOf(bodies[0], 0)
	if wrong != nil {
		return value{}, &Problem{Trouble: NotYAML, Text: *wrong}
	}
	if !top.is(isMapping) {
		return value{}, bad("the file must be a mapping that starts with id, sign or references", "文件必须是以 id、sign 或 references 开头的映射")
	}
	return top, nil
}

// valueOf turns a syntax node into a value.
func valueOf(n ast.Node, depth int) (value, *pipeline.Text) {
	if n == nil {
		return value{}, nil
	}
	v := value{}
	if t := n.GetToken(); t != nil && t.Position != nil {
		v.line = t.Position.Line
	}
	if depth > deepest {
		return value{}, atLine(v.line, "the values nest too deep", "嵌套层数过多")
	}
	entry := func(e *ast.MappingValueNode) *pipeline.Text {
		if e == nil || e.Key == nil {
			return atLine(v.line, "a key is missing", "缺少键")
		}
		field, err := valueOf(e.Value, depth+1)
		if err != nil {
			return err
		}
		v.keys, v.fields = append(v.keys, strings.Trim(e.Key.String(), `"'`)), append(v.fields, field)
		return nil
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return v, nil
	case *ast.MappingNode:
		v.shape = isMapping
		for _, e := range n.Values {
			if err := entry(e); err != nil {
				return value{}, err
			}
		}
	case *ast.MappingValueNode:
		v.shape = isMapping
		if err := entry(n); err != nil {
			return value{}, err
		}
	case *ast.SequenceNode:
		v.shape = isList
		for _, e := range n.Values {
			item, err := valueOf(e, depth+1)
			if err != nil {
				return value{}, err
			}
			v.list = append(v.list, item)
		}
	case *ast.StringNode:
		v.shape, v.scalar = isScalar, n.Value
	case *ast.LiteralNode:
		v.shape = isScalar
		if n.Value != nil {
			v.scalar = n.Value.Value
		}
	case ast.ScalarNode:
		v.shape, v.scalar = isScalar, n.GetToken().Value
	default:
		return value{}, atLine(v.line, "only mappings, lists, texts and numbers are accepted", "只接受映射、列表、文本和数字")
	}
	return v, nil
}

// mapping gives the fields of a mapping by name, and notes keys that the form does not have or that come twice.
func (p *siteParser) mapping(v value, field string, allowed ...string) map[string]value {
	out := map[string]value{}
	if !v.is(isMapping) {
		en, zh := "must be a mapping with "+strings.Join(allowed, ", "), "必须是包含 "+strings.Join(allowed, "、")+" 的映射"
		p.add(BadValue, field, v.show(), en, zh)
		return out
	}
	known := map[string]bool{}
	for _, k := range allowed {
		known[k] = true
	}
	for i, k := range v.keys {
		name := k
		if field != "" {
			name = field + "." + k
		}
		_, twice := out[k]
		switch {
		case !known[k]:
			sorted := append([]string(nil), allowed...)
			sort.Strings(sorted)
			p.add(UnknownKey, clip(name), "", fmt.Sprintf("line %d: there is no such key; the keys here are %s", v.fields[i].line, strings.Join(sorted, ", ")),
				fmt.Sprintf("第 %d 行：没有这个键；此处可用的键为 %s", v.fields[i].line, strings.Join(sorted, "、")))
		case twice:
			p.add(UnknownKey, clip(name), "", fmt.Sprintf("line %d: the key comes twice; keep one", v.fields[i].line), fmt.Sprintf("第 %d 行：键重复；请只保留一个", v.fields[i].line))
		default:
			out[k] = v.fields[i]
		}
	}
	return out
}

// list gives the items of a list of at most most items; nothing is an empty list.
func (p *siteParser) list(v value, field string, most int) []value {
	switch {
	case v.is(isNothing):
		return nil
	case !v.is(isList):
		p.add(BadValue, field, v.show(), "must be a list", "必须是列表")
		return nil
	case len(v.list) > most:
		p.add(BadValue, field, "", fmt.Sprintf("has %d items; at most %d are accepted", len(v.list), most), fmt.Sprintf("共有 %d 项，最多接受 %d 项", len(v.list), most))
		return nil
	}
	return v.list
}
