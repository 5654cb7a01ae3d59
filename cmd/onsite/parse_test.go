package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the argument parser says is said in Chinese, too.
func TestArgumentErrorsInBothLanguages(t *testing.T) {
	for line, want := range map[string][2]string{
		"verify --nonesuch":                      {"unknown flag --nonesuch", "未知选项 --nonesuch"},
		"vrify":                                  {`unexpected argument vrify, did you mean "verify"?`, `多余的参数 vrify；是否想输入 "verify"？`},
		"verify":                                 {`expected "<media>"`, `缺少 "<media>"`},
		"verify a b":                             {"unexpected argument b", "多余的参数 b"},
		"verify a --lang=fr":                     {`--lang must be one of "auto","en","zh" but got "fr"`, `--lang 必须是 "auto"、"en"、"zh" 之一，却得到 "fr"`},
		"verify a --taken-at soon":               {`--taken-at: "soon" is no time`, `--taken-at："soon" 不是时间；请写成 2026-`},
		"verify a --limit-timeout x":             {"--limit-timeout: expected duration", `--limit-timeout：需要时长（如 30s、5m、2h），却得到 "x"`},
		"bench core --runs x":                    {"--runs: expected a valid 64 bit int", `--runs：需要整数，却得到 "x"`},
		"bench core --runs 99999999999999999999": {"--runs: expected a valid 64 bit int", `--runs："99999999999999999999" 超出范围`},
		"bench core --compare /nope":             {"--compare: stat /nope: no such file", "--compare：/nope 不存在"},
		"models compare":                         {"missing flags: --data=DIR or --jobs, --with=NAME", "缺少选项：--data=DIR 或 --jobs、--with=NAME"},
		"bench core --load x":                    {"--load: expected a float", `--load：需要数字，却得到 "x"`},
		"bench core --load":                      {"--load: expected float value", "--load：缺少取值"},
		"bench core --clips --runs=1":            {`perhaps try --clips="--runs=1"?`, `--clips：需要取值，却得到 "--runs=1"；或可写成 --clips="--runs=1"`},
		"bench core --early-exit=x":              {"--early-exit: bool value", `--early-exit：需要 true 或 false，却得到 "x"`},
		"bench reuse":                            {"missing flags: --pairs=FILE or --make=DIR", "缺少选项：--pairs=FILE 或 --make=DIR"},
		"site test --site a --on b c":            {"--site and --on can't be used together", "--site 与 --on 不能同时使用"},
		"site":                                   {"expected one of", "缺少下列之一："},
	} {
		args := strings.Fields(line)
		for i, lang := range []string{"en", "zh"} {
			code, out, errOut := onsite(t, append([]string{"--lang", lang}, args...)...)
			require.Equal(t, exitUsage, code, line)
			require.Empty(t, out, line)
			require.Contains(t, errOut, want[i], line)
			require.Contains(t, errOut, "onsite --help", line)
		}
	}
	require.Equal(t, "nobody wrote this: at all", chinese("nobody wrote this: at all"))
	t.Setenv("LC_ALL", "zh_CN.UTF-8")
	code, _, errOut := onsite(t, "verify", "--nonesuch")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "未知选项")
	require.Equal(t, "en", askedLanguage([]string{"verify", "--lang=en"}))
	require.Equal(t, "en", askedLanguage([]string{"--lang", "zh", "verify", "--lang=en", "--", "--lang=zh"}))
	require.Equal(t, "--clips=a b：缺少取值", chinese(`--clips=a b: expected string value but got "EOL" (eol)`))

	for line, want := range map[string]bool{"verify --json": true, "verify --json=true": true, "verify --json --json=false": false, "verify -- --json": false, "verify": false} {
		require.Equal(t, want, wantsJSON(strings.Fields(line)), line)
	}
}
