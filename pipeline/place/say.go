package place

import (
	"fmt"
	"math"
	"time"

	"onsite/pipeline"
)

// length writes metres for people: 40 m, 3.4 km, 812 km.
func length(m float64) pipeline.Text {
	n, en, zh := m, "m", "米"
	form := "%.0f"
	if m >= 995 {
		n, en, zh = m/1000, "km", "公里"
		if n < 9.95 {
			form = "%.1f"
		}
	} else if m >= 20 {
		n = 10 * math.Round(m/10)
	}
	number := fmt.Sprintf(form, n)
	return pipeline.Text{EN: number + " " + en, ZH: number + " " + zh}
}

// Length writes metres for people, as the texts of this package do.
func Length(m float64) pipeline.Text { return length(m) }

// span writes a time for people, in the one unit that fits.
func span(d time.Duration) pipeline.Text {
	for _, u := range []struct {
		unit        time.Duration
		one, en, zh string
	}{{24 * time.Hour, "day", "days", "天"}, {time.Hour, "hour", "hours", "小时"}, {time.Minute, "minute", "minutes", "分钟"}, {time.Second, "second", "seconds", "秒"}} {
		if n := int64(math.Round(float64(d) / float64(u.unit))); d >= u.unit && (n >= 2 || u.unit <= time.Minute) {
			name := u.en
			if n == 1 {
				name = u.one
			}
			return pipeline.Text{EN: fmt.Sprintf("%d %s", n, name), ZH: fmt.Sprintf("%d %s", n, u.zh)}
		}
	}
	return pipeline.Text{EN: "less than a second", ZH: "不足 1 秒"}
}

// Span writes a time for people, as the texts of this package do.
func Span(d time.Duration) pipeline.Text { return span(d) }

// both are a finding's arguments of one text.
func both(name string, t pipeline.Text) map[string]string {
	return map[string]string{name + "_en": t.EN, name + "_zh": t.ZH}
}
