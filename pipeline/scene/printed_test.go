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
		{line: "11.22", from: d(0, 11, 22), to: d(0, 11, 22)},
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
	for _, s := range []string{"11.22-11.28 ¥19.9", "2026年11月22日至12月1日", "22 Nov 2026", "至11.30", "19.9元", "\xff1.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		periods, prices := readPrint(s)
		for _, p := range periods {
			require.True(t, valid(p.To))
			require.NotEmpty(t, p.Text)
			p.holds(time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC))
		}
		for _, p := range prices {
			require.GreaterOrEqual(t, p.Cents, int64(0))
			require.NotEmpty(t, p.Currency)
		}
	})
}
