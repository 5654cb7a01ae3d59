package report

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
)

func render(t testing.TB, in Input) string {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, Write(&buf, in))
	return buf.String()
}

var address = regexp.MustCompile(`(?i)(?:href|src|url|action|srcset|poster|data)\s*=\s*"([^"]*)"`)

// selfContained checks that the page points to nothing outside itself and that its policy pins its own style and script.
func selfContained(t testing.TB, page string) {
	t.Helper()
	for _, m := range address.FindAllStringSubmatch(page, -1) {
		require.Regexp(t, `^(#[\w-]*|data:image/jpeg;base64,[A-Za-z0-9+/=]*|data:,)$`, html.UnescapeString(m[1]))
	}
	require.NotContains(t, page, "@import")
	require.NotContains(t, page, "url(")
	require.NotContains(t, page, "ZgotmplZ", "a value that the template refused")
	require.NotContains(t, page, "<no value>")
	require.Equal(t, 1, strings.Count(page, "<script"))
	require.NotRegexp(t, `<[^>]*\sstyle=`, page, "style attributes would need a weaker policy")

	meta := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	require.NotNil(t, meta)
	csp := html.UnescapeString(meta[1])
	require.Contains(t, csp, "default-src 'none'")
	require.NotContains(t, csp, "unsafe")
	for tag, directive := range map[string]string{"style": "style-src ", "script": "script-src "} {
		body := regexp.MustCompile(`(?s)<` + tag + `>(.*)</` + tag + `>`).FindStringSubmatch(page)
		require.NotNil(t, body, tag)
		require.Contains(t, csp, directive+pin(body[1]), "the hash of what really stands in the page")
	}
}

func TestWriteEveryKindInBothLanguages(t *testing.T) {
	for _, kind := range kinds {
		for _, lang := range []string{English, Chinese} {
			t.Run(kind+" "+lang, func(t *testing.T) {
				in := sample(t, kind)
				in.Lang = lang
				page := render(t, in)
				selfContained(t, page)
				title := policy.DecisionTitle(in.Verdict.Decision)
				require.Contains(t, page, title.EN)
				require.Contains(t, page, title.ZH)
				require.Contains(t, page, map[string]string{English: `<html lang="en">`, Chinese: `<html lang="zh-Hans">`}[lang])
				require.Contains(t, page, `value="`+lang+`" aria-label="`+map[string]string{English: "English", Chinese: "中文"}[lang]+`" autocomplete="off" checked`)
				require.Equal(t, 1, strings.Count(page, " checked>"))
				for _, r := range in.Verdict.Reasons {
					require.Contains(t, page, html.EscapeString(r.Text.EN))
					require.Contains(t, page, html.EscapeString(r.Text.ZH))
					require.Contains(t, page, string(r.Code))
				}
				shown := len(in.Pictures) + len(in.References)
				require.Equal(t, shown, strings.Count(page, "<image "), "each keyframe and reference is in the page once")
				require.Less(t, strings.Count(page, "data:image/jpeg")-shown, 8, "and only the pairs of matched footage besides")
				require.Less(t, len(page), 300_000)
				require.Equal(t, page, render(t, in), "the same input gives the same page")
			})
		}
	}
}

func TestWriteSections(t *testing.T) {
	has := func(page, id string) bool { return strings.Contains(page, `<h2 id="`+id+`"`) }
	pass, reused, photo, mismatch := render(t, sample(t, "pass")), render(t, sample(t, "reused")), render(t, sample(t, "photo")), render(t, sample(t, "abnormal"))
	require.True(t, has(pass, "place") && has(pass, "timeline") && has(pass, "enrolled") && !has(pass, "matched"))
	require.True(t, has(reused, "matched"))
	require.False(t, has(photo, "timeline"), "a photo has no time")
	require.False(t, has(mismatch, "enrolled"), "they stand beside the reason")
	require.Contains(t, mismatch, "enrolled-3.jpg")
	require.Contains(t, pass, "Not asked for by the policy")
	require.Contains(t, reused, "picture no longer available")
	require.Contains(t, reused, "re-encoded, trimmed and mirrored")
}

