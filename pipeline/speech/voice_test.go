package speech

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
)

const ms = time.Millisecond

// windows repeats probabilities: so many windows of each.
func windows(parts ...float32) (p []float32) {
	for i := 0; i+1 < len(parts); i += 2 {
		for range int(parts[i]) {
			p = append(p, parts[i+1])
		}
	}
	return p
}

func TestSegments(t *testing.T) {
	for name, c := range map[string]struct {
		p    []float32
		want []Segment
	}{
		"none":                              {windows(50, 0.1), nil},
		"one":                               {windows(10, 0, 20, 0.9, 10, 0), []Segment{{290 * ms, 990 * ms}}},
		"to the end":                        {windows(10, 0, 20, 0.9), []Segment{{290 * ms, 960 * ms}}},
		"from the beginning":                {windows(20, 0.9, 10, 0), []Segment{{0, 670 * ms}}},
		"a breath does not end it":          {windows(10, 0.9, 3, 0, 10, 0.9, 10, 0), []Segment{{0, 766 * ms}}},
		"a pause does":                      {windows(10, 0.9, 8, 0, 10, 0.9, 10, 0), []Segment{{0, 350 * ms}, {546 * ms, 926 * ms}}},
		"between the two bounds it goes on": {windows(10, 0.9, 8, 0.4, 10, 0.9, 10, 0), []Segment{{0, 926 * ms}}},
		"that alone begins nothing":         {windows(30, 0.45), nil},
		"a click":                           {windows(10, 0, 5, 1, 10, 0), nil},
	} {
		require.Equal(t, c.want, Segments(c.p, 0.5, 0.35), name)
	}
	all := []Segment{{100 * ms, 200 * ms}, {400 * ms, 900 * ms}}
	require.Equal(t, 600*ms, Total(all))
	for at, want := range map[time.Duration]bool{0: false, 100 * ms: true, 199 * ms: true, 200 * ms: false, 500 * ms: true, time.Second: false} {
		require.Equal(t, want, speaks(all, at), at)
	}
}

func TestMeasure(t *testing.T) {
	require.True(t, Measure(nil).Silent)
	require.True(t, Measure(make([]float32, 1000)).Silent)
	loud := make([]float32, 1600)
	for i := range loud {
		loud[i] = float32(math.Max(-1, math.Min(1, 3*math.Sin(float64(i)/10))))
	}
	l := Measure(loud)
	require.False(t, l.Silent)
	require.InDelta(t, 0, l.PeakDB, 0.01)
	require.Greater(t, l.Clipped, 0.5)
	require.Equal(t, "clipped", l.word())
	quiet := make([]float32, 1600)
	for i := range quiet {
		quiet[i] = 0.01 * float32(math.Sin(float64(i)/10))
	}
	require.Equal(t, "heard", Measure(quiet).word())
	require.InDelta(t, -40, Measure(quiet).PeakDB, 0.1)
	require.Equal(t, "silent", Measure(make([]float32, 10)).word())
}

// mouths makes a mouth's track at ten a second: how far it moves at each time.
func mouths(length time.Duration, move func(at time.Duration) float64) (out []Mouth) {
	for at := time.Duration(0); at < length; at += 100 * ms {
		phase := float64(at/(100*ms)) * 2.1
		out = append(out, Mouth{At: at, Open: 0.1 + move(at)*math.Sin(phase) + 0.003*math.Sin(3*phase)})
	}
	return out
}

func TestLips(t *testing.T) {
	voice := []Segment{{2 * time.Second, 6 * time.Second}, {9 * time.Second, 13 * time.Second}}
	with := func(at time.Duration) float64 {
		if speaks(voice, at) {
			return 0.08
		}
		return 0
	}
	without := func(at time.Duration) float64 { return 0.08 - with(at) }
	still := func(time.Duration) float64 { return 0 }
	always := func(time.Duration) float64 { return 0.08 }
	little := func(time.Duration) float64 { return 0.022 }
	for name, c := range map[string]struct {
		mouth []Mouth
		voice []Segment
		want  pipeline.Outcome
		why   string
	}{
		"speaks":                      {mouths(15*time.Second, with), voice, pipeline.Pass, ""},
		"somebody else speaks":        {mouths(15*time.Second, still), voice, pipeline.Fail, ""},
		"speaks when nobody is heard": {mouths(15*time.Second, without), voice, pipeline.Fail, ""},
		"moves all the time":          {mouths(15*time.Second, always), voice, pipeline.Pass, ""},
		"the voice never stops":       {mouths(15*time.Second, always), []Segment{{0, 15 * time.Second}}, pipeline.Pass, ""},
		"moves a little":              {mouths(15*time.Second, little), voice, pipeline.Uncertain, Unclear},
		"hardly a voice":              {mouths(15*time.Second, still), []Segment{{2 * time.Second, 4 * time.Second}}, pipeline.Uncertain, LittleVoice},
		"hardly a mouth":              {mouths(4*time.Second, still), voice, pipeline.Uncertain, LittleMouth},
		"nobody in view":              {nil, voice, pipeline.Uncertain, LittleMouth},
		"no voice":                    {mouths(15*time.Second, always), nil, pipeline.Uncertain, LittleVoice},
	} {
		got := FollowLips(c.mouth, c.voice, DefaultLipsConfig())
		require.Equal(t, c.want, got.Outcome, "%s: %+v", name, got)
		require.Equal(t, c.why, got.Why, name)
		require.True(t, got.Low <= got.R && got.R <= got.High, name)
	}
	require.Greater(t, FollowLips(mouths(15*time.Second, with), voice, DefaultLipsConfig()).Low, 0.3)
	require.Less(t, FollowLips(mouths(15*time.Second, without), voice, DefaultLipsConfig()).High, -0.3)

	// Bursts that lie apart: nothing is followed across the gap.
	var burst []Mouth
	for _, m := range mouths(15*time.Second, with) {
		if m.At%(5*time.Second) < time.Second {
			burst = append(burst, m)
		}
	}
	require.Equal(t, pipeline.Uncertain, FollowLips(burst, voice, DefaultLipsConfig()).Outcome)
}

