package scene

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Period is a stretch of days that stands on a poster, first and last day included. A year that is not written is 0.
type Period struct {
	From, To day1   // the zero day: open
	Text     string // as it was read
	Sure     bool   // it says when it ends: two days, or one with a closing word. A day alone may be anything
}

// day1 is a day of the calendar; the zero Year is not written.
type day1 struct{ Year, Month, Day int }

// Price is an amount that stands on a poster.
type Price struct {
	Cents    int64
	Currency string // CNY, USD, EUR, GBP, HKD; empty: not written
	Text     string
}

var months = map[string]int{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11, "dec": 12,
	"january": 1, "february": 2, "march": 3, "april": 4, "june": 6, "july": 7, "august": 8, "september": 9, "october": 10, "november": 11, "december": 12,
}

// The forms of a day. Recognisers lose spaces, so none is asked for. A price has its own sign and is taken out first. Two numbers with a dot
// or slash are mostly something else (8.8折, 4.8分, 10.30-22.00): they are a day only beside another day, or with a word that closes.
var (
	dayZH      = regexp.MustCompile(`^(?:(\d{4})年)?(\d{1,2})月(\d{1,2})[日号號]?`)
	dayISO     = regexp.MustCompile(`^(\d{4})[./\-年](\d{1,2})[./\-月](\d{1,2})日?`)
	dayShort   = regexp.MustCompile(`^(\d{1,2})[./](\d{1,2})(?:[./](\d{4}))?`)
	dayEN      = regexp.MustCompile(`(?i)^(\d{1,2})(?:st|nd|rd|th)?[ .\-]*(january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)\.?,?(?: *(\d{4}))?`)
	dayUS      = regexp.MustCompile(`(?i)^(january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)\.? *(\d{1,2})(?:st|nd|rd|th)?(?:,? *(\d{4}))?`)
	lastDay    = regexp.MustCompile(`^(\d{1,2})[日号號]`)
	lastDayEN  = regexp.MustCompile(`^(\d{1,2})(?:st|nd|rd|th)?\b`)
	clockAfter = regexp.MustCompile(`^[.:/]\d`)
	joint      = regexp.MustCompile(`(?i)^ *(?:\([^)\d]{1,12}\))? *(?:起|开始)?[ ,]*(?:-{1,2}|~|—|–|至|到|to|until|till|through) *`)
	// What stands before or after a day. 低至8.8 is a discount.
	closesIt  = regexp.MustCompile(`(?i)(?:(低|降|减|高|多|直)?[至到]|截[至止](?:日期|时间)?|止于|until|till|through|ends?)[ :]*$`)
	closed    = regexp.MustCompile(`^ *(?:\([^)\d]{1,12}\))? *(?:止|截止|结束|到期|之?前)`)
	startsIt  = regexp.MustCompile(`(?i)(?:自|从|始于|成立于|since|from|start(?:s|ing)?|opens?|opening)[ :]*$`)
	started   = regexp.MustCompile(`(?i)^ *(?:\([^)\d]{1,12}\))? *(?:起|开始|始|开业|开幕|启动|上市|发售|成立|创立|onwards?)`)
	unit      = regexp.MustCompile(`(?i)^(?: ?(?:折|分|倍|元|块|角|米|寸|吋|公斤|公里|公分|千克|千米|千瓦|厘米|毫米|毫升|升|克|斤|吨|小时)|[a-z°"″'%×])`)
	openHours = regexp.MustCompile(`(?i)(?:营业|上班|工作|办公|接待|服务|每天|每日|周[一二三四五六日末]|hours|daily|\b(?:mon|tue|wed|thu|fri|sat|sun)\b)[^\d]{0,12}$`)
	priceSign = regexp.MustCompile(`(?i)(¥|￥|rmb|cny|hk\$|us\$|\$|€|£) *(\d{1,7}(?:,\d{3})*)(?:[.](\d{1,2}))?`)
	priceUnit = regexp.MustCompile(`(?i)(\d{1,7})(?:[.](\d{1,2}))? *(元|块|圆|rmb|yuan)`)
)

var currencies = map[string]string{"¥": "CNY", "￥": "CNY", "rmb": "CNY", "cny": "CNY", "hk$": "HKD", "us$": "USD", "$": "USD", "€": "EUR", "£": "GBP", "元": "CNY", "块": "CNY", "圆": "CNY", "yuan": "CNY"}