// Content that is alike has no stretch of time: a page must not claim that nothing corresponds to nothing.
func TestMatchWithoutAStretchDrawsNone(t *testing.T) {
	in := sample(t, "reused")
	in.Segments = []Segment{{Job: "monday-morning.mp4", Score: ptr(0.0), Threshold: ptr(0.5)}}
	page := render(t, in)
	require.Contains(t, page, words["same_content"].EN)
	require.NotContains(t, page, `class="lanes"`)
	require.NotContains(t, page, words["corresponds"].EN)
	in.Segments[0].ToMS, in.Segments[0].TheirToMS = 900, 900
	require.Contains(t, render(t, in), `class="lanes"`)
}

func TestWriteNothing(t *testing.T) {
	page := render(t, Input{})
	selfContained(t, page)
	require.NotContains(t, page, `id="keyframes"`)
}

func TestWriteShowsTheVerdictAsWritten(t *testing.T) {
	in := sample(t, "pass")
	in.JSON = []byte(`{"schema": "onsite.verdict/1", "own": "form"}`)
	require.Contains(t, render(t, in), html.EscapeString(string(in.JSON)))
}

func TestWriteErrors(t *testing.T) {
	require.ErrorContains(t, Write(brokenWriter{}, sample(t, "pass")), "disk full")
	in := sample(t, "pass")
	in.Verdict.TimingsMS["total"] = math.NaN()
	require.ErrorContains(t, Write(&bytes.Buffer{}, in), "JSON")
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// attacks are what a file name, a sign or an earlier job may hold.
var attacks = []string{
	`<script>window.pwned=1</script>`,
	`"><img src=x onerror="window.pwned=1">`,
	`' onmouseover='window.pwned=1' x='`,
	`</title></style></script><svg onload=window.pwned=1>`,
	`javascript:window.pwned=1`,
	`{{.JSON}}<!--`,
	"exe.\u202egpj\u0000\x1b[31m\xff",
}

// hostileKinds are the verdicts with the most parts; the attacks take turns with them.
var hostileKinds = []string{"reused", "place", "review"}

// poison puts an attack into every string of a value, except what decides how the page is built.
func poison(v reflect.Value, attack string, path string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Kind() == reflect.Pointer {
			poison(v.Elem(), attack, path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if !v.Type().Field(i).IsExported() || name == "Lang" || name == "JSON" || name == "JPEG" || name == "OurJPEG" || name == "TheirJPEG" || (path == "Media" && name == "Kind") {
				continue
			}
			poison(v.Field(i), attack, name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), attack, path)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			poison(e, attack, path)
			v.SetMapIndex(k, e)
		}
		if v.Type().Key().Kind() == reflect.String && v.Len() > 0 {
			v.SetMapIndex(reflect.ValueOf(attack).Convert(v.Type().Key()), v.MapIndex(v.MapKeys()[0]))
		}
	case reflect.String:
		v.SetString(attack)
	default:
	}
}

func hostile(t testing.TB, kind, attack string) Input {
	t.Helper()
	in := sample(t, kind)
	poison(reflect.ValueOf(&in).Elem(), attack, "")
	return in
}

func TestWriteEscapesEverything(t *testing.T) {
	for i, attack := range attacks {
		page := render(t, hostile(t, hostileKinds[i%len(hostileKinds)], attack))
		selfContained(t, page)
		require.NotContains(t, page, "<script>window")
		require.NotContains(t, page, "<img src=x")
		require.NotContains(t, page, "<svg onload")
		require.NotRegexp(t, `<[^>"]*("[^"]*"[^>"]*)*\son\w+=`, page, "no event handler inside a tag")
		require.NotContains(t, page, "\u202e")
		require.NotContains(t, page, "\x00")
		require.NotContains(t, page, "\x1b")
	}
}

