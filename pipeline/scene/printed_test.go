package scene

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadPrint(t *testing.T) {
	d := func(y, m, day int) day1 { return day1{y, m, day} }
	for _, c := range []struct {
		line     string
		from, to day1
		none     bool
		cents    []int64
	}{
		{line: "11.22", none: true}, {line: "8.8折", none: true}, {line: "低至8.8", none: true}, {line: "7.5折", none: true}, {line: "4.8分", none: true}, {line: "8.8-9.5折", none: true},
		{line: "4.5至5.0分", none: true}, {line: "1.5倍", none: true}, {line: "5.5-6.5km", none: true}, {line: "至7.5折", none: true}, {line: "11/22", none: true}, {line: "1.5-2L", none: true},
		{line: "10.30-22.00", none: true}, {line: "9.30-10.30", none: true}, {line: "营业时间:9.30-11.15", none: true}, {line: "Daily 8.15-11.30", none: true}, {line: "11.30-2.30pm", none: true},
		{line: "自11.1开业", none: true}, {line: "9.9-19.9", none: true},
		{line: "11月1日起", from: d(0, 11, 1)}, {line: "from 1 Nov", from: d(0, 11, 1)}, {line: "since 2019.5.1", from: d(2019, 5, 1)}, {line: "2019年5月1日开始", from: d(2019, 5, 1)},
		{line: "自11月1日(周日)起至11月30日", from: d(0, 11, 1), to: d(0, 11, 30)}, {line: "from 1 Nov until 30 Nov", from: d(0, 11, 1), to: d(0, 11, 30)},
		{line: "11.22-28", from: d(0, 11, 22), to: d(0, 11, 28)}, {line: "11.22(周日)-11.28(周六)", from: d(0, 11, 22), to: d(0, 11, 28)}, {line: "11月30日截止", to: d(0, 11, 30)}, {line: "11.30止", to: d(0, 11, 30)},
		{line: "12.28-2027.1.3", from: d(2026, 12, 28), to: d(2027, 1, 3)}, {line: "10.25-10.31万圣节", from: d(0, 10, 25), to: d(0, 10, 31)},
		{line: "活动时间:11.22-11.28", from: d(0, 11, 22), to: d(0, 11, 28)},
		{line: "11月22日", from: d(0, 11, 22), to: d(0, 11, 22)},
		{line: "11月22日至28日", from: d(0, 11, 22), to: d(0, 11, 28)},
		{line: "2026年11月22日—12月1日", from: d(2026, 11, 22), to: d(2026, 12, 1)},
		{line: "2026/11/22", from: d(2026, 11, 22), to: d(2026, 11, 22)},
		{line: "2026.12.28-1.3", from: d(2026, 12, 28), to: d(2027, 1, 3)},
		{line: "22 Nov", from: d(0, 11, 22), to: d(0, 11, 22)},
		{line: "22NOV-28NOV", from: d(0, 11, 22), to: d(0, 11, 28)},
		{line: "Nov 22-28", from: d(0, 11, 22), to: d(0, 11, 28)},
		{line: "November 22, 2026", from: d(2026, 11, 22), to: d(2026, 11, 22)},
		{line: "22.11.2026", from: d(2026, 11, 22), to: d(2026, 11, 22)},
		{line: "即日起至11.30", to: d(0, 11, 30)},
		{line: "有效期截至2026-11-30", to: d(2026, 11, 30)},
		{line: "until 30 Nov", to: d(0, 11, 30)},
		{line: "限時１１月２２號", from: d(0, 11, 22), to: d(0, 11, 22)},
		{line: "¥19.9", none: true, cents: []int64{1990}},
		{line: "19.9元", none: true, cents: []int64{1990}},
		{line: "￥1,299 原价1599元", none: true, cents: []int64{129900, 159900}},
		{line: "HK$8.5", none: true, cents: []int64{850}},
		{line: "仅需9.9元 11.22-11.28", from: d(0, 11, 22), to: d(0, 11, 28), cents: []int64{990}},
		{line: "10:00-22:00", none: true}, {line: "027-88852022", none: true}, {line: "v1.5.2", none: true}, {line: "13.40", none: true}, {line: "2.30%", none: true},
		{line: "11.31", none: true}, {line: "2026-02-30", none: true}, {line: "5 marvellous", none: true}, {line: "", none: true},
	} {
		periods, prices := readPrint(c.line)
		if c.none {
			require.Empty(t, periods, c.line)
		} else {
			require.Len(t, periods, 1, c.line)
			require.Equal(t, []day1{c.from, c.to}, []day1{periods[0].From, periods[0].To}, c.line)
		}
		var cents []int64
		for _, p := range prices {
			cents = append(cents, p.Cents)
		}
		require.Equal(t, c.cents, cents, c.line)
	}
}

func TestPeriodHoldsADay(t *testing.T) {
	for _, c := range []struct {
		line     string
		at       string
		in, over bool
	}{
		{"11.22-11.28", "2026-11-22", true, false}, {"11.22-11.28", "2026-11-28", true, false}, {"11.22-11.28", "2026-11-29", false, true},
		{"11.22-11.28", "2026-11-21", false, false}, {"12.28-1.3", "2027-01-02", true, false}, {"12.28-1.3", "2026-12-29", true, false},
		{"11月1日起", "2026-11-22", true, false}, {"11月1日起", "2026-10-22", false, false}, {"since 2019.5.1", "2026-11-22", true, false},
		{"12.28-1.3", "2027-01-05", false, true}, {"2025.11.22-11.28", "2026-11-23", false, true}, {"至11.30", "2026-11-01", true, false}, {"至11.30", "2026-12-02", false, true},
	} {
		at, err := time.Parse(time.DateOnly, c.at)
		require.NoError(t, err)
		periods, _ := readPrint(c.line)
		require.Len(t, periods, 1, c.line)
		in, over := periods[0].holds(at)
		require.Equal(t, []bool{c.in, c.over}, []bool{in, over}, "%s at %s", c.line, c.at)
	}
}

func FuzzReadPrint(f *testing.F) {
	for _, s := range []string{"11.22-11.28 ¥19.9", "11月1日起", "自2026.11.1(周日)起至12.1止", "8.8至9.5折", "2026年11月22日至12月1日", "22 Nov 2026", "至11.30", "19.9元", "\xff1.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		periods, prices := readPrint(s)
		for _, p := range periods {
			require.True(t, valid(p.To) || valid(p.From))
			require.NotEmpty(t, p.Text)
			p.holds(time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC))
		}
		for _, p := range prices {
			require.GreaterOrEqual(t, p.Cents, int64(0))
			require.NotEmpty(t, p.Currency)
		}
	})
}

func TestWhichPrintedDaysProveThatAPosterIsOver(t *testing.T) {
	for _, c := range []struct {
		lines      []string
		over, sure bool
	}{
		{[]string{"11.1-11.5"}, true, true}, {[]string{"有效期至11月10日"}, true, true}, {[]string{"11月10日"}, true, false}, {[]string{"11月10日", "至11.15"}, true, true},
		{[]string{"11月1日起"}, false, false}, {[]string{"11月1日起", "至11.15"}, true, true}, {[]string{"11.1-11.5", "12.1-12.5"}, false, false}, {[]string{"8.8折"}, false, false},
	} {
		s := &search{at: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
		for _, l := range c.lines {
			periods, _ := readPrint(l)
			s.periods = append(s.periods, periods...)
		}
		p, over := s.over()
		require.Equal(t, []bool{c.over, c.sure}, []bool{over, p.Sure}, "%v", c.lines)
	}
}