// said is speech that ffmpeg's flite synthesises, mono at 16 kHz.
func said(t testing.TB, text string) []float32 {
	t.Helper()
	return sound(t, "flite=text='"+text+"':voice=slt")
}

func sound(t testing.TB, source string) []float32 {
	t.Helper()
	raw, err := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, "-ar", "16000", "-ac", "1", "-f", "s16le", "-").Output()
	require.NoError(t, err)
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = float32(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
	}
	return out
}

// quiet is so much of a quiet room.
func quiet(seconds float64) []float32 {
	out := make([]float32, int(seconds*Rate))
	for i := range out {
		out[i] = 0.001 * float32(math.Sin(float64(i*i)/7))
	}
	return out
}

func voiceModel(t testing.TB) *models.Set {
	t.Helper()
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.VoiceActivity}
	set, err := models.Open(o)
	require.NoError(t, err, "run `make test`: it installs the models")
	t.Cleanup(func() { require.NoError(t, set.Close()) })
	return set
}

// The model hears where somebody speaks, and no speech in noise, in music and in silence.
func TestListenToRealSounds(t *testing.T) {
	set := voiceModel(t)
	words := said(t, "four two seven one, today I am working at the front counter")
	pcm := append(append(quiet(2), words...), quiet(2)...)
	h, err := Listen(t.Context(), set, pcm, DefaultConfig())
	require.NoError(t, err)
	require.NotEmpty(t, h.Segments)
	length := time.Duration(len(words)) * time.Second / Rate
	require.InDelta(t, length.Seconds(), Total(h.Segments).Seconds(), 0.25*length.Seconds())
	require.InDelta(t, 2, h.Segments[0].From.Seconds(), 0.3)
	require.InDelta(t, 2+length.Seconds(), h.Segments[len(h.Segments)-1].To.Seconds(), 0.4)
	part := h.Spoken(pcm)
	require.InDelta(t, float64(len(words)), float64(len(part)), 0.8*Rate)

	for _, source := range []string{"anoisesrc=d=4:c=pink:a=0.3", "sine=f=440:d=4", "aevalsrc='0.3*sin(2*PI*220*t)+0.2*sin(2*PI*277*t)+0.2*sin(2*PI*330*t)':d=4", "anullsrc=d=4"} {
		if source == "anullsrc=d=4" {
			source = "aevalsrc=0:d=4"
		}
		h, err := Listen(t.Context(), set, sound(t, source), DefaultConfig())
		require.NoError(t, err)
		require.Less(t, Total(h.Segments), time.Second/2, source)
	}
}

// fixed answers with the same probabilities, whatever it hears.
type fixed struct {
	p   []float32
	err error
}

func (f fixed) VoiceActivity(context.Context, []float32) ([]float32, error) { return f.p, f.err }