func TestScoreBar(t *testing.T) {
	check := func(o pipeline.Outcome, score, threshold float64) pipeline.Check {
		return pipeline.Check{Outcome: o, Score: &score, Threshold: &threshold}
	}
	for _, c := range []struct {
		name           pipeline.CheckName
		check          pipeline.Check
		at, tick, rule string
	}{
		{pipeline.CheckFace, check(pipeline.Pass, 0.7, 0.4), "70.00%", "40.00%", "at least 0.40 needed"},
		{pipeline.CheckFace, check(pipeline.Fail, 0.1, 0.4), "10.00%", "40.00%", "at least 0.40 needed"},
		{pipeline.CheckFace, check(pipeline.Fail, -0.2, 0.4), "0.00%", "50.00%", "at least 0.40 needed"},
		{pipeline.CheckReuse, check(pipeline.Pass, 0.1, 0.6), "10.00%", "60.00%", "must stay below 0.60"},
		{pipeline.CheckReuse, check(pipeline.Fail, 0.9, 0.6), "90.00%", "60.00%", "must stay below 0.60"},
		{pipeline.CheckAuthenticity, check(pipeline.Fail, 9.5, 1), "100.00%", "25.00%", "must stay below 1"},
		{pipeline.CheckAuthenticity, check(pipeline.Pass, 0.2, 1), "10.00%", "50.00%", "must stay below 1"},
		{pipeline.CheckScene, check(pipeline.Pass, 34, 9), "94.44%", "25.00%", "at least 9 needed"},
		{pipeline.CheckScene, check(pipeline.Fail, 2./3, 1), "66.67%", "100%", "of it found, all needed"},
		{pipeline.CheckFace, check(pipeline.Fail, 0.4196, 0.42), "41.96%", "42.00%", "at least 0.4200 needed"},
		{pipeline.CheckSpeech, check(pipeline.Pass, 0.2, 0.5), "20.00%", "50.00%", "must stay below 0.50"},
	} {
		b := scoreBar(c.name, c.check)
		require.NotNil(t, b)
		require.Equal(t, []string{c.at, c.tick, c.rule}, []string{b.At, b.Tick, b.Rule.EN}, "%s %v", c.name, *c.check.Score)
	}
	for _, c := range []struct {
		name      pipeline.CheckName
		check     pipeline.Check
		elsewhere bool
	}{
		{pipeline.CheckLiveness, check(pipeline.Fail, 0.74, 0.6), true}, // a challenge was not answered
		{pipeline.CheckLiveness, check(pipeline.Fail, 0.5, 0.6), false},
		{pipeline.CheckReuse, check(pipeline.Uncertain, 0, 0.5), true},
		{pipeline.CheckReuse, check(pipeline.Fail, 0.9, 0.5), false},
		{pipeline.CheckReuse, check(pipeline.Pass, 0, 0.5), false},
	} {
		b := scoreBar(c.name, c.check)
		require.Equal(t, c.elsewhere, b.Elsewhere, "%+v", c)
		require.Equal(t, c.elsewhere, strings.Contains(b.Rule.EN, "another finding decides"))
	}
	require.Nil(t, scoreBar(pipeline.CheckFace, pipeline.Check{Outcome: pipeline.Pass}))
	require.Nil(t, scoreBar(pipeline.CheckFace, check(pipeline.NotChecked, 0.5, 0.4)))
	require.Nil(t, scoreBar(pipeline.CheckFace, check(pipeline.Pass, math.NaN(), 0.4)))
	require.Nil(t, scoreBar(pipeline.CheckFace, check(pipeline.Pass, math.Inf(1), 0.4)))
}

func TestProofsAreInBothLanguages(t *testing.T) {
	line, ok := evidenceLine(pipeline.Evidence{Kind: "fact", Label: "trimmed", Read: "from 1200 ms", Text: &pipeline.Text{EN: "from 1200 ms", ZH: "从第 1200 毫秒开始"}})
	require.True(t, ok)
	require.Equal(t, pipeline.Text{EN: "Proof: from 1200 ms (trimmed)", ZH: "依据：从第 1200 毫秒开始（trimmed）"}, line)
	line, ok = evidenceLine(pipeline.Evidence{Kind: "fact", Label: "encoder", Read: "Lavf59\u202e", Text: nil})
	require.True(t, ok)
	require.Equal(t, pipeline.Text{EN: "Proof: Lavf59\uFFFD (encoder)", ZH: "依据：Lavf59\uFFFD（encoder）"}, line, "what needs no words is the same")
	from, to := int64(3600), int64(4600)
	line, ok = evidenceLine(pipeline.Evidence{Kind: "fact", Label: "cut", Read: "at 4.1 s: 30.0 levels", FromMS: &from, ToMS: &to})
	require.True(t, ok)
	require.Equal(t, "Proof: at 4.1 s: 30.0 levels (cut)", line.EN, "it says its time itself")
	_, ok = evidenceLine(pipeline.Evidence{Kind: "fact", Label: "same_device"})
	require.False(t, ok)
}