// longestPrint bounds what is parsed: a poster's line is shorter.
const longestPrint = 500

// readPrint finds the days and the prices in one line of text.
func readPrint(line string) (periods []Period, prices []Price) {
	line = norm.NFKC.String(line)
	if len(line) > longestPrint {
		line = strings.ToValidUTF8(line[:longestPrint], "")
	}
	line = strings.Map(func(r rune) rune {
		if k, ok := simplified[r]; ok {
			return k
		}
		return r
	}, line)
	// Prices first: 19.9 of ¥19.9 is no day.
	blank := []byte(line)
	note := func(at []int, sign, whole, part string) {
		n, err := strconv.ParseInt(strings.ReplaceAll(whole, ",", ""), 10, 64)
		if err != nil {
			return
		}
		c, _ := strconv.ParseInt((part + "00")[:2], 10, 64)
		prices = append(prices, Price{Cents: n*100 + c, Currency: currencies[strings.ToLower(sign)], Text: line[at[0]:at[1]]})
		for i := at[0]; i < at[1]; i++ {
			blank[i] = 0
		}
	}
	for _, m := range priceSign.FindAllStringSubmatchIndex(line, -1) {
		note(m, group(line, m, 1), group(line, m, 2), group(line, m, 3))
	}
	rest := string(blank)
	for _, m := range priceUnit.FindAllStringSubmatchIndex(rest, -1) {
		note(m, group(rest, m, 3), group(rest, m, 1), group(rest, m, 2))
	}
	rest = string(blank)
	for i := 0; i < len(rest); {
		if digit(rest[i]) && i > 0 && (digit(rest[i-1]) || rest[i-1] == '.' && i > 1 && digit(rest[i-2])) { // inside a number
			i++
			continue
		}
		p, first, n := periodAt(rest, i)
		if n == 0 {
			i += max(1, first)
			continue
		}
		p.Text = strings.TrimSpace(rest[i : i+n])
		periods = append(periods, p)
		i += n
	}
	return periods, prices
}

// periodAt reads a stretch of days at a place of a text: how many bytes its first day takes, and it all; 0: there is none.
func periodAt(text string, i int) (p Period, first, n int) {
	from, first, bare := dayAt(text[i:])
	if first == 0 {
		return p, 0, 0
	}
	p = Period{From: from, To: from}
	end, both := i+first, false
	if j := joint.FindString(text[end:]); j != "" {
		next := text[end+len(j):]
		if to, m, short := dayAt(next); m > 0 {
			p.To, end, both, bare = to, end+len(j)+m, true, bare && short
		} else if d := lastDay.FindStringSubmatch(next); d != nil {
			p.To.Day, end, both, bare = number(d[1]), end+len(j)+len(d[0]), true, false
		} else if d := lastDayEN.FindStringSubmatch(next); d != nil && !clockAfter.MatchString(next[len(d[0]):]) && number(d[1]) > from.Day {
			p.To.Day, end, both = number(d[1]), end+len(j)+len(d[0]), true
		}
	}
	ahead, after := text[:i], text[end:]
	p.Sure = both
	switch word := closesIt.FindStringSubmatch(ahead); {
	case both:
	case word != nil && word[1] == "", closed.MatchString(after):
		p.From, p.Sure = day1{}, true
	case startsIt.MatchString(ahead), started.MatchString(after):
		p.To = day1{}
	}
	if bare && (!p.Sure || unit.MatchString(after) || openHours.MatchString(ahead) || (both && p.From.Day == 30 && p.To.Day == 30)) { // 9.30-10.30 is a morning
		return Period{}, first, 0
	}
	if p.From.Year == 0 && p.To.Year != 0 && p.From != (day1{}) {
		if p.From.Year = p.To.Year; before(p.To, p.From) {
			p.From.Year--
		}
	}
	if p.To.Year == 0 && p.From.Year != 0 && p.To != (day1{}) {
		if p.To.Year = p.From.Year; before(p.To, p.From) {
			p.To.Year++
		}
	}
	open := day1{}
	if (p.From != open && !valid(p.From)) || (p.To != open && !valid(p.To)) {
		return Period{}, first, 0
	}
	return p, first, end - i
}

