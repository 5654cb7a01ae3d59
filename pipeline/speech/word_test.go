package speech

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestDigits(t *testing.T) {
	for heard, want := range map[string]string{
		"4271":                              "4271",
		"４２７１":                              "4271",
		"四二七一":                              "4271",
		"四二七幺":                              "4271",
		"似儿期衣":                              "4271", // characters of the same sound
		"si er qi yi":                       "4271",
		"si er qi yao":                      "4271",
		"four two seven one":                "4271",
		"for to seven won":                  "4271",
		"Forty-two, seventy-one.":           "4271",
		"double four, seven oh":             "4470",
		"我的数字是四二七一":                         "4271",
		"零洞两拐勾":                             "00279",
		"四十二":                               "42",
		"四十":                                "40",
		"十二":                                "12",
		"十":                                 "10",
		"twenty":                            "20",
		"twelve":                            "12",
		"":                                  "",
		"hello world":                       "",
		"the digits are three, nine, eight": "398",
	} {
		require.Equal(t, want, Digits(heard), heard)
	}
}

func TestSaidDigits(t *testing.T) {
	for _, c := range []struct {
		heard, wanted string
		want          Said
	}{
		{"四二七一", "4271", Clearly},
		{"okay, four two seven one, done", "4271", Clearly},
		{"四二七", "4271", Nearly},
		{"四二八一", "4271", Nearly},
		{"4 2 9 7 1", "4271", Nearly},
		{"七一", "4271", NotSaid},
		{"1724", "4271", NotSaid},
		{"nothing", "4271", NotSaid},
		{"", "4271", NotSaid},
		{"", "", Clearly},
		{"8", "4", NotSaid},
	} {
		require.Equal(t, c.want, SaidDigits(c.heard, c.wanted), "%q in %q", c.wanted, c.heard)
	}
}

func TestSaidPhrase(t *testing.T) {
	for _, c := range []struct {
		heard, phrase string
		want          Said
	}{
		{"I am at the front counter today", "front counter", Clearly},
		{"I'm at the FRONT, counter!", "front counter", Clearly},
		{"today I organise the shelves", "organize the shelves", Clearly},
		{"我今天在整理货架", "整理货架", Clearly},
		{"我今天在整里货价", "整理货架", Clearly}, // other characters, same sound
		{"我今天在整理货车", "整理货架", Nearly},
		{"今天天气不错", "整理货架", NotSaid},
		{"counter", "front counter", NotSaid},
		{"good morning", "整理货架", NotSaid},
		{"room 三", "room 3", Clearly},
		{"", "货架", NotSaid},
		{"whatever", "!?", Clearly},
	} {
		got, share := SaidPhrase(c.heard, c.phrase)
		require.Equal(t, c.want, got, "%q in %q: %.2f", c.phrase, c.heard, share)
		require.True(t, share >= 0 && share <= 1)
	}
}

func FuzzWords(f *testing.F) {
	f.Add("四二七一 forty-two", "front counter", "4271")
	f.Add("double double 十", "整理货架", "")
	f.Fuzz(func(t *testing.T, heard, phrase, digits string) {
		got := Digits(heard)
		require.Empty(t, strings.Trim(got, "0123456789"))
		_, share := SaidPhrase(heard, phrase)
		require.True(t, share >= 0 && share <= 1)
		if utf8.RuneCountInString(phrase) < maxPhrase {
			said, _ := SaidPhrase(phrase, phrase)
			require.Equal(t, Clearly, said, "what is said is heard")
		}
		if got != "" {
			require.Equal(t, Clearly, SaidDigits(heard, got))
		}
		SaidDigits(heard, digits)
	})
}