func TestSmallWords(t *testing.T) {
	require.Equal(t, []string{"0:00.0", "0:01.5", "1:05.0", "10:00.1", "-0:01.0"}, []string{clock(0), clock(1450), clock(65_000), clock(600_100), clock(-1000)})
	require.Equal(t, []string{"12 B", "34 KB", "4.2 MB"}, []string{size(12), size(34_200), size(4_213_998)})
	require.Equal(t, []string{"0.4 ms", "35 ms", "1.02 s", "12.3 s"}, []string{took(0.41), took(35.4), took(1021.9), took(12_345)})
	require.Equal(t, "a\uFFFDb c\uFFFD", clean("a\u202eb\nc\x07"))
	require.Equal(t, "ok\uFFFD", clean("ok\xff"))
	shown := visibleJSON([]byte("[\n \"x\u202ey\x1b\"]"))
	require.Equal(t, "[\n \"x\\u202ey\\u001b\"]", shown)
	require.Equal(t, pipeline.Text{}, transform("none"))
	require.Equal(t, "mirrored, turned by 90°", transform("mirrored+rotated_90").EN)
	require.Equal(t, "左右镜像，裁剪", transform("mirrored+cropped").ZH)
	require.Equal(t, "sheared", transform("sheared").EN)
	require.Equal(t, []int{1, 3, 5}, pick([]int{1, 2, 3, 4, 5}, 3))
	require.Equal(t, []int{1}, pick([]int{1}, 3))
	require.Panics(t, func() { word("no such label") })
	for key, w := range words {
		require.NotEmpty(t, w.EN, key)
		require.NotEmpty(t, w.ZH, key)
	}
}

func TestDrawStaysNearThePicture(t *testing.T) {
	shapes := draw([]Mark{
		{Outline: []pipeline.Point{{X: -1e9, Y: 5}, {X: 1e12, Y: 5}, {X: 10, Y: 90}}, Label: pipeline.Text{EN: "x"}, Good: true},
		{Outline: []pipeline.Point{{X: math.NaN()}, {}, {}}},
		{Box: &pipeline.Box{}},
	}, 100, 100, smallLabel)
	require.Len(t, shapes, 1)
	require.Equal(t, "-100,5 200,5 10,90", shapes[0].Points)
}

// A label must not be read as that of another outline: the upper one's would stand below it, where the lower one's stands above.
func TestLabelsOfOutlinesThatOverlap(t *testing.T) {
	at := func(s shape) (x, y float64) {
		_, err := fmt.Sscan(s.X+" "+s.Y, &x, &y)
		require.NoError(t, err)
		return x, y
	}
	upper, lower := pipeline.Box{X: 100, Y: 4, W: 500, H: 300}, pipeline.Box{X: 120, Y: 200, W: 500, H: 200}
	shapes := draw([]Mark{{Box: &upper, Label: pipeline.Text{EN: "reception"}}, {Box: &lower, Label: pipeline.Text{EN: "sign"}}}, 640, 480, largeLabel)
	_, y := at(shapes[0])
	require.Less(t, y, 60.0, "no room above: inside, at the top")
	_, y = at(shapes[1])
	require.Greater(t, y, 400.0, "above and inside lie in the upper one")

	one := pipeline.Box{X: 200, Y: 200, W: 100, H: 100}
	shapes = draw([]Mark{{Box: &one, Label: pipeline.Text{EN: "a"}}, {Box: &one, Label: pipeline.Text{EN: "b"}}, {Box: &one, Label: pipeline.Text{EN: "c"}}}, 640, 480, largeLabel)
	seen := map[float64]bool{}
	for _, s := range shapes {
		_, y := at(s)
		seen[y] = true
	}
	require.Len(t, seen, 3, "no label lies on another")

	right := pipeline.Box{X: 600, Y: 200, W: 40, H: 40}
	x, _ := at(draw([]Mark{{Box: &right, Label: pipeline.Text{ZH: "海港咖啡店铺招牌"}}}, 640, 480, largeLabel)[0])
	require.Less(t, x+8*640*largeLabel, 641.0, "a Chinese letter is as wide as it is high")
}

func BenchmarkWrite(b *testing.B) {
	in := sample(b, "reused")
	for b.Loop() {
		require.NoError(b, Write(&bytes.Buffer{}, in))
	}
}
