package main

import (
	"regexp"
	"strings"

	"onsite/pipeline"
)

// phrase is one of the argument parser's messages, which has no other languages, and the same in Chinese.
type phrase struct {
	said *regexp.Regexp
	zh   string
}

// phrases are tried in their order.
var phrases = []phrase{
	{regexp.MustCompile(`^unknown flag (\S+)$`), "未知选项 $1"},
	{regexp.MustCompile(`^unexpected (?:flag )?argument (.+)$`), "多余的参数 $1"},
	{regexp.MustCompile(`^missing flags: (.+)$`), "缺少选项：$1"},
	{regexp.MustCompile(`^missing positional arguments (.+)$`), "缺少参数 $1"},
	{regexp.MustCompile(`^expected one of (.+)$`), "缺少下列之一：$1"},
	{regexp.MustCompile(`^expected .+ value but got "EOL" .+$`), "缺少取值"},
	{regexp.MustCompile(`^expected .+ value but got (".*") \(.+\)$`), "需要取值，却得到 $1"},
	{regexp.MustCompile(`^expected a valid \d+ bit u?int but got ("[+-]?\d+")$`), "$1 超出范围"},
	{regexp.MustCompile(`^expected a valid \d+ bit u?int but got (.+)$`), "需要整数，却得到 $1"},
	{regexp.MustCompile(`^expected an int but got (.+) \(.+\)$`), "需要整数，却得到 $1"},
	{regexp.MustCompile(`^expected a float but got (.+) \(.+\)$`), "需要数字，却得到 $1"},
	{regexp.MustCompile(`^expected duration but got ("[^"]*").*$`), "需要时长（如 30s、5m、2h），却得到 $1"},
	{regexp.MustCompile(`^(?:expected bool|bool value must be .+) but got ("[^"]*").*$`), "需要 true 或 false，却得到 $1"},
	{regexp.MustCompile(`^missing value, expecting (".+")$`), "缺少取值，格式为 $1"},
	{regexp.MustCompile(`^expected ("<key>=<value>") but got (.+)$`), "格式应为 $1，却得到 $2"},
	{regexp.MustCompile(`^expected (.+)$`), "缺少 $1"},
	{regexp.MustCompile(`^(\S+) must be one of (.+) but got (.+)$`), "$1 必须是 $2 之一，却得到 $3"},
	{regexp.MustCompile(`^(\S+) and (\S+) can't be used together$`), "$1 与 $2 不能同时使用"},
	{regexp.MustCompile(`^(.+) must be used together$`), "$1 必须一起使用"},
	{regexp.MustCompile(`^no command selected$`), "没有指定命令"},
	{regexp.MustCompile(`^(?:stat|open) (.+): no such file or directory$`), "$1 不存在"},
	{regexp.MustCompile(`^(?:stat|open) (.+): permission denied$`), "没有权限读取 $1"},
	{regexp.MustCompile(`^(?:stat|open) (.+): not a directory$`), "$1 不存在：其上级不是文件夹"},
	{regexp.MustCompile(`^"(.+)" exists but is a directory$`), "$1 是文件夹"},
	{regexp.MustCompile(`^(".*") is no time; write it like (\S+) or (\S+)$`), "$1 不是时间；请写成 $2 或 $3"},
}

// lists are how the parser's lists of options and words are joined.
var lists = strings.NewReplacer(" or --", " 或 --", ", --", "、--", `","`, `"、"`)

var (
	ofFlag   = regexp.MustCompile(`^(--?[\w-]+(?:=.+?)?|<[\w-]+>): (.+)$`)
	supposed = regexp.MustCompile(`^(.+), did you mean (?:one of )?(.+)\?$`)
	better   = regexp.MustCompile(`^(.+); perhaps try (.+)\?$`)
)

// chinese says what the argument parser says. What it has no words for stays as it is.
func chinese(said string) string {
	if m := ofFlag.FindStringSubmatch(said); m != nil {
		return m[1] + "：" + chinese(m[2])
	}
	if m := supposed.FindStringSubmatch(said); m != nil {
		return chinese(m[1]) + "；是否想输入 " + m[2] + "？"
	}
	if m := better.FindStringSubmatch(said); m != nil {
		return chinese(m[1]) + "；或可写成 " + m[2]
	}
	for _, p := range phrases {
		if p.said.MatchString(said) {
			return lists.Replace(p.said.ReplaceAllString(said, p.zh))
		}
	}
	return said
}

// parseError is what the argument parser found, with where to look.
func parseError(err error) error {
	return &usageError{err: err, text: pipeline.Text{
		EN: err.Error() + "\nRun \"onsite --help\" or \"onsite COMMAND --help\" for what there is.",
		ZH: chinese(err.Error()) + "\n运行 onsite --help 或 onsite 命令 --help 查看用法。",
	}}
}

// askedLanguage is the language of a command line that could not be read as a whole: the last one that is named holds, as for the parser.
func askedLanguage(args []string) string {
	asked := "auto"
	for i, a := range args {
		if a == "--" {
			break
		}
		value, ok := strings.CutPrefix(a, "--lang=")
		if a == "--lang" && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if ok && (value == "zh" || value == "en") {
			asked = value
		}
	}
	return language(asked)
}