func group(s string, m []int, n int) string {
	if m[2*n] < 0 {
		return ""
	}
	return s[m[2*n]:m[2*n+1]]
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// dayAt reads a day at the start of a text, and how many bytes it takes; 0: there is none. A bare one is two numbers and nothing that says
// that they are a day.
func dayAt(s string) (at day1, n int, bare bool) {
	end := func(m string) bool { // 11.222 and 1.5.2 are no days
		rest := s[len(m):]
		if rest == "" {
			return true
		}
		longer := digit(rest[0]) || (rest[0] == '.' && len(rest) > 1 && digit(rest[1])) || rest[0] == '%'
		return !longer
	}
	try := func(d day1, m string) (day1, int, bool) {
		if !valid(d) || !end(m) {
			return day1{}, 0, false
		}
		return d, len(m), false
	}
	if m := dayZH.FindStringSubmatch(s); m != nil {
		return try(day1{number(m[1]), number(m[2]), number(m[3])}, m[0])
	}
	if m := dayISO.FindStringSubmatch(s); m != nil {
		return try(day1{number(m[1]), number(m[2]), number(m[3])}, m[0])
	}
	if m := dayEN.FindStringSubmatch(s); m != nil && wordEnds(s, m[0]) {
		return try(day1{number(m[3]), months[strings.ToLower(m[2])], number(m[1])}, m[0])
	}
	if m := dayUS.FindStringSubmatch(s); m != nil {
		return try(day1{number(m[3]), months[strings.ToLower(m[1])], number(m[2])}, m[0])
	}
	if m := dayShort.FindStringSubmatch(s); m != nil {
		d := day1{number(m[3]), number(m[1]), number(m[2])}
		if m[3] != "" && d.Month > 12 { // 22.11.2026
			d.Month, d.Day = d.Day, d.Month
		}
		at, n, _ = try(d, m[0])
		return at, n, m[3] == ""
	}
	return day1{}, 0, false
}

// wordEnds keeps 5 marvellous apart from 5 mar.
func wordEnds(s, m string) bool {
	for _, r := range s[len(m):] {
		return !unicode.Is(unicode.Latin, r)
	}
	return true
}

var longest = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func valid(d day1) bool {
	if d.Month < 1 || d.Month > 12 || d.Day < 1 || d.Day > longest[d.Month] {
		return false
	}
	if d.Year == 0 {
		return true
	}
	t := time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC)
	return d.Year >= 1990 && d.Year <= 2100 && t.Day() == d.Day
}

// before compares two days, years only where both have one.
func before(a, b day1) bool {
	if a.Year != 0 && b.Year != 0 && a.Year != b.Year {
		return a.Year < b.Year
	}
	if a.Month != b.Month {
		return a.Month < b.Month
	}
	return a.Day < b.Day
}

// holds tells whether a period holds a day, and, where it does not, whether it is over. t is in the time zone of the place. A period without
// years is taken in the year that brings it nearest.
func (p Period) holds(t time.Time) (in, over bool) {
	at := day1{t.Year(), int(t.Month()), t.Day()}
	if p.To == (day1{}) { // it never ends
		return !before(at, p.From.near(at)), false
	}
	to, from := p.To.near(at), p.From
	if from != (day1{}) && from.Year == 0 {
		from.Year = to.Year
		if before(to, from) {
			from.Year--
		}
	}
	switch {
	case before(to, at):
		return false, true
	case from != (day1{}) && before(at, from):
		return false, false
	}
	return true, false
}

// near gives a day without a year the year that brings it nearest to another day.
func (d day1) near(at day1) day1 {
	if d.Year != 0 {
		return d
	}
	best := 400 * 24 * time.Hour
	for _, y := range []int{at.Year - 1, at.Year, at.Year + 1} {
		away := time.Date(y, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC).Sub(time.Date(at.Year, time.Month(at.Month), at.Day, 0, 0, 0, 0, time.UTC)).Abs()
		if away < best {
			best, d.Year = away, y
		}
	}
	return d
}

// printOf reads all days and prices of some words, each text once.
func printOf(words []Word) (periods []Period, prices []Price) {
	for _, w := range words {
		if w.Confidence < doubtConfidence {
			continue
		}
		ps, cs := readPrint(w.Text)
		for _, p := range ps {
			if !slices.ContainsFunc(periods, func(q Period) bool { return q.Text == p.Text }) {
				periods = append(periods, p)
			}
		}
		for _, c := range cs {
			if !slices.ContainsFunc(prices, func(q Price) bool { return q.Text == c.Text }) {
				prices = append(prices, c)
			}
		}
	}
	return periods, prices
}
