package scene

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNameInLine(t *testing.T) {
	const found, doubt, no = "found", "doubt", "no"
	for _, c := range []struct {
		name, line string
		confidence float64
		want       string
	}{
		{"中国农业银行", "中国农业银行", 1, found},
		{"中国农业银行", "中国衣业银行", 1, found}, // one of six misread
		{"中国农业银行", "中国工商银行", 1, doubt}, // another bank: two of six
		{"中国农业银行", "中国建设局", 1, no},
		{"人民路", "人和路", 1, no}, // three characters must be exact
		{"愚园路", "愚园路 Yuyuan Rd.", 1, found},
		{"超市", "大润发超市", 1, no}, // two characters only as a line of their own
		{"超市", "超市", 1, found},
		{"STAR", "STARBUCKS", 1, no},
		{"STAR", "THE STAR", 1, found},
		{"STAR", "START", 1, no},
		{"Octavia Hill", "OctaviaHill", 1, found}, // spaces get lost
		{"SEAYAHI COFFEE", "SEAYAHICOFFEE GOOD", 1, found},
		{"SEAYAHI COFFEE", "SEAVAHI COFFEE", 1, found},
		{"Café Zoë", "CAFE ZOE", 1, found},
		{"ＭＲ．Ｚ", "MR.Z", 1, found}, // full width
		{"港記燒臘", "港记烧腊", 1, found}, // traditional and simplified
		{"港记烧腊", "港記烧脱", 1, found}, // mixed, and one of four misread
		{"4F", "4F", 1, found},
		{"4F", "14F", 1, no},
		{"4F", "3F", 1, no},
		{"中国农业银行", "中国农业银行", .3, doubt}, // read without confidence
		{"中国农业银行", "", 1, no},
	} {
		got, r := no, newSignName(c.name).in(c.line, c.confidence)
		if r.doubt {
			got = doubt
		}
		if r.found {
			got = found
		}
		require.Equal(t, c.want, got, "%s in %s", c.name, c.line)
	}
}

func TestSimilarityOverride(t *testing.T) {
	n := newSignName("中国农业银行")
	n.similarity = .6
	require.True(t, n.in("中国工商银行", 1).found)
	n.similarity = 1
	require.False(t, n.in("中国衣业银行", 1).found)
}

func TestReadable(t *testing.T) {
	for s, want := range map[string]rune{"港記燒臘": 0, "Café 7": 0, "7-11": 0, "서울": '서', "港 서": '서', "...": ' ', "": ' ', "ポイ捨て": 'ポ'} {
		require.Equal(t, string(want), string(readable(s)), s)
	}
}

func TestSimplifiedIsOneStepUnraced(t *testing.T) {
	for from, to := range simplified {
		require.NotEqual(t, from, to)
		require.NotContains(t, simplified, to, "%c becomes %c, which becomes another", from, to)
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		d, from, to int
	}{
		{"abc", "xxabcxx", 0, 2, 5}, {"abc", "xxabxx", 2, 2, 4}, {"abc", "", 6, 0, 0}, {"", "abc", 0, 0, 0}, {"abc", "abc", 0, 0, 3}, {"abcd", "zacdz", 2, 1, 4}, {"st0p", "5top", 2, 0, 4},
	} {
		d, from, to := nearest([]rune(c.a), []rune(c.b))
		require.Equal(t, []int{c.d, c.from, c.to}, []int{d, from, to}, "%s in %s", c.a, c.b)
	}
}

func word(text string, cx, cy, w, h float64) Word {
	return Word{Text: text, Confidence: 1, line: line{cx: cx, cy: cy, w: w, h: h}}
}

func TestBrokenNames(t *testing.T) {
	for name, c := range map[string]struct {
		want  string
		words []Word
		found bool
	}{
		"beside each other":      {"SEAYAHI COFFEE", []Word{word("COFFEE", 300, 50, 120, 40), word("SEAYAHI", 100, 52, 140, 40)}, true},
		"one character each":     {"母婴用品连锁", []Word{word("品", 250, 50, 40, 40), word("母", 50, 50, 40, 40), word("用", 180, 50, 40, 40), word("婴", 110, 50, 40, 40), word("连", 320, 50, 40, 40), word("锁", 390, 50, 40, 40)}, true},
		"below each other":       {"OCTAVIA HILL", []Word{word("HILL", 100, 95, 90, 38), word("OCTAVIA", 100, 50, 150, 40)}, true},
		"far apart":              {"SEAYAHI COFFEE", []Word{word("COFFEE", 900, 50, 120, 40), word("SEAYAHI", 100, 52, 140, 40)}, false},
		"of very different size": {"OCTAVIA HILL", []Word{word("HILL", 100, 80, 40, 15), word("OCTAVIA", 100, 50, 150, 40)}, false},
		"one above":              {"OCTAVIA HILL", []Word{word("OCTAVIA", 100, 95, 150, 40), word("HILL", 100, 50, 90, 40)}, false},
	} {
		require.Equal(t, c.found, bestOf(newSignName(c.want), c.words).found, name)
	}
}
