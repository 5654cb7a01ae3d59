package config

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"onsite/pipeline"
)

// Problem is one thing that is wrong with the settings.
type Problem struct {
	Key   string        // the key, variable or flag as it was given
	Given string        // its value; masked for secrets
	Want  pipeline.Text // what is accepted, or what is wrong
	Fix   pipeline.Text // what to do
}

// Text is the problem as one line.
func (p Problem) Text() pipeline.Text {
	en, zh := p.Key, p.Key
	if p.Given != "" {
		en += ` = "` + p.Given + `"`
		zh += `（“` + p.Given + `”）`
	}
	return pipeline.Text{EN: en + ": " + p.Want.EN + "; " + p.Fix.EN, ZH: zh + "：" + p.Want.ZH + "；" + p.Fix.ZH}
}

// Error is everything that is wrong, at once.
type Error struct {
	Problems []Problem
	unread   bool // of Load: the file could not be read
}

// Join adds what Check found in the settings that Load could read to what Load found: err and found may be nil. A setting is named once.
func Join(err, found error) error {
	var first, second *Error
	if !errors.As(err, &first) || first.unread || !errors.As(found, &second) {
		return cmp.Or(err, found)
	}
	all := slices.Clone(first.Problems)
	for _, p := range second.Problems {
		if !slices.ContainsFunc(first.Problems, func(q Problem) bool { return q.Key == p.Key }) {
			all = append(all, p)
		}
	}
	return &Error{Problems: all}
}

func (e *Error) Error() string { return e.Text().EN }

// Text gives a line for each problem.
func (e *Error) Text() pipeline.Text {
	var en, zh []string
	for _, p := range e.Problems {
		t := p.Text()
		en, zh = append(en, "  "+t.EN), append(zh, "  "+t.ZH)
	}
	return pipeline.Text{
		EN: "the configuration is wrong:\n" + strings.Join(en, "\n"),
		ZH: "配置有误：\n" + strings.Join(zh, "\n"),
	}
}

// form is what a setting accepts.
type form int

const (
	formText form = iota
	formBool
	formInt
	formDuration
	formBytes
	formList
	formSection
)

var forms = map[form]struct{ want, fix pipeline.Text }{
	formText: {
		pipeline.Text{EN: "a text is wanted", ZH: "需要文本"},
		pipeline.Text{EN: "put the value in quotes", ZH: "请给值加上引号"},
	},
	formBool: {
		pipeline.Text{EN: "yes or no is wanted", ZH: "需要是或否"},
		pipeline.Text{EN: "write true or false", ZH: "请写 true 或 false"},
	},
	formInt: {
		pipeline.Text{EN: "a whole number from 0 is wanted", ZH: "需要不小于 0 的整数"},
		pipeline.Text{EN: "write one such as 16", ZH: "请写例如 16"},
	},
	formDuration: {
		pipeline.Text{EN: "a duration from 0 is wanted", ZH: "需要不小于 0 的时长"},
		pipeline.Text{EN: "write a number with its unit, such as 8s or 2m", ZH: "请写带单位的数字，例如 8s 或 2m"},
	},
	formBytes: {
		pipeline.Text{EN: "a size is wanted", ZH: "需要大小"},
		pipeline.Text{EN: "write bytes, or a number with KiB, MiB or GiB, such as 200MiB", ZH: "请写字节数，或带 KiB、MiB、GiB 的数字，例如 200MiB"},
	},
	formList: {
		pipeline.Text{EN: "a list of texts without empty ones is wanted", ZH: "需要文本列表，且不含空项"},
		pipeline.Text{EN: "write a,b,c or a YAML list", ZH: "请写 a,b,c 或 YAML 列表"},
	},
	formSection: {
		pipeline.Text{EN: "a section with settings is wanted, not a value", ZH: "这里是一组设置，不能是单个值"},
		pipeline.Text{EN: "indent its settings under it", ZH: "请把设置缩进写在其下"},
	},
}