func TestCheck(t *testing.T) {
	loud := make([]float32, 10*Rate)
	for i := range loud {
		loud[i] = 0.3 * float32(math.Sin(float64(i)/20))
	}
	n := float32(len(loud) / Window)
	none := func(context.Context, []float32) (string, error) { return "", ErrNoTranscriber }
	hears := func(text string) Transcribe {
		return func(_ context.Context, pcm []float32) (string, error) {
			require.NotEmpty(t, pcm)
			return text, nil
		}
	}
	wants := func(words ...string) func(*Config) { return func(c *Config) { c.Words = words } }
	lips := func(c *Config) { c.WantLips = true }
	for name, c := range map[string]struct {
		p          []float32
		pcm        []float32
		transcribe Transcribe
		change     func(*Config)
		mouth      []Mouth
		noLips     string
		want       pipeline.Outcome
		codes      []pipeline.Code
	}{
		"speaks":                {p: windows(n, 0.9), pcm: loud, want: pipeline.Pass},
		"nobody speaks":         {p: windows(n, 0.05), pcm: loud, want: pipeline.Fail, codes: []pipeline.Code{pipeline.NoSpeech}},
		"perhaps":               {p: windows(n, 0.4), pcm: loud, want: pipeline.Uncertain, codes: []pipeline.Code{pipeline.NoSpeech}},
		"an empty track":        {pcm: make([]float32, Rate), want: pipeline.Fail, codes: []pipeline.Code{pipeline.NoSpeech}},
		"no track":              {want: pipeline.NotChecked},
		"words":                 {p: windows(n, 0.9), pcm: loud, transcribe: hears("今天在整理货架"), change: wants("整理货架"), want: pipeline.Pass},
		"other words":           {p: windows(n, 0.9), pcm: loud, transcribe: hears("no"), change: wants("整理货架"), want: pipeline.Fail, codes: []pipeline.Code{pipeline.WordsNotSaid}},
		"nearly":                {p: windows(n, 0.9), pcm: loud, transcribe: hears("整理货车"), change: wants("整理货架"), want: pipeline.Uncertain, codes: []pipeline.Code{pipeline.WordsNotSaid}},
		"one of two":            {p: windows(n, 0.9), pcm: loud, transcribe: hears("front counter"), change: func(c *Config) { c.Words, c.AtLeast = []string{"front counter", "warehouse"}, 1 }, want: pipeline.Pass},
		"no transcriber":        {p: windows(n, 0.9), pcm: loud, transcribe: none, change: wants("x"), want: pipeline.Uncertain, codes: []pipeline.Code{pipeline.NotCheckedWanted}},
		"no voice, so no words": {p: windows(n, 0.05), pcm: loud, transcribe: none, change: wants("x"), want: pipeline.Fail, codes: []pipeline.Code{pipeline.NoSpeech, pipeline.WordsNotSaid}},
		"lips":                  {p: windows(n, 0.9), pcm: loud, change: lips, mouth: mouths(10*time.Second, func(time.Duration) float64 { return 0.08 }), want: pipeline.Pass},
		"lips that keep still":  {p: windows(n, 0.9), pcm: loud, change: lips, mouth: mouths(10*time.Second, func(time.Duration) float64 { return 0 }), want: pipeline.Fail, codes: []pipeline.Code{pipeline.VoiceWithoutLips}},
		"lips that nobody saw":  {p: windows(n, 0.9), pcm: loud, change: lips, want: pipeline.Uncertain, codes: []pipeline.Code{pipeline.VoiceWithoutLips}},
		"lips without consent":  {p: windows(n, 0.9), pcm: loud, change: lips, noLips: "no_consent", want: pipeline.Uncertain, codes: []pipeline.Code{pipeline.NotCheckedWanted}},
		"silence needs no lips": {p: windows(n, 0.05), pcm: loud, change: lips, want: pipeline.Fail, codes: []pipeline.Code{pipeline.NoSpeech}},
	} {
		cfg := DefaultConfig()
		if c.change != nil {
			c.change(&cfg)
		}
		h, err := Listen(t.Context(), fixed{p: c.p}, c.pcm, cfg)
		require.NoError(t, err)
		got, err := Check(t.Context(), h, c.transcribe, Sound{PCM: c.pcm, Length: 10 * time.Second, Mouth: c.mouth, NoLips: c.noLips}, cfg)
		require.NoError(t, err)
		require.Equal(t, c.want, got.Outcome, name)
		var codes []pipeline.Code
		for _, f := range got.Findings {
			codes = append(codes, f.Code)
			require.False(t, f.Certain)
		}
		require.Equal(t, c.codes, codes, name)
	}

	broken := errors.New("broken")
	_, err := Listen(t.Context(), fixed{err: broken}, loud, DefaultConfig())
	require.ErrorIs(t, err, broken)
	cfg := DefaultConfig()
	cfg.Words = []string{"x"}
	h, err := Listen(t.Context(), fixed{p: windows(n, 0.9)}, loud, cfg)
	require.NoError(t, err)
	_, err = Check(t.Context(), h, func(context.Context, []float32) (string, error) { return "", broken }, Sound{PCM: loud}, cfg)
	require.ErrorIs(t, err, broken)
}

func BenchmarkListen(b *testing.B) {
	set := voiceModel(b)
	pcm := said(b, "four two seven one, today I am working at the front counter")
	for b.Loop() {
		if _, err := Listen(b.Context(), set, pcm, DefaultConfig()); err != nil {
			b.Fatal(err)
		}
	}
}
